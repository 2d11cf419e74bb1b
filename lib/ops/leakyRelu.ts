import { type Activation, apply, type Tensor } from "../graph/node.ts";
import { checkNumber } from "../util/errors.ts";
import { elementwiseOp } from "./shared/elementwise.ts";

type LeakyReluAttrs = { readonly slope: number };

// with a positive slope the output has the sign of the input, and is all that the gradient needs
const activation = ({ slope }: LeakyReluAttrs): Activation | undefined =>
  slope > 0 ? { activation: 1, slope } : undefined;
const gradOp = elementwiseOp<LeakyReluAttrs>("leakyReluGrad", { activationGrad: activation });
const op = elementwiseOp<LeakyReluAttrs>("leakyRelu", {
  check: ({ slope }) => checkNumber("leakyRelu", "the slope", slope),
  grad: ([dy], { inputs: [x], outputs: [y], attrs }) => [apply(gradOp, [dy!, attrs.slope > 0 ? y : x], attrs)[0]],
  activation,
  onnx: (ctx, { attrs: { slope } }, [x]) => ctx.emit("LeakyRelu", [x], { alpha: { float: slope } }),
});

/** x where x > 0, else slope * x; elementwise. */
export const leakyRelu = (x: Tensor, slope = 0.01): Tensor => apply(op, [x], { slope })[0];

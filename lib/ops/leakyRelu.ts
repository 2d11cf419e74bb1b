import { checkNumber } from "../errors.ts";
import { apply, type Tensor } from "../graph/node.ts";
import { elementwiseOp } from "./elementwise.ts";

type LeakyReluAttrs = { readonly slope: number };

const gradOp = elementwiseOp<LeakyReluAttrs>("leakyReluGrad");
const op = elementwiseOp<LeakyReluAttrs>("leakyRelu", {
  check: ({ slope }) => checkNumber("leakyRelu", "the slope", slope),
  grad: ([dy], { inputs: [x], attrs }) => [apply(gradOp, [dy!, x], attrs)[0]],
  onnx: (ctx, { attrs: { slope } }, [x]) => ctx.emit("LeakyRelu", [x], { alpha: { float: slope } }),
});

/** x where x > 0, else slope * x; elementwise. */
export const leakyRelu = (x: Tensor, slope = 0.01): Tensor => apply(op, [x], { slope })[0];

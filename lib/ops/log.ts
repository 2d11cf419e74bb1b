import { apply, type Tensor } from "../graph/node.ts";
import { div } from "./div.ts";
import { elementwiseOp } from "./shared/elementwise.ts";

const op = elementwiseOp("log", {
  grad: ([dy], { inputs: [x] }) => [div(dy!, x)],
  onnx: (ctx, _node, [x]) => ctx.emit("Log", [x]),
});

/** Natural logarithm, elementwise: -infinity at 0, NaN below. */
export const log = (x: Tensor): Tensor => apply(op, [x], {})[0];

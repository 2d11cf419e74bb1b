import { apply, type OnnxOp, type Tensor } from "./shared/op.ts";

const op: OnnxOp = {
  name: "stopGradient",
  view: true,
  stopsGradient: true,
  infer: ([x]) => [x],
  channels: (flow, { inputs: [x] }) => flow.of(x),
  onnx: (_ctx, _node, [x]) => x,
};

/** The same values, as a constant to the gradient: nothing flows back through it. Costs nothing. */
export const stopGradient = (x: Tensor): Tensor => apply(op, [x], {})[0];

import { type Activation, apply, type Op, type Tensor } from "../graph/node.ts";

const activation = (): Activation => ({ activation: 1, slope: 0 });
const reluGrad: Op = { name: "reluGrad", infer: ([dy]) => [dy], inplace: [0], activationGrad: activation };

const op: Op = {
  name: "relu",
  infer: ([x]) => [x],
  grad: ([dy], node) => [apply(reluGrad, [dy!, node.outputs[0]], {})[0]],
  onnx: (ctx, _node, [x]) => ctx.emit("Relu", [x]),
  inplace: [0],
  activation,
  flops: (node) => node.inputs[0].size,
};

/** max(x, 0), elementwise; any shape. A NaN stays a NaN. */
export const relu = (x: Tensor): Tensor => apply(op, [x], {})[0];

import { apply, checkFloats, checkSame, fail, type OnnxOp, type Op, type Tensor, typeName } from "./shared/op.ts";

const gradOp: Op = { name: "logSoftmaxGrad", infer: (inputs) => [checkSame("logSoftmaxGrad", inputs)] };
const op: OnnxOp = {
  name: "logSoftmax",
  infer(inputs) {
    checkFloats("logSoftmax", inputs);
    if (inputs[0].shape.length === 0) fail("logSoftmax", "at least one axis", typeName(inputs[0]));
    return [inputs[0]];
  },
  grad: ([dy], { outputs: [y] }) => [apply(gradOp, [dy!, y], {})[0]],
  onnx: (ctx, { inputs: [{ shape }] }, [x]) => ctx.emit("LogSoftmax", [x], { axis: ctx.layout.axis(-1, shape.length) }),
  flops: (node) => 5 * node.inputs[0].size,
};

/** Log-softmax over the last axis (the channels of an image). Shifted by the maximum: large logits do not overflow. */
export const logSoftmax = (x: Tensor): Tensor => apply(op, [x], {})[0];

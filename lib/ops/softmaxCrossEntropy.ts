import { apply, checkLabelled, type Op, type Tensor } from "./shared/op.ts";

const gradOp: Op = { name: "softmaxCrossEntropyGrad", infer: ([, logits]) => [logits] };
const op: Op = {
  name: "softmaxCrossEntropy",
  infer([logits, labels]) {
    checkLabelled("softmaxCrossEntropy", logits, labels);
    return [{ shape: [logits.shape[0]], dtype: "f32" }];
  },
  grad: ([dloss], { inputs: [logits, labels] }) => [apply(gradOp, [dloss!, logits, labels], {})[0], undefined],
  flops: (node) => 5 * node.inputs[0].size,
};

/**
 * Cross-entropy of softmax(logits), in nats per row: -ln softmax(logits)[label].
 * @param logits f32 [S*B, C], sample-major when it holds S Monte-Carlo samples of a batch of B
 * @param labels i32 [B] in [0, C); a label outside stops the run with an error
 * @returns f32 [S*B]; its mean is the data term of the objective
 */
export const softmaxCrossEntropy = (logits: Tensor, labels: Tensor): Tensor => apply(op, [logits, labels], {})[0];

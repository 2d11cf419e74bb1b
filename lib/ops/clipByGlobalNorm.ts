import { copyList } from "../util/arrays.ts";
import { apply, checkFloats, checkScalar, constant, type Op, type Tensor } from "./shared/op.ts";

const normOp: Op = {
  name: "globalNorm",
  infer(inputs) {
    checkFloats("globalNorm", inputs);
    return [{ shape: [], dtype: "f32" }];
  },
  flops: (node) => 2 * node.inputs.reduce((n, t) => n + t.size, 0),
};
const clipOp: Op = {
  name: "clipByGlobalNorm",
  infer([norm, maxNorm, ...tensors]) {
    checkFloats("clipByGlobalNorm", [norm, ...tensors]);
    checkScalar("clipByGlobalNorm", "maxNorm", maxNorm);
    return tensors;
  },
  flops: (node) => node.outputs.reduce((n, t) => n + t.size, 0),
};

/** Euclidean norm of all tensors together, as a scalar. */
export const globalNorm = (tensors: readonly Tensor[]): Tensor => apply(normOp, tensors, {})[0];

/**
 * The tensors, all scaled by min(1, maxNorm / (norm + 1e-6)): together they are no longer than maxNorm. PyTorch's
 * definition (clip_grad_norm_).
 * @param maxNorm a number, or f32 [] where it changes between steps
 */
export const clipByGlobalNorm = (
  tensors: readonly Tensor[],
  maxNorm: number | Tensor,
  norm = globalNorm(tensors),
): Tensor[] => {
  const most = typeof maxNorm === "number" ? constant(maxNorm) : maxNorm;
  return [...apply(clipOp, [norm, most, ...copyList("clipByGlobalNorm", "tensors", tensors)], {})];
};

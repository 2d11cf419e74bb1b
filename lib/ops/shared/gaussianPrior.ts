import type { Tensor } from "../../graph/node.ts";
import { checkNumber, checkObject } from "../../util/errors.ts";
import { type MaskAttrs, maskInput } from "./mask.ts";

/** A Gaussian prior as an op takes it: constants as attributes, values per weight as inputs. */
export interface GaussianPriorArgs {
  /** Mean: a number, values of the weight's shape, or "tied" (the posterior's own mean). Default 0. */
  readonly priorMean?: number | "tied" | Tensor;
  /** Standard deviation, > 0: a number or values of the weight's shape (held at 1e-10 or more). Default 0.1. */
  readonly priorSigma?: number | Tensor;
  /** 1 for a weight that counts, 0 for one that does not, as a pruned one; of the weight's shape. Absent: all count. */
  readonly mask?: Tensor;
}

export type GaussianPriorAttrs = MaskAttrs & {
  readonly priorMean: number;
  readonly priorSigma: number;
  readonly tied: boolean;
  readonly meanInput: boolean;
  readonly sigmaInput: boolean;
};

/** Attributes and extra inputs of `op` for a prior. */
export function gaussianPriorInputs(op: string, prior: GaussianPriorArgs) {
  const { priorMean = 0, priorSigma = 0.1, mask } = checkObject(op, "a prior as an object", prior);
  const last = maskInput(mask);
  const number = (x: unknown, otherwise: number): number => (typeof x === "number" ? x : otherwise);
  const attrs: GaussianPriorAttrs = {
    priorMean: checkNumber(op, "the prior's mean", number(priorMean, 0)),
    priorSigma: checkNumber(op, "the prior's sigma", number(priorSigma, 1), 1e-10, 1e10),
    tied: priorMean === "tied",
    meanInput: typeof priorMean === "object",
    sigmaInput: typeof priorSigma === "object",
    ...last.attrs,
  };
  return { attrs, inputs: [...[priorMean, priorSigma].filter((p) => typeof p === "object"), ...last.inputs] };
}

import { BayesError, checkInt, checkNumber, fail } from "../util/errors.ts";
import { newArray } from "../util/memory.ts";

/** How many weights go, or up to which score; and whether all tensors share one ranking or each has its own. */
export interface Selection {
  /** Share of the weights that is pruned afterwards, in [0, 1); rounded up to a whole weight. */
  readonly sparsity?: number;
  /** Instead: weights whose score is at most this are pruned. */
  readonly threshold?: number;
  /** "global" (default): the smallest scores of the whole model; "layer": the same share of every tensor. */
  readonly scope?: "global" | "layer";
  /** Allow a tensor to lose all its weights: the layer then gives only its bias. Default false. */
  readonly allowEmpty?: boolean;
}

/** One tensor's scores, and which of its weights (1) are still there; all of them if absent. */
export interface Scored {
  readonly name: string;
  readonly scores: Float64Array;
  readonly kept?: ArrayLike<number>;
}

/**
 * Chooses which weights stay: a mask of 1 (keep) and 0 (prune) for each tensor. What was pruned before stays pruned and
 * counts towards the sparsity. Among equal scores the first in the order of tensors and elements go first, so the choice
 * is a function of the scores alone.
 * @throws BayesError for wrong options, scores that are no numbers, a sparsity below the one already reached, and, unless
 *   allowed, a tensor left with nothing
 */
export function selectMasks(tensors: readonly Scored[], selection: Selection): Float32Array[] {
  const { sparsity, threshold, scope = "global", allowEmpty = false } = selection;
  if ((sparsity === undefined) === (threshold === undefined))
    throw new BayesError(
      `[prune] expected either sparsity or threshold, received ${sparsity === undefined ? "neither" : "both"}`,
    );
  if (sparsity !== undefined && !(sparsity >= 0 && sparsity < 1)) fail("prune", "sparsity in [0, 1)", sparsity);
  if (threshold !== undefined) checkNumber("prune", "threshold", threshold, 0);
  if (scope !== "global" && scope !== "layer") fail("prune", 'scope "global" or "layer"', scope);
  for (const { name, scores } of tensors) {
    const at = scores.findIndex(Number.isNaN);
    if (at >= 0)
      throw new BayesError(`[prune ${name}] expected weights that are numbers, received NaN at element ${at}`, {
        code: "ERR_BAYES_NUMERIC",
      });
  }

  const groups = scope === "global" ? [tensors] : tensors.map((t) => [t]);
  const masks = groups.flatMap((group) =>
    sparsity === undefined ? group.map((t) => above(t, threshold!)) : largest(group, sparsity),
  );
  if (!allowEmpty)
    masks.forEach((mask, i) => {
      if (!mask.includes(1))
        throw new BayesError(
          `[prune ${tensors[i].name}] expected at least one of ${mask.length} weights to stay, received none; prune less, by layer, or allow empty layers`,
        );
    });
  return masks;
}

const isKept = (t: Scored, i: number): boolean => (t.kept === undefined ? true : t.kept[i] !== 0);

/** A mask of those weights that `stays` says, asked in order. */
function maskOf({ scores }: Scored, stays: (i: number) => boolean): Float32Array {
  const mask = newArray("prune", "f32", scores.length);
  for (let i = 0; i < mask.length; i++) mask[i] = stays(i) ? 1 : 0;
  return mask;
}

const above = (t: Scored, threshold: number): Float32Array => maskOf(t, (i) => isKept(t, i) && t.scores[i] > threshold);

/** Masks of a group that shares one ranking. */
function largest(group: readonly Scored[], sparsity: number): Float32Array[] {
  const total = group.reduce((sum, t) => sum + t.scores.length, 0);
  const left = remaining(group, total);
  const gone = total - left.length;
  const target = Math.ceil(sparsity * total - 1e-9 * total); // 0.9 of 1000 is 900, whatever 0.9 is in binary
  if (target < gone)
    throw new BayesError(
      `[prune${group.length === 1 ? ` ${group[0].name}` : ""}] expected a sparsity of at least the ${(gone / total).toFixed(4)} already reached, received ${sparsity}`,
    );
  const remove = target - gone;
  left.sort();
  const cut = remove === 0 ? Number.NEGATIVE_INFINITY : left[remove - 1]; // the largest score that goes
  let below = 0;
  while (below < left.length && left[below] < cut) below++;
  let ties = remove - below; // of those equal to the cut, so many go
  return group.map((t) => {
    const goes = (s: number): boolean => s < cut || (s === cut && ties-- > 0);
    return maskOf(t, (i) => isKept(t, i) && !goes(t.scores[i]));
  });
}

/** The scores of those that are still there, one tensor's after the other's. */
function remaining(group: readonly Scored[], total: number): Float64Array {
  const left = newArray("prune", "f64", total);
  let count = 0;
  for (const t of group) for (let i = 0; i < t.scores.length; i++) if (isKept(t, i)) left[count++] = t.scores[i];
  return left.subarray(0, count);
}

/**
 * Sparsity after each of `rounds` rounds of gradual pruning: from + (target - from) (1 - (1 - t / rounds)^3), quick at
 * first, when much is superfluous, and slow at the end (Zhu and Gupta 2017, eq. 1).
 */
export function cubicSchedule(target: number, rounds: number, from = 0): number[] {
  if (!(typeof target === "number" && target >= 0 && target < 1))
    fail("cubicSchedule", "a target sparsity in [0, 1)", target);
  if (!(typeof from === "number" && from >= 0 && from <= target))
    fail("cubicSchedule", `a starting sparsity in [0, ${target}]`, from);
  checkInt("cubicSchedule", "the number of rounds", rounds, 1, 1 << 20);
  return Array.from({ length: rounds }, (_, t) => {
    const rest = 1 - (t + 1) / rounds;
    return t + 1 === rounds ? target : target - (target - from) * rest ** 3;
  });
}

import type { KnownMoments } from "../bayes/prior.ts";
import { f32, i32 } from "../graph/node.ts";
import { input } from "../graph/trace.ts";
import type { Model } from "./model.ts";

/**
 * The prior's moments for each weight with a posterior: layers may have priors of their own, so a trace has to say.
 * @param options gaussian: of Gaussian priors only, whose moments are all there is to them
 */
export function priorMoments(
  model: Model,
  weights: readonly { readonly name: string; readonly count: number }[],
  { gaussian = false } = {},
): Map<string, KnownMoments> {
  const noise = { rng: input("rng", i32([4])), rows: input("rows", i32([1])) };
  const { klTerms } = model.apply(input("x", f32([1, ...model.inputShape])), { mode: "sample", noise });
  const priors = new Map(klTerms.map(({ layer, prior }) => [layer, prior]));
  const moments = new Map<string, KnownMoments>();
  for (const { name, count } of weights) {
    const prior = priors.get(name);
    if (gaussian && !prior?.klRho) continue; // a mixture has moments too, but is no Gaussian
    const found = prior?.moments?.(name, count);
    if (!found) continue;
    const { mean, sigma } = found;
    moments.set(name, { mean: mean === "initial" ? (model.store.get(`${name}/prior`) as Float32Array) : mean, sigma });
  }
  return moments;
}

import type { ChannelFlow } from "../graph/channels.ts";
import { maskName } from "../layers/mask.ts";
import type { Model } from "../models/model.ts";
import { priorMoments } from "../models/priors.ts";
import { meanSlot, type PrunableWeight, prunableWeights, type ScoreName, scoreWeight } from "./scores.ts";

/**
 * How much a channel matters. Sums over the weights that make it (of all layers, where several make it together):
 * - `magnitude`: mu^2 (Li et al. 2017, squared).
 * - `snr`: (mu / sigma)^2, what the data say about the weights against how unsure they are.
 * - `kl`: KL(posterior || prior) in nats: how many bits less the network needs without the channel.
 * - `taylor`: how much the loss of training images would change, to first order (Molchanov et al. 2019); needs `data`.
 */
export type ChannelScore = ScoreName | "taylor";
export const channelScores: readonly ChannelScore[] = ["taylor", "snr", "kl", "magnitude"];

/** Scores of all groups of channels by what is known of their weights. */
export function weightScores(model: Model, flow: ChannelFlow, score: ScoreName): Map<number, number> {
  const { store } = model;
  const weights = prunableWeights(store);
  const priors = score === "kl" ? priorMoments(model, weights) : undefined;
  const scores = new Map<number, number>();
  for (const { w, groups, step } of makers(flow, weights)) {
    const mask = store.slots.has(maskName(w.name)) ? store.get(maskName(w.name)) : undefined;
    scoreWeight(store, w, score, priors?.get(w.name)).forEach((value, i) => {
      if (mask?.[i] === 0) return;
      const group = groups[Math.floor(i / step) % groups.length];
      scores.set(group, (scores.get(group) ?? 0) + (score === "kl" ? value : value * value));
    });
  }
  return scores;
}

/**
 * The groups of channels that do nothing: all weights that make them are zero for good (pruned, or plain zeros), or all that
 * read them are.
 */
export function deadGroups({ store }: Model, flow: ChannelFlow): Set<number> {
  const [made, read] = [new Set<number>(), new Set<number>()];
  for (const w of prunableWeights(store)) {
    const mask = store.slots.has(maskName(w.name)) ? store.get(maskName(w.name)) : undefined;
    const plain = w.posterior === "point" ? store.get(w.name) : undefined;
    for (const [alive, side] of [[made, "makes"], [read, "reads"]] as const)
      for (const { groups, step } of sides(flow, w, side))
        for (let i = 0; i < w.count; i++)
          if (mask?.[i] !== 0 && plain?.[i] !== 0) alive.add(groups[Math.floor(i / step) % groups.length]);
  } // biome-ignore format: two sides
  return new Set(flow.removable.filter((group) => !made.has(group) || !read.has(group)));
}

/** The weights that make channels: element i of one belongs to groups[floor(i / step) % groups.length]. */
function makers(flow: ChannelFlow, weights: readonly PrunableWeight[]) {
  return weights.flatMap((w) =>
    sides(flow, w, "makes")
      .slice(0, 1)
      .map((side) => ({ w, ...side })),
  ); // used twice: once
}

function sides(flow: ChannelFlow, w: PrunableWeight, side: "makes" | "reads") {
  const slot = meanSlot(w);
  return flow.products.flatMap((p) => {
    if (p[side].length === 0 || !p.weights.some(({ name }) => name === slot)) return [];
    const step = w.shape.slice(p.axes[side] + 1).reduce((a, b) => a * b, 1);
    return [{ groups: p[side].map((id) => flow.group(id)), step }];
  });
}

/** What the posterior of a LeNet-5 looks like: its filters over training, and which weights are signal. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { posteriorOf, type WeightPosterior } from "../models/posterior.ts";
import { defaults } from "../train/defaults.ts";
import { writeFileAtomic } from "../util/atomic.ts";
import { readJson } from "../util/json.ts";
import type { Experiment, JsonObject, Unit } from "./shared/experiment.ts";
import { type TrainingSettings, trained } from "./shared/training.ts";

export const posterior: Experiment = {
  name: "posterior",
  title: "The posterior",
  summary: "weights of a Bayesian LeNet-5: means and spreads of its filters over training, signal to noise by layer",
  units: ({ quick, seed }) => [unit(quick, seed)],
};

/** Of |mu| / sigma, in powers of ten. */
const EDGES = Array.from({ length: 26 }, (_, i) => -3 + 0.2 * i);

function unit(quick: boolean, seed: number): Unit {
  const epochs = quick ? 3 : 20;
  const settings: TrainingSettings = {
    data: "mnist",
    model: { model: "lenet5" },
    epochs,
    batchSize: defaults.batchSize,
    learningRate: `cosine:${defaults.learningRate}`,
    beta: Number(defaults.beta),
    seed,
  };
  return {
    name: `mnist-lenet5-${seed}`,
    settings: settings as unknown as JsonObject,
    minutes: quick ? 0.1 : 2,
    async run(work) {
      const path = join(work.dir, "snapshots.json");
      let snapshots = existsSync(path) ? (readJson(path) as JsonObject[]) : [];
      const { model } = await trained(work, settings, ({ epoch }, now) => {
        // a stop may have come after the snapshot and before the checkpoint
        snapshots = [...snapshots.filter((s) => Number(s.epoch) <= epoch), snapshot(epoch + 1, posteriorOf(now))];
        writeFileAtomic(path, JSON.stringify(snapshots));
      });
      using _ = model;
      return { epochs: snapshots, layers: posteriorOf(model).filter(isWeight).map(layer) };
    },
  };
}

const isWeight = ({ name }: WeightPosterior): boolean => name.endsWith("/weight");
const rounded = (x: number): number => Number(x.toPrecision(5));
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Of each layer, and of each filter of the first one: mean of mu, its standard deviation, and mean of sigma. */
function snapshot(epoch: number, weights: readonly WeightPosterior[]): JsonObject {
  const own = weights.filter(isWeight);
  const of = (w: WeightPosterior, picked: (i: number) => boolean) => {
    const mu = Array.from(w.mean).filter((_, i) => picked(i));
    const m = mean(mu);
    return {
      mean: rounded(m),
      spread: rounded(Math.sqrt(mean(mu.map((v) => (v - m) ** 2)))),
      sigma: rounded(mean(Array.from(w.sigma!).filter((_, i) => picked(i)))),
    };
  };
  const [first] = own;
  const filters = first.shape[first.shape.length - 1];
  return {
    epoch,
    layers: own.map((w) => ({ name: w.name, ...of(w, () => true) })),
    filters: Array.from({ length: filters }, (_, f) => of(first, (i) => i % filters === f)),
  };
}

/** How many weights of a layer have which ratio of signal to noise, and what share is noise. */
function layer(w: WeightPosterior): JsonObject {
  const histogram = new Array<number>(EDGES.length - 1).fill(0);
  let noise = 0;
  w.mean.forEach((mu, i) => {
    const ratio = Math.abs(mu) / w.sigma![i];
    if (ratio < 1) noise++;
    const at = Math.floor((Math.log10(ratio) - EDGES[0]) / 0.2);
    histogram[Math.min(histogram.length - 1, Math.max(0, Number.isFinite(at) ? at : 0))]++;
  });
  return {
    name: w.name,
    weights: w.mean.length,
    noise: rounded(noise / w.mean.length),
    histogram,
    edges: EDGES.map(rounded),
  };
}

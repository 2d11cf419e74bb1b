import type { Dataset } from "../data/dataset.ts";
import { type Augmentation, asIs, type Normalisation } from "../data/prepare.ts";
import { compile, type Program } from "../graph/compile.ts";
import { grad } from "../graph/grad.ts";
import { constant, type Tensor } from "../graph/node.ts";
import type { Precision } from "../graph/trace.ts";
import type { Model } from "../models/model.ts";
import { add } from "../ops/add.ts";
import { checkFinite } from "../ops/checkFinite.ts";
import { clipByGlobalNorm } from "../ops/clipByGlobalNorm.ts";
import { correct } from "../ops/correct.ts";
import { gatherBatch } from "../ops/gatherBatch.ts";
import { gatherLabels } from "../ops/gatherLabels.ts";
import { mean } from "../ops/mean.ts";
import { mul } from "../ops/mul.ts";
import { softmaxCrossEntropy } from "../ops/softmaxCrossEntropy.ts";
import { asArray } from "../util/arrays.ts";
import { DATA } from "./checkpoint.ts";
import type { Optimizer } from "./optimizers.ts";

const IMAGES = `${DATA}train/images`;
const LABELS = `${DATA}train/labels`;

/** Puts a training set beside the parameters, so that a step's only feed is which examples it takes. */
export function residentData(model: Model, data: Dataset): void {
  const { store } = model;
  const dtype = asArray(data.images, "Uint8Array") ? "u8" : "f32";
  store.define(IMAGES, [data.count, ...data.shape], { dtype, init: () => data.images });
  store.define(LABELS, [data.count], { dtype: "i32", init: () => data.labels });
}

/** Takes it away again. */
export function dropData({ store }: Model): void {
  for (const name of [IMAGES, LABELS]) if (store.slots.has(name)) store.delete(name);
}

/** Everything that a training step is made of. */
export interface StepOptions {
  readonly optimizer: Optimizer;
  readonly samples: number;
  readonly precision?: Precision;
  readonly clipNorm?: number;
  readonly normalise?: Normalisation;
  readonly augment?: Augmentation;
  readonly penalty?: (parameters: ReadonlyMap<string, Tensor>) => Tensor;
}

export type StepProgram = Program<
  "index" | "epoch" | "rng" | "lr" | "klWeight" | "count",
  "loss" | "nll" | "kl" | "right"
>;

/**
 * One training step on a batch of the resident set: forward, loss = mean NLL + klWeight KL + penalty, backward, guard
 * against NaN and infinity, optimizer.
 */
export function compileStep(model: Model, batch: number, options: StepOptions): StepProgram {
  const { store } = model;
  const i32 = (shape: readonly number[]) => ({ shape, dtype: "i32" as const });
  const specs = { index: i32([batch]), epoch: i32([]), rng: i32([4]), lr: [], klWeight: [], count: i32([]) };
  return compile({ store, precision: options.precision }, specs, (t) => {
    const x = gatherBatch(store.tensor(IMAGES), t.index, {
      ...(options.normalise ?? asIs(model.inputShape[2])),
      augment: options.augment && { ...options.augment, rng: t.rng, epoch: t.epoch },
    });
    const labels = gatherLabels(store.tensor(LABELS), t.index);
    const rows = constant(Int32Array.from({ length: batch }, (_, row) => row));
    const { output, kl, parameters } = model.apply(x, {
      mode: "sample",
      training: true,
      samples: options.samples,
      noise: { rng: t.rng, rows },
    });
    const nll = mean(softmaxCrossEntropy(output, labels));
    let loss = kl ? add(nll, mul(t.klWeight, kl)) : nll;
    if (options.penalty) loss = add(loss, options.penalty(parameters));
    const gradients = grad(loss, [...parameters.values()]);
    checkFinite([loss, ...gradients]);
    const clipped = options.clipNorm === undefined ? gradients : clipByGlobalNorm(gradients, options.clipNorm);
    options.optimizer.update(parameters, clipped, t.lr, t.count);
    return { loss, nll, right: correct(output, labels), kl: kl ?? constant(0) };
  });
}

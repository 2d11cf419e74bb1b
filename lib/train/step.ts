/**
 * The program of a training step. The loss is the mean negative log-likelihood of an example plus (beta / N) KL(posterior || prior) in nats, every
 * weight counted once and a pruned one not at all; N is the number of training examples really used: beta = 1 is the evidence lower bound.
 */
import { grad } from "../autodiff/grad.ts";
import type { Augmentation } from "../data/augment.ts";
import { type AnyDataset, isStreamed } from "../data/dataset.ts";
import { asIs } from "../data/prepare.ts";
import { compile, type InputSpec, type Program } from "../graph/compile.ts";
import { constant, sameShape, Tensor } from "../graph/node.ts";
import { slotName } from "../graph/roles.ts";
import type { Likelihood, Targets } from "../likelihoods/shared/likelihood.ts";
import type { Model } from "../models/model.ts";
import type { Precision } from "../native/device.ts";
import { add, checkFinite, clipByGlobalNorm, gatherBatch, gatherRows, mean, mul, repeatBatch } from "../ops/index.ts";
import { asArray } from "../util/arrays.ts";
import { fail } from "../util/errors.ts";
import { Mixup } from "./mixup.ts";
import type { Optimizer } from "./optimizers.ts";

const IMAGES = slotName("data", "train/images");
const TARGETS = slotName("data", "train/targets");
const WEIGHTS = slotName("data", "train/weights");

/**
 * Puts a training set beside the parameters, so that a step's only feed is which examples it takes. Of a streamed set it is
 * the targets alone: the images are fed.
 * @param targets as the model's likelihood numbers them
 * @param weights of the examples, mean 1; absent: all count alike
 */
export function residentData(model: Model, data: AnyDataset, targets: Targets, weights?: Float32Array): void {
  const { store } = model;
  const count = targets.length / data.count;
  const each = count === 1 && model.targetShape.length === 0 ? [] : model.targetShape;
  if (!isStreamed(data)) {
    const dtype = asArray(data.images, "Uint8Array") ? "u8" : "f32";
    store.define(IMAGES, [data.count, ...data.shape], { dtype, values: "any", init: () => data.images });
  }
  store.define(TARGETS, [data.count, ...each], {
    dtype: targets instanceof Int32Array ? "i32" : "f32",
    init: () => targets,
  });
  if (weights) store.define(WEIGHTS, [data.count], { init: () => weights });
}

/** Takes it away again. */
export function dropData({ store }: Model): void {
  for (const name of [IMAGES, TARGETS, WEIGHTS]) if (store.slots.has(name)) store.delete(name);
}

/** Throws unless a likelihood's nll is one number a row: the loss is their mean, whatever the shape of the targets. */
function checkRows({ config }: Likelihood, nll: Tensor, rows: number): Tensor {
  if (!Tensor.is(nll) || !sameShape(nll.shape, [rows]))
    fail("fit", `nll of likelihood ${config.kind} to be traced numbers of shape [${rows}], one a row`, nll?.shape);
  return nll;
}

/** Everything that a training step is made of. */
export interface StepOptions {
  readonly optimizer: Optimizer;
  readonly samples: number;
  readonly precision?: Precision;
  readonly clipNorm?: number;
  /** With mixup, the step has one more input: lam, f32[batch]. */
  readonly augment?: Augmentation;
  /** Of the images, where they are fed; absent: they are resident. */
  readonly stream?: "u8" | "f32";
  /** Layers that stay as they are; default the model's. */
  readonly frozen?: readonly string[];
  readonly penalty?: (parameters: ReadonlyMap<string, Tensor>) => Tensor;
}

/** Outputs: loss, nll, kl, and the likelihood's counts by their names behind "count/". */
/** Where the images are streamed, they are an input as well: "images", [batch, H, W, C]. */
export type StepProgram = Program<StepInput, string>;
type StepInput = "index" | "epoch" | "rng" | "lr" | "klWeight" | "count" | "lam";
export const COUNT = "count/";

/**
 * One training step on a batch of the training set: forward, loss = mean NLL + klWeight KL + penalty, backward, guard
 * against NaN and infinity, optimizer.
 */
export function compileStep(model: Model, batch: number, options: StepOptions): StepProgram {
  const { store } = model;
  const i32 = (shape: readonly number[]) => ({ shape, dtype: "i32" as const });
  const { mixup, ...augment } = options.augment ?? {};
  const always = { index: i32([batch]), epoch: i32([]), rng: i32([4]), lr: [], klWeight: [], count: i32([]) };
  const specs = {
    ...(options.stream && { images: { shape: [batch, ...model.inputShape], dtype: options.stream } }),
    ...always,
    ...(mixup !== undefined && { lam: [batch] }),
  } as Record<StepInput, InputSpec>;
  return compile({ store, precision: options.precision }, specs, (t) => {
    const { scale, shift } = model.preprocess ?? asIs(model.inputShape[2]);
    const rows = constant(Int32Array.from({ length: batch }, (_, row) => row));
    const fed = (t as { readonly images?: Tensor }).images;
    const own = gatherBatch(fed ?? store.tensor(IMAGES), fed ? rows : t.index, {
      scale,
      shift,
      augment: { ...augment, rng: t.rng, epoch: t.epoch, ...(fed ? { examples: t.index } : {}) },
    });
    const mix = mixup === undefined ? undefined : new Mixup(t.lam);
    const x = mix ? mix.blend(own) : own;
    const targets = gatherRows(store.tensor(TARGETS), t.index);
    const weights = store.slots.has(WEIGHTS) ? gatherRows(store.tensor(WEIGHTS), t.index) : undefined;
    const applied = model.apply(
      x,
      { mode: "sample", training: true, samples: options.samples, noise: { rng: t.rng, rows }, frozen: options.frozen },
      (output, likelihood) => {
        const nll = (targets: Tensor, weights: Tensor | undefined) => {
          const rows = checkRows(likelihood, likelihood.nll(output, targets), batch * options.samples);
          return weights ? mul(rows, repeatBatch(weights, options.samples)) : rows;
        };
        return {
          rows: mix ? mix.loss(nll, targets, weights) : nll(targets, weights),
          counts: likelihood.counts(output, targets),
        };
      },
    );
    const { kl, parameters, result } = applied;
    const nll = mean(result.rows);
    let loss = kl ? add(nll, mul(t.klWeight, kl)) : nll;
    if (options.penalty) loss = add(loss, options.penalty(parameters));
    const gradients = grad(loss, [...parameters.values()]);
    checkFinite([loss, ...gradients]);
    const clipped = options.clipNorm === undefined ? gradients : clipByGlobalNorm(gradients, options.clipNorm);
    options.optimizer.update(parameters, clipped, t.lr, t.count);
    const counts = Object.fromEntries(Object.entries(result.counts).map(([name, value]) => [`${COUNT}${name}`, value]));
    return { loss, nll, kl: kl ?? constant(0), ...counts };
  });
}

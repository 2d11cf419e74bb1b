/** Models and programs on made-up data, to look at and to time: nothing here is trained. */
import { imageSize, makeDataset } from "../data/dataset.ts";
import { compile, type Program } from "../graph/compile.ts";
import { createModel } from "../models/create.ts";
import type { Model } from "../models/model.ts";
import type { Device, Precision } from "../native/device.ts";
import type { Optimizer } from "../train/optimizers.ts";
import { compileStep, dropData, residentData, type StepProgram } from "../train/step.ts";
import { seedKey } from "../util/philox.ts";

const hash = (i: number): number => Math.imul(i + 1, 2654435761) >>> 0;

export interface Made<P> extends Disposable {
  readonly program: P;
  /** Runs one step. */
  run(): void;
  /** Inputs of one step. */
  readonly feeds: P extends Program<infer I, infer _> ? Record<I, Int32Array | Float32Array | number> : never;
}

/** A published model with ten classes, at its usual size of 32x32 if nothing is said: one channel for LeNet-5, three for the others. */
export function madeModel({
  name,
  bayesian,
  size = [32, 32],
  width,
  seed = 1,
  device,
}: {
  name: string;
  bayesian: boolean;
  size?: readonly [number, number];
  /** Of mobilenet. */
  width?: number;
  seed?: number;
  device?: Device;
}): Model {
  const channels = name === "lenet5" ? 1 : 3;
  return createModel({
    model: name,
    input: [...size, channels],
    classes: 10,
    preprocess: { scale: new Array(channels).fill(1 / 255), shift: new Array(channels).fill(-0.5) },
    bayesian,
    width,
    seed,
    device,
  });
}

/** The training step that fit() runs: gather, forward, loss with KL, backward, guard, optimizer. */
export function stepProgram(
  model: Model,
  batch: number,
  optimizer: Optimizer,
  precision?: Precision,
): Made<StepProgram> {
  const size = imageSize(model.inputShape);
  const data = makeDataset({
    name: "made",
    images: Uint8Array.from({ length: batch * size }, (_, i) => hash(i) >>> 24),
    labels: Int32Array.from({ length: batch }, (_, i) => i % model.outputShape[0]),
    shape: [...model.inputShape],
    classes: model.outputShape[0],
  });
  residentData(model, data, data.targets);
  const program = compileStep(model, batch, {
    optimizer,
    samples: 1,
    precision,
    clipNorm: undefined,
    augment: undefined,
    penalty: undefined,
  });
  const feeds = {
    index: Int32Array.from({ length: batch }, (_, i) => i),
    epoch: 0,
    lam: 1,
    rng: Int32Array.of(...seedKey(1), 0, 0),
    lr: 1e-4,
    klWeight: 1 / 60_000,
    count: 1,
  };
  return {
    program,
    feeds,
    run: () => void program.run(feeds),
    [Symbol.dispose]() {
      program.close();
      dropData(model);
    },
  };
}

/** One launch of Monte-Carlo prediction: `samples` draws for each image of the batch. */
export function forwardProgram(
  model: Model,
  batch: number,
  samples: number,
  precision?: Precision,
): Made<Program<"x" | "rows" | "rng", "logits">> {
  const i32 = (shape: readonly number[]) => ({ shape, dtype: "i32" as const });
  const mode = model.stochastic ? "sample" : "mean";
  const program = compile(
    { store: model.store, precision },
    { x: [batch, ...model.inputShape], rows: i32([batch]), rng: i32([4]) },
    ({ x, rows, rng }) => ({
      logits: model.apply(x, { mode, samples, noise: { rng, rows } }).output,
    }),
  );
  const size = batch * imageSize(model.inputShape);
  const feeds = {
    x: Float32Array.from({ length: size }, (_, i) => hash(i) / 2 ** 32 - 0.5),
    rows: Int32Array.from({ length: batch }, (_, i) => i),
    rng: Int32Array.of(...seedKey(1), 0, 0),
  };
  return {
    program,
    feeds,
    run: () => void program.run(feeds),
    [Symbol.dispose]: () => program.close(),
  };
}

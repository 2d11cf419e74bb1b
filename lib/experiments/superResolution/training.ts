/** The networks of the experiment: twins with the same patches and schedule. */
import { join } from "node:path";
import { openModel } from "../../checkpoints/open.ts";
import { embeddedMnist, findData } from "../../data/locate.ts";
import type { Likelihood } from "../../likelihoods/shared/likelihood.ts";
import type { NumberPrediction } from "../../likelihoods/shared/predictions.ts";
import type { Model } from "../../models/model.ts";
import { superResolutionModel } from "../../pictures/model.ts";
import { picturePatches } from "../../pictures/patches.ts";
import { type LumaPicture, loadLuma } from "../../pictures/read.ts";
import { type FitResult, fit } from "../../train/fit.ts";
import { parseRate } from "../../train/schedules.ts";
import { BayesError } from "../../util/errors.ts";
import type { JsonObject, Work } from "../shared/experiment.ts";

/** All that makes a trained network, in JSON. */
export interface TrainingSettings {
  readonly data: string;
  readonly scale: 2 | 3 | 4;
  readonly bayesian: boolean;
  readonly noise: "learned" | "predicted";
  readonly patches: number;
  /** Height and width of one in low resolution. */
  readonly patch: number;
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: string;
  /** 1: the evidence lower bound, of all pixels of all patches as if they were independent. */
  readonly beta?: number;
  readonly seed: number;
  /** The unit whose network it begins as. */
  readonly from?: string;
}

/** Trains, or goes on training, in the unit's folder. Close the model when done. */
export async function trained(
  work: Work,
  settings: TrainingSettings,
): Promise<{ model: Model<Likelihood<NumberPrediction>>; result: FitResult }> {
  const { scale, bayesian, noise, patches, patch, seed } = settings;
  const train = picturePatches(await pictures(work, `${settings.data}/train`), {
    name: settings.data,
    scale,
    patch,
    count: patches,
    seed,
  });
  using from = settings.from === undefined ? undefined : openModel(join(work.dirOf(settings.from), "run"));
  const model = superResolutionModel({ scale, bayesian, noise, patch, seed, ...(from ? { from } : {}) });
  try {
    const result = await fit(
      model,
      { train },
      {
        epochs: settings.epochs,
        batchSize: settings.batchSize,
        learningRate: parseRate(settings.learningRate),
        ...(settings.beta === undefined ? {} : { beta: settings.beta }),
        seed,
        runDir: join(work.dir, "run"),
        resume: true,
        signal: work.signal,
        progress: work.progress,
        callbacks: { onNote: work.say },
      },
    );
    work.signal.throwIfAborted();
    return { model, result };
  } catch (error) {
    model.close();
    throw error;
  }
}

/** What a training has to say: its curves, in units of luma. */
export function curvesOf(model: Model, { history }: FitResult): JsonObject {
  const curve = (of: (r: FitResult["history"][number]) => number | undefined): number[] =>
    history.map((r) => Number((of(r) ?? 0).toPrecision(6)));
  const pixels = model.targetShape.reduce((a, b) => a * b, 1);
  return {
    parameters: model.parameterCount,
    nllPerPixel: (history.at(-1)?.nll ?? 0) / pixels,
    ...(model.bayesian ? { kl: history.at(-1)?.kl ?? 0 } : {}),
    curves: {
      nllPerPixel: curve((r) => r.nll / pixels),
      mse: curve((r) => r.metrics.mse),
      ...(model.bayesian ? { kl: curve((r) => r.kl) } : {}),
    },
  };
}

/** A folder of pictures, looked for as data sets are; in a quick run pictures made of the embedded digits. */
export async function pictures(work: Work, name: string): Promise<LumaPicture[]> {
  if (work.quick) return mosaics(name.endsWith("train") ? 8 : 2);
  const folder = findData(name, work.dataDir);
  if (folder === undefined)
    throw new BayesError(
      `[experiment super-resolution] expected the pictures of ${name} in a folder ${name} below --data-dir or BAYESCNN_DATA, received none`,
      { code: "ERR_BAYES_FILE" },
    );
  return loadLuma(folder);
}

/** Pictures of 5x4 digits each. */
function mosaics(count: number): LumaPicture[] {
  const { images } = embeddedMnist().train as { images: Uint8Array };
  const [rows, columns] = [5, 4];
  return Array.from({ length: count }, (_, n) => {
    const luma = new Float32Array(rows * columns * 784);
    for (let y = 0; y < 28 * rows; y++)
      for (let x = 0; x < 28 * columns; x++) {
        const digit = n * rows * columns + Math.floor(y / 28) * columns + Math.floor(x / 28);
        luma[y * 28 * columns + x] = 16 + Math.round((219 / 255) * images[digit * 784 + (y % 28) * 28 + (x % 28)]);
      }
    return { name: `digits ${n}`, luma, height: 28 * rows, width: 28 * columns };
  });
}

import { existsSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import type { BayesOptions } from "../bayes/settings.ts";
import type { Tensor } from "../graph/node.ts";
import { likelihoodNames, likelihoodOf } from "../likelihoods/known.ts";
import type { Likelihood } from "../likelihoods/shared/likelihood.ts";
import { createModel, type LikelihoodModelConfig, modelNames, priorOf } from "../models/create.ts";
import { Model } from "../models/model.ts";
import { layerChoice, priorConfig } from "../models/schema.ts";
import type { Device, DeviceName } from "../native/device.ts";
import { BayesError, checkOptions, checkPath, fail } from "../util/errors.ts";
import { type Checkpoint, loadCheckpoint, peekCheckpoint, restore, saveCheckpoint } from "./checkpoint.ts";

/**
 * Writes a trained model into one safetensors file, whole or not at all: weights, and everything that its predictions need
 * (preprocessing, likelihood with the class names, threshold). {@link openModel} reads it.
 * @throws BayesError when a value is NaN or infinite, or the file cannot be written; an older one is then as it was
 */
export function saveModel(model: Model, path: string): void {
  saveCheckpoint(path, model);
}

/** What a file cannot hold: the function of a model of one's own. */
export interface OpenOptions<L extends Likelihood = Likelihood> {
  /** Default "auto". */
  readonly device?: DeviceName | Device;
  /** The model function, for a model that `createModel` has not made. */
  readonly build?: (x: Tensor) => Tensor;
  /** Settings of the Bayesian layers, with `build`. */
  readonly bayes?: BayesOptions;
  /** The likelihood, where it is one of your own. */
  readonly likelihood?: L;
}

/**
 * Opens a trained model: what {@link saveModel} wrote, or the folder of a training run (with the weights that the run ended
 * with: the best ones, where it kept those). Close it when done.
 * @param path a safetensors file, or a run folder
 * @throws BayesError when there is none, it is damaged, or it needs options
 */
export function openModel<L extends Likelihood = Likelihood>(path: string, options: OpenOptions<L> = {}): Model<L> {
  return openAs("openModel", path, options);
}

/** {@link openModel} for another function, which its messages name. */
export function openAs<L extends Likelihood>(where: string, path: string, options: OpenOptions<L>): Model<L> {
  checkPath(where, path);
  const own = checkOptions<OpenOptions<L>>(where, options, {
    device: "object|string",
    build: "function",
    bayes: "object",
    likelihood: "object",
  });
  const checkpoint = loadCheckpoint(weightsFile(path, where));
  const model = made(checkpoint, own);
  try {
    restore(model as Model, checkpoint);
  } catch (error) {
    model.close();
    throw error;
  }
  return model;
}

/**
 * The file with the weights that a run ended with; a file itself.
 * @throws BayesError when there is none
 */
export function weightsFile(path: string, where = "openModel"): string {
  if (!existsSync(path)) fail(where, "the file of a model, or the folder of a run", path, "ERR_BAYES_FILE");
  if (!statSync(path).isDirectory()) return path;
  const file = join(path, "checkpoint.safetensors");
  if (!existsSync(file))
    throw new BayesError(
      `[${where}] expected the folder of a trained run, received ${path} without ${basename(file)} (yet)`,
      { code: "ERR_BAYES_FILE" },
    );
  const best = join(path, "best.safetensors");
  const { training } = peekCheckpoint(file);
  return training?.settings.restoreBest === true && existsSync(best) ? best : file;
}

function made<L extends Likelihood>(checkpoint: Checkpoint, options: OpenOptions<L>): Model<L> {
  const { path, model: about } = checkpoint;
  const { device, build, bayes } = options;
  const { config } = about;
  const own = !likelihoodNames.includes(about.likelihood.kind);
  if (own && !options.likelihood)
    throw new BayesError(
      `[${path}] expected the option likelihood for a model of likelihood "${about.likelihood.kind}", which is none of ${likelihoodNames.join(", ")}`,
    );
  const likelihood = options.likelihood ?? (likelihoodOf(about.likelihood) as L);
  if (!build) {
    if (!modelNames.includes(config.model as string))
      throw new BayesError(
        `[${path}] expected the option build, the function of model ${about.name}: a file cannot hold it, and it is none of ${modelNames.join(", ")}`,
      );
    return createModel({ ...config, likelihood, device } as unknown as LikelihoodModelConfig<L>);
  }
  const input = config.input as [number, number, number];
  const layers = layerChoice.safeParse(config.layers).data; // of a model that was made with some, as by toBayesian
  const prior = layers && priorConfig.safeParse(config.prior).data;
  return new Model<L>({
    name: about.name,
    input,
    likelihood,
    build,
    bayes: bayes ?? (prior && { prior: priorOf(prior) }),
    layers,
    device,
    config,
    widths: config.widths as Record<string, number> | undefined,
  });
}

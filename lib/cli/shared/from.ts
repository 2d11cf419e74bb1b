/** `train --from`: a run that begins with the weights of another one, or of a file. */
import type { Command } from "commander";
import { type Checkpoint, peekCheckpoint } from "../../checkpoints/checkpoint.ts";
import { weightsFile } from "../../checkpoints/open.ts";
import { isCheckpoint } from "../../import/source.ts";
import { importWeights } from "../../import/weights.ts";
import { layerTensors } from "../../layers/names.ts";
import type { LikelihoodConfig } from "../../likelihoods/shared/likelihood.ts";
import { spreadOut } from "../../models/convert.ts";
import { type ArchitectureConfig, createModel, type LikelihoodModelConfig, modelNames } from "../../models/create.ts";
import type { Model } from "../../models/model.ts";
import { defaults } from "../../train/defaults.ts";
import { BayesError, fail, words } from "../../util/errors.ts";
import { UsageError } from "./options.ts";
import type { RunConfig } from "./run-folder.ts";
import type { TrainOptions } from "./train-options.ts";

/** Where the weights come from. */
export interface WeightsSource {
  readonly file: string;
  /** What a checkpoint says in place of these options: its architecture, as far as they have one. */
  readonly options: Partial<Pick<TrainOptions, "model" | "width" | "norm" | "bias" | "monteCarloDropout">>;
  /** Of a checkpoint of this library. */
  readonly about?: Omit<Checkpoint, "tensors">;
}

/**
 * What --from means, before any data is read.
 * @throws BayesError for options that go with it alone, or against it, and a file that is none
 */
export function weightsSource(options: TrainOptions, command: Command): WeightsSource | undefined {
  const given = (name: string) => command.getOptionValueSource(name) === "cli";
  if (options.from === undefined) {
    for (const [name, on] of Object.entries({ "--moped": options.moped, "--head-only": options.headOnly }))
      if (on) throw new UsageError(`[train] expected --from together with ${name}, received none`);
    return undefined;
  }
  const against = ["frequentist", "prior", "posterior"].find((name) => options.moped && given(name));
  if (against)
    throw new UsageError(`[train] expected --moped, which has a prior and a posterior, or --${against}, received both`);
  const file = weightsFile(options.from, "--from");
  if (!isCheckpoint(file)) return { file, options: {} };
  const about = peekCheckpoint(file);
  const theirs = about.model.config as Partial<ArchitectureConfig>; // createModel checks it
  const { model, width, norm, monteCarloDropout } = theirs;
  if (typeof model !== "string" || !modelNames.includes(model))
    fail("--from", `the weights of ${modelNames.join(", ")}`, words(about.model.name), "ERR_BAYES_FILE");
  if (given("model") && options.model !== model)
    fail("train", `--model ${model}, the net of ${options.from}`, options.model);
  const some = options.bias === "none" ? defaults.bias : options.bias; // "bayesian" and "point" both take the file's
  const bias = theirs.bias === false ? "none" : some;
  for (const [name, own] of Object.entries({ width: width ?? 1, norm: norm ?? "batch", bias }))
    if (given(name) && options[name as "width"] !== own)
      fail("train", `--${name} ${own}, as ${options.from} has it, or no --${name}`, options[name as "width"]);
  const drops = options.monteCarloDropout || (options.dropout === undefined && monteCarloDropout);
  return { file, options: { model, width, norm, bias, monteCarloDropout: drops }, about };
}

/** The recipe with the activation, dropout, widths and pixels of the source, and the layers that --moped and --head-only ask for. */
export function withSource(
  config: RunConfig,
  { file, about }: WeightsSource,
  { moped = false, headOnly = false, activation, dropout, posterior, from }: TrainOptions,
  say: (note: string) => void,
): RunConfig {
  const theirs = about?.model;
  const bayesian = config.model.bayesian !== false;
  const begun = {
    ...config.model,
    ...(dropout === undefined ? { dropout: theirs?.config.dropout, dropoutAfter: theirs?.config.dropoutAfter } : {}),
    widths: theirs?.config.widths, // of a net that was shrunk
    activation: activation ?? theirs?.config.activation ?? "relu", // what most nets of others have
    ...(theirs?.preprocess ? { preprocess: theirs.preprocess } : {}),
    ...(moped ? { prior: { kind: "gaussian", mean: "initial", sigma: 1 } } : {}),
  };
  using probe = createModel(begun as unknown as LikelihoodModelConfig);
  const tensors = layerTensors(probe.store.slots.values());
  const head = tensors.findLast(({ role }) => role === "weight")!.layer;
  const body = [...new Set(tensors.map(({ layer }) => layer))].filter((layer) => layer !== head);
  const layers = headOnly ? { layers: { ...(bayesian ? { bayesian: [head] } : {}), frozen: body } } : {};
  const except = fitting(probe, file, head, theirs?.likelihood);
  if (except.length > 0) say(`the last layer, ${head}, is new: ${from} was not made for these classes`);
  else if (!theirs) say(`the last layer, ${head}, is that of ${from}: its classes are taken to be ${names(probe)}`);
  if (!theirs?.preprocess)
    say(
      `${from} does not say what its net saw: pixels are normalized by the mean and deviation of the training images`,
    );
  const model = JSON.parse(JSON.stringify({ ...begun, ...layers })) as RunConfig["model"];
  // what is known of a weight is known to a share of it, unless another posterior was asked for
  const delta = bayesian && posterior === defaults.posterior ? { delta: 0.1 } : {};
  return { ...config, model, from: { path: file, except, ...delta } };
}

const names = ({ likelihood: { config } }: Model): string =>
  Array.isArray(config.classes) ? config.classes.slice(0, 12).join(", ") : "those of the data, in order";

/** The last layer where the file's is for other classes, or none; else nothing. @throws BayesError where the rest does not fit either */
function fitting(probe: Model, file: string, head: string, meaning: LikelihoodConfig | undefined): string[] {
  if (meaning === undefined || probe.likelihood.agrees(meaning))
    try {
      importWeights(probe, file);
      return [];
    } catch (error) {
      if (!(error instanceof BayesError)) throw error;
      try {
        importWeights(probe, file, { except: [head] });
      } catch {
        throw error; // the head is not what is wrong with it
      }
      return [head];
    }
  importWeights(probe, file, { except: [head] });
  return [head];
}

/** Puts the weights into the model of a run that begins with some. */
export function takeWeights(model: Model, { from }: Pick<RunConfig, "from">): void {
  if (!from) return;
  importWeights(model, from.path, { except: from.except });
  if (from.delta !== undefined) spreadOut(model, from.delta);
}

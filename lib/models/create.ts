import { z } from "zod";
import { type GaussianPriorOptions, gaussianPrior } from "../bayes/gaussianPrior.ts";
import {
  type AlphaPosteriorOptions,
  alphaPosterior,
  type Posterior,
  type RhoPosteriorOptions,
  rhoPosterior,
} from "../bayes/posterior.ts";
import type { Prior } from "../bayes/prior.ts";
import { type ScaleMixturePriorOptions, scaleMixturePrior } from "../bayes/scaleMixturePrior.ts";
import type { Preprocess } from "../data/prepare.ts";
import type { Tensor } from "../graph/node.ts";
import { type Categorical, categorical } from "../likelihoods/categorical.ts";
import { checkLikelihood, likelihoodOf } from "../likelihoods/known.ts";
import type { Likelihood, LikelihoodConfig } from "../likelihoods/shared/likelihood.ts";
import type { Device, DeviceName } from "../native/device.ts";
import { fail, words } from "../util/errors.ts";
import { alexnet } from "./alexnet.ts";
import { conv3fc3 } from "./conv3fc3.ts";
import { espcn } from "./espcn.ts";
import { defaultActivation, type Kit, type KitOptions, kit } from "./kit.ts";
import { lenet5, lenet5Caffe } from "./lenet5.ts";
import { mobilenet } from "./mobilenet.ts";
import { type LayerChoice, Model } from "./model.ts";
import { resnet18, resnet20 } from "./resnet.ts";
import { layerChoice, posteriorConfig, priorConfig } from "./schema.ts";
import { vgg11, vgg16 } from "./vgg.ts";

/** `size`: the scale of espcn, the width of mobilenet. */
const architectures: Record<string, (x: Tensor, kit: Kit, outputs: number, size?: number) => Tensor> = {
  lenet5,
  "lenet5-caffe": lenet5Caffe,
  alexnet,
  "alexnet-half": (x, k, outputs) => alexnet(x, k, outputs, 0.5),
  "alexnet-slim": (x, k, outputs) => alexnet(x, k, outputs, Math.SQRT1_2),
  "3conv3fc": conv3fc3,
  resnet18,
  resnet20,
  mobilenet,
  vgg11,
  vgg16,
  espcn,
};
/** Those that have norms. */
const normed: readonly string[] = ["resnet18", "resnet20", "mobilenet", "vgg11", "vgg16"];
/** The published architectures. */
export const modelNames: readonly string[] = Object.keys(architectures);
/** Those that answer about an image; espcn gives another one. */
export const answering: readonly string[] = modelNames.filter((name) => name !== "espcn");

/** A posterior in JSON: what {@link rhoPosterior} or {@link alphaPosterior} makes of the rest. */
export type PosteriorConfig =
  | ({ readonly kind: "rho" } & RhoPosteriorOptions)
  | ({ readonly kind: "alpha" } & AlphaPosteriorOptions);
/** A prior in JSON: what {@link gaussianPrior} (one mean and sigma for all) or {@link scaleMixturePrior} makes of the rest. */
export type PriorConfig =
  | { readonly kind: "gaussian"; readonly mean?: number | "tied" | "initial"; readonly sigma?: number }
  | ({ readonly kind: "mixture" } & ScaleMixturePriorOptions);

/** A published architecture and how its layers treat their weights, in JSON. */
export interface ArchitectureConfig extends KitOptions {
  /** One of {@link modelNames}. */
  readonly model: string;
  /** [height, width, channels] of one input. */
  readonly input: readonly [height: number, width: number, channels: number];
  /** How many times larger espcn makes a picture, along each side: 2, 3 (default) or 4. */
  readonly scale?: 2 | 3 | 4;
  /** What multiplies every number of filters of mobilenet, from 0.25 to 1 (default). */
  readonly width?: number;
  readonly posterior?: PosteriorConfig;
  readonly prior?: PriorConfig;
  /** See `BayesSettings`, as of the three below. Default "local". */
  readonly estimator?: "local" | "weight";
  /** Default "closed". */
  readonly kl?: "closed" | "sampled";
  /** Default true. */
  readonly bias?: boolean | "point";
  /** Which layers are Bayesian, and which are not trained; see `ModelOptions`. */
  readonly layers?: LayerChoice;
  /** Seed of the initial parameters; default 0. */
  readonly seed?: number;
  /** Filters or units left by layer, of a model that was shrunk (see `shrink`). */
  readonly widths?: Readonly<Record<string, number>>;
}

const FROM_TO = "0.25 to 1";
const schema = z.strictObject({
  model: z.enum(modelNames as [string, ...string[]]),
  input: z.tuple([z.int().positive(), z.int().positive(), z.int().positive()]).readonly(), // as a data set's shape is
  outputs: z.int().positive(),
  bayesian: z.boolean().default(true),
  activation: z.enum(["softplus", "relu"]).optional(),
  norm: z.enum(["batch", "filter-response"]).optional(),
  dropout: z.number().min(0).max(0.999999).optional(),
  dropoutAfter: z.array(z.string()).readonly().optional(),
  monteCarloDropout: z.boolean().optional(),
  scale: z.union([z.literal(2), z.literal(3), z.literal(4)], { error: "2, 3 or 4" }).optional(),
  width: z.number({ error: FROM_TO }).min(0.25, FROM_TO).max(1, FROM_TO).optional(),
  posterior: posteriorConfig.default({ kind: "rho" }),
  prior: priorConfig.default({ kind: "gaussian" }),
  estimator: z.enum(["local", "weight"]).default("local"),
  kl: z.enum(["closed", "sampled"]).default("closed"),
  bias: z.union([z.boolean(), z.literal("point")], { error: 'true, false or "point"' }).default(true),
  layers: layerChoice.optional(),
  seed: z.int().nonnegative().default(0),
  widths: z.record(z.string(), z.int().positive()).optional(),
}) satisfies z.ZodType<ArchitectureConfig & { readonly outputs: number }>;

/** What of a model's config says which tensors it has, of which shapes: with the defaults of what it leaves out. */
export function shapeOf(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { model, width = 1, norm = "batch", scale, bias = true, widths = {}, input, outputs } = config;
  return { model, width, norm, scale, bias: bias !== false, widths, input, outputs };
}

/** What a model takes besides its architecture. */
interface Surroundings {
  readonly preprocess?: Preprocess;
  /** Where it runs: "cpu", or "auto" (default), the best one of this build. Not part of the model's config. */
  readonly device?: DeviceName | Device;
}
interface Meaning<L extends Likelihood> {
  /** What the output means, such as `gaussian()`; its configuration will do. */
  readonly likelihood: L | LikelihoodConfig;
  /** Values that the network gives for one image; default: as few as the likelihood can read. */
  readonly outputs?: number;
}

/** One of the published architectures for classes: their names or their number make a {@link categorical} likelihood. */
export interface ClassModelConfig extends ArchitectureConfig, Surroundings {
  readonly classes: number | readonly string[];
}
/** One of the published architectures with any likelihood. */
export interface LikelihoodModelConfig<L extends Likelihood = Likelihood>
  extends ArchitectureConfig,
    Surroundings,
    Meaning<L> {}
export type ModelConfig = ClassModelConfig | LikelihoodModelConfig;

/**
 * Builds one of the published architectures (see {@link modelNames}).
 * @throws BayesError that names the first wrong field
 * @example
 * ```ts
 * import { createModel, gaussian } from "bayescnn";
 *
 * const digits = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 });
 * const angles = createModel({ model: "lenet5", input: [28, 28, 1], likelihood: gaussian({ noise: "predicted" }) });
 * digits.close();
 * angles.close();
 * ```
 */
export function createModel(config: ClassModelConfig): Model<Categorical>;
export function createModel<L extends Likelihood>(config: LikelihoodModelConfig<L>): Model<L>;
export function createModel(config: ModelConfig): Model {
  if (typeof config !== "object" || config === null) fail("createModel", "a configuration", config);
  const known = [...Object.keys(schema.shape), "classes", "likelihood", "preprocess", "device"];
  const odd = Object.keys(config).find((key) => !known.includes(key));
  if (odd !== undefined) fail("createModel", `options among ${known.join(", ")}`, odd);
  const {
    classes,
    likelihood: given,
    outputs,
    preprocess,
    device,
    ...rest
  } = config as Partial<ClassModelConfig> & Partial<LikelihoodModelConfig>;
  if ((classes === undefined) === (given === undefined))
    fail(
      "createModel",
      "classes (names or their number), or else a likelihood",
      words(classes === undefined ? "neither" : "both"),
    );
  const likelihood = classes !== undefined ? categorical(classes) : likelihoodFrom(given!);
  const parsed = schema.safeParse({ ...rest, outputs: outputs ?? likelihood.outputs });
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const received = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown>)?.[key], config);
    const unknown = issue.code === "unrecognized_keys" ? issue.keys[0] : received;
    fail("createModel", `a valid ${issue.path.join(".") || "configuration"} (${issue.message})`, unknown);
  }
  const { widths, ...c } = parsed.data;
  const { bayesian, norm, dropout, dropoutAfter, monteCarloDropout } = c;
  const hasNorms = normed.includes(c.model);
  if (c.scale !== undefined && c.model !== "espcn") fail("createModel", "a scale with model espcn alone", c.model);
  if (c.width !== undefined && c.model !== "mobilenet")
    fail("createModel", "a width with model mobilenet alone", c.model);
  const scale = c.model === "espcn" ? (c.scale ?? 3) : undefined;
  const activation = c.activation ?? (c.model === "espcn" ? "relu" : defaultActivation(bayesian, hasNorms));
  if (norm !== undefined && !hasNorms)
    fail("createModel", `norm with ${normed.join(", ")}, the nets that have one`, words(`it with ${c.model}`));
  const layers = kit({ bayesian, activation, norm, dropout, dropoutAfter, monteCarloDropout });
  return new Model({
    name: c.model,
    input: c.input,
    likelihood,
    preprocess,
    build: (x) => architectures[c.model](x, layers, c.outputs, scale ?? c.width),
    bayes: {
      posterior: posteriorOf(c.posterior),
      prior: priorOf(c.prior),
      estimator: c.estimator,
      kl: c.kl,
      bias: c.bias,
    },
    layers: c.layers,
    seed: c.seed,
    device,
    config: { ...c, activation, ...(scale ? { scale } : {}) },
    widths,
  });
}

function likelihoodFrom(given: Likelihood | LikelihoodConfig): Likelihood {
  if (typeof (given as LikelihoodConfig)?.kind === "string") return likelihoodOf(given as LikelihoodConfig);
  checkLikelihood("createModel", given as Likelihood);
  return given as Likelihood;
}

function posteriorOf({ kind, ...options }: PosteriorConfig): Posterior {
  return kind === "rho"
    ? rhoPosterior(options as RhoPosteriorOptions)
    : alphaPosterior(options as AlphaPosteriorOptions);
}

export function priorOf({ kind, ...options }: PriorConfig): Prior {
  return kind === "gaussian"
    ? gaussianPrior(options as GaussianPriorOptions)
    : scaleMixturePrior(options as ScaleMixturePriorOptions);
}

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
import type { Device } from "../device.ts";
import { fail } from "../errors.ts";
import type { Tensor } from "../graph/node.ts";
import { alexnet } from "./alexnet.ts";
import { conv3fc3 } from "./conv3fc3.ts";
import { defaultActivation, type Kit, kit } from "./kit.ts";
import { lenet5 } from "./lenet5.ts";
import { Model } from "./model.ts";
import { resnet20 } from "./resnet20.ts";

const architectures: Record<string, (x: Tensor, kit: Kit, classes: number) => Tensor> = {
  lenet5,
  alexnet,
  "alexnet-half": (x, k, classes) => alexnet(x, k, classes, 0.5),
  "3conv3fc": conv3fc3,
  resnet20,
};
export const modelNames: readonly string[] = Object.keys(architectures);

const posterior = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("rho"),
    rhoInit: z.number().optional(),
    muInit: z.union([z.literal("he"), z.number()]).optional(),
    rhoSpread: z.number().optional(),
  }),
  z.strictObject({
    kind: z.literal("alpha"),
    per: z.enum(["weight", "layer"]).optional(),
    logAlphaInit: z.number().optional(),
    muInit: z.union([z.literal("he"), z.number()]).optional(),
  }),
]);
const prior = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("gaussian"),
    mean: z.union([z.number(), z.literal("tied")]).optional(),
    sigma: z.number().positive().optional(),
  }),
  z.strictObject({
    kind: z.literal("mixture"),
    pi: z.number().min(0).max(1).optional(),
    sigma1: z.number().positive().optional(),
    sigma2: z.number().positive().optional(),
  }),
]);

const schema = z.strictObject({
  model: z.enum(modelNames as [string, ...string[]]),
  input: z.tuple([z.int().positive(), z.int().positive(), z.int().positive()]),
  classes: z.int().positive(),
  bayesian: z.boolean().default(true),
  activation: z.enum(["softplus", "relu"]).optional(),
  posterior: posterior.default({ kind: "rho" }),
  prior: prior.default({ kind: "gaussian" }),
  estimator: z.enum(["local", "weight"]).default("local"),
  kl: z.enum(["closed", "sampled"]).default("closed"),
  bias: z.enum(["bayesian", "point", "none"]).default("bayesian"),
  seed: z.int().nonnegative().default(0),
});

/** A model in JSON: what checkpoints keep and the command line writes. */
export type ModelConfig = z.input<typeof schema>;

/**
 * Builds one of the published architectures (see {@link modelNames}).
 * @throws BayesError that names the first wrong field
 */
export function createModel(config: ModelConfig, device?: Device): Model {
  const parsed = schema.safeParse(config);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const received = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown>)?.[key], config);
    fail("createModel", `a valid ${issue.path.join(".") || "configuration"} (${issue.message})`, received);
  }
  const c = parsed.data;
  const activation = c.activation ?? defaultActivation(c.bayesian);
  const layers = kit(c.bayesian, activation);
  return new Model({
    name: c.model,
    input: c.input,
    classes: c.classes,
    build: (x) => architectures[c.model](x, layers, c.classes),
    bayes: {
      posterior: posteriorOf(c.posterior),
      prior: priorOf(c.prior),
      estimator: c.estimator,
      kl: c.kl,
      bias: c.bias,
    },
    seed: c.seed,
    device,
    config: { ...c, activation },
  });
}

function posteriorOf({ kind, ...options }: z.output<typeof posterior>): Posterior {
  return kind === "rho"
    ? rhoPosterior(options as RhoPosteriorOptions)
    : alphaPosterior(options as AlphaPosteriorOptions);
}

function priorOf({ kind, ...options }: z.output<typeof prior>): Prior {
  return kind === "gaussian"
    ? gaussianPrior(options as GaussianPriorOptions)
    : scaleMixturePrior(options as ScaleMixturePriorOptions);
}

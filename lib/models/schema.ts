/** What configurations in files and from callers have to look like. Apart from the types, which need no package. */
import { z } from "zod";
import type { PosteriorConfig, PriorConfig } from "./create.ts";
import type { LayerChoice } from "./model.ts";

export const posteriorConfig = z.discriminatedUnion("kind", [
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
]) satisfies z.ZodType<PosteriorConfig>;
export const priorConfig = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("gaussian"),
    mean: z.union([z.number(), z.enum(["tied", "initial"])]).optional(),
    sigma: z.number().positive().optional(),
  }),
  z.strictObject({
    kind: z.literal("mixture"),
    pi: z.number().min(0).max(1).optional(),
    sigma1: z.number().positive().optional(),
    sigma2: z.number().positive().optional(),
  }),
]) satisfies z.ZodType<PriorConfig>;

/** A {@link LayerChoice} in a file. */
export const layerChoice = z.strictObject({
  bayesian: z.union([z.boolean(), z.array(z.string()).readonly()]).optional(),
  frozen: z.array(z.string()).readonly().optional(),
}) satisfies z.ZodType<LayerChoice>;

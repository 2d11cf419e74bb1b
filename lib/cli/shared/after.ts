import { amendCheckpoint } from "../../checkpoints/checkpoint.ts";
import { weightsFile } from "../../checkpoints/open.ts";
import { split } from "../../data/split.ts";
import type { ClassPrediction, NumberPrediction } from "../../likelihoods/shared/predictions.ts";
import { TEMPERATURES } from "../../likelihoods/shared/temperature.ts";
import type { Model } from "../../models/model.ts";
import {
  type ConformalIntervals,
  type ConformalResult,
  type ConformalSets,
  conformal,
} from "../../predict/conformal.ts";
import type { EvaluateResult, PredictOptions } from "../../predict/predict.ts";
import { type FittedTemperature, fitTemperature } from "../../predict/temperature.ts";
import { BayesError, fail } from "../../util/errors.ts";
import { parseNumber } from "../../util/number.ts";
import { decimal, declare, spec, type Values } from "./options.ts";
import { count, percent } from "./output.ts";
import type { RunData } from "./run-data.ts";
import { type OpenRun, unfinished } from "./run-folder.ts";

/** What `--temperature` may say besides nothing. */
export function parseTemperature(text: string): number {
  const value = parseNumber(text);
  const [least, most] = TEMPERATURES;
  return value !== undefined && value >= least && value <= most
    ? value
    : fail("--temperature", `nothing, or a number from ${least} to ${most} (1 takes it back)`, text);
}

export const fitted = declare()
  .perhaps(
    "--temperature [t]",
    "fit on the run's validation images how sure it is, and keep that in the run; a number sets it, 1 takes it back",
    spec(parseTemperature),
  )
  .value(
    "--conformal <coverage>",
    "sets of classes (intervals of numbers) that hold so large a share of truths, from the run's validation images",
    decimal(0, 1),
  );

/** What was fitted. */
export interface After {
  readonly temperature?: FittedTemperature;
  readonly conformal?: ConformalSets | ConformalIntervals;
}

/**
 * Fits what was asked for, and leaves the model with it; the run keeps nothing yet. Where both are wanted each gets half of
 * the images: a temperature that has seen those of the sets would break their promise.
 * @throws BayesError for a run without validation images, or one that is not at its end
 */
export async function fitAfter(
  run: OpenRun,
  { valid }: RunData,
  { temperature, conformal: coverage }: Values<typeof fitted>,
  predicting: PredictOptions,
): Promise<After> {
  const where = temperature === undefined ? "--conformal" : "--temperature";
  const early = unfinished(run);
  if (early)
    throw new BayesError(
      `[${where}] expected a finished run, for what is fitted holds for its weights alone: ${early}`,
    );
  if (typeof temperature === "string") run.model.temperature = parseTemperature(temperature);
  const fits = temperature === true;
  if (!fits && coverage === undefined) return {};
  if (!valid)
    throw new BayesError(
      `[${where}] expected a run with validation images to fit to, received one trained with --validation 0`,
      { code: "ERR_BAYES_DATA" },
    );
  const both = fits && coverage !== undefined;
  const { train: first, valid: second } = both
    ? split(valid, { valid: Math.floor(valid.count / 2) }, run.config.data.seed)
    : { train: valid, valid };
  return {
    ...(fits ? { temperature: await fitTemperature(run.model, first, predicting) } : {}),
    ...(coverage === undefined ? {} : { conformal: await conformal(run.model, second, { ...predicting, coverage }) }),
  };
}

/** Keeps the model's temperature in its run; a threshold that was chosen at another one goes. */
export function keepTemperature(dir: string, { likelihood, threshold }: Model): void {
  amendCheckpoint(weightsFile(dir), { likelihood: likelihood.config, threshold });
}

/** How the sets do on the test. */
export function testSets(
  { conformal: made }: After,
  { prediction, targets }: EvaluateResult,
): ConformalResult | undefined {
  return made?.test(prediction as ClassPrediction & NumberPrediction, targets);
}

/** The same in lines. */
export function afterLines({ temperature: t, conformal: made }: After, tested: ConformalResult | undefined): string[] {
  const said: string[] = [];
  if (t) {
    const was =
      t.temperature > 1
        ? "surer than it was right"
        : t.temperature < 1
          ? "less sure than it was right"
          : "as sure as it should be";
    said.push(
      `temperature ${t.temperature.toFixed(3)}: on ${count(t.count)} validation images it was ${was} (NLL ${t.nll.before.toFixed(4)}, now ${t.nll.after.toFixed(4)})`,
    );
  }
  if (made && tested) {
    const [low, high] = tested.interval.map((x) => percent(x, 1));
    const what =
      made.kind === "sets"
        ? `sets of ${tested.size.toFixed(2)} classes on average`
        : `intervals ${Number(tested.size.toPrecision(3))} wide on average`;
    said.push(
      `${what} hold the truth of ${percent(tested.coverage, 1)} of the test images (95 % interval ${low} to ${high}); ${percent(made.coverage, 1)} were asked for, from ${count(made.count)} validation images`,
    );
  }
  return said;
}

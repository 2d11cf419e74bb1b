/**
 * Super-resolution (Shridhar et al. 2019, chapter 5, whose code for it had no Bayesian layer): the Bayesian network and its twin,
 * with the same patches and schedule, and how far what they say of their own errors is true.
 */
import type { Experiment, JsonObject, Unit, UnitOptions } from "./experiment.ts";
import { curvesOf, type TrainingSettings, trained } from "./superResolution/training.ts";

/** Scale, noise, and epochs: the published comparison is that of x3. */
const plans = [
  [3, "predicted", 6],
  [3, "learned", 6],
  [2, "predicted", 3],
  [4, "predicted", 6],
] as const;

export const superResolution: Experiment = {
  name: "super-resolution",
  summary: "PSNR, SSIM and calibration of pictures made 2, 3 and 4 times larger, on BSD300 and Set5",
  units: (options) => plans.slice(0, options.quick ? 2 : undefined).flatMap((plan) => unitsOf(plan, options)),
};

function unitsOf([scale, noise, epochs]: (typeof plans)[number], { quick, seed }: UnitOptions): Unit[] {
  const settings = (bayesian: boolean): TrainingSettings => ({
    data: "bsd300",
    scale,
    bayesian,
    noise,
    patches: quick ? 64 : 4800,
    patch: quick ? 16 : 32,
    epochs: quick ? 1 : epochs,
    batchSize: 8,
    learningRate: "cosine:0.002",
    ...(bayesian ? { beta: 1 } : {}),
    seed,
  });
  return [true, false].map((bayesian) =>
    training(`x${scale}-${noise}-${bayesian ? "bayesian" : "frequentist"}-${seed}`, settings(bayesian), {
      minutes: quick ? 0.1 : epochs * (bayesian ? 0.9 : 0.4),
    }),
  );
}

const training = (name: string, settings: TrainingSettings, { minutes }: { minutes: number }): Unit => ({
  name,
  settings: settings as unknown as JsonObject,
  minutes,
  async run(work) {
    const { model, result } = await trained(work, settings);
    using _ = model;
    return curvesOf(model, result);
  },
});

/**
 * Super-resolution (Shridhar et al. 2019, chapter 5, whose code for it had no Bayesian layer): the Bayesian network and its twin,
 * with the same patches and schedule, and how far what they say of their own errors is true.
 */
import type { Experiment, JsonObject, Unit, UnitOptions } from "./shared/experiment.ts";
import { figuresOn, SAMPLES, shownOn } from "./superResolution/figures.ts";
import { curvesOf, type TrainingSettings, trained } from "./superResolution/training.ts";

/** Scale, and the epochs with one learned sigma, then with a predicted one for each pixel. */
const plans = [
  [3, 6, 5],
  [2, 3, 2],
  [4, 6, 3],
] as const;

export const superResolution: Experiment = {
  name: "super-resolution",
  title: "Super-resolution",
  summary: "PSNR, SSIM and calibration of pictures made 2, 3 and 4 times larger, on BSD300 and Set5",
  units: (options) => plans.slice(0, options.quick ? 1 : undefined).flatMap((plan) => unitsOf(plan, options)),
};

function unitsOf([scale, first, second]: (typeof plans)[number], { quick, seed }: UnitOptions): Unit[] {
  const trainings = [true, false].flatMap((bayesian) => {
    const name = (noise: string) => `x${scale}-${noise}-${bayesian ? "bayesian" : "frequentist"}-${seed}`;
    const settings = {
      data: "bsd300",
      scale,
      bayesian,
      patches: quick ? 64 : 4800,
      patch: quick ? 16 : 24,
      batchSize: 8,
      ...(bayesian ? { beta: 1 } : {}),
      seed,
    };
    const epoch = quick ? 0.1 : bayesian ? 0.5 : 0.2;
    return [
      training(
        name("learned"),
        { ...settings, noise: "learned", epochs: quick ? 2 : first, learningRate: "cosine:0.002" },
        epoch * first,
      ),
      training(
        name("predicted"),
        {
          ...settings,
          noise: "predicted",
          epochs: quick ? 1 : second,
          learningRate: "cosine:0.001",
          from: name("learned"),
        },
        epoch * second,
      ),
    ];
  });
  const sets = ["bsd300/test", "set5"].map((set) => figures(set, scale, trainings, seed, quick ? 0.1 : 5));
  return [...trainings, ...sets, ...(scale === 3 ? [shown(scale, seed)] : [])];
}

/** Of all networks of one scale on one set of pictures. */
function figures(set: string, scale: number, trainings: readonly Unit[], seed: number, minutes: number): Unit {
  const names = trainings.map((unit) => unit.name);
  return {
    name: `x${scale}-${set.replace("/", "-")}-${seed}`,
    settings: { set, scale, seed, samples: SAMPLES, networks: trainings.map((unit) => unit.settings) },
    needs: names,
    minutes: set === "set5" ? minutes / 10 : minutes,
    async run(work) {
      const found: Record<string, JsonObject> = { bicubic: await figuresOn(work, set, { scale }) };
      for (const unit of names)
        found[unit.split("-").slice(1, 3).join(" ")] = await figuresOn(work, set, { scale, unit });
      return found;
    },
  };
}

/** The picture to look at. */
function shown(scale: number, seed: number): Unit {
  const about = { scale, unit: `x${scale}-predicted-bayesian-${seed}`, name: "butterfly.png" };
  return {
    name: `x${scale}-butterfly-${seed}`,
    settings: { ...about, samples: SAMPLES, seed },
    needs: [about.unit],
    minutes: 0.2,
    run: (work) => shownOn(work, "set5", about),
  };
}

const training = (name: string, settings: TrainingSettings, minutes: number): Unit => ({
  name,
  settings: settings as unknown as JsonObject,
  ...(settings.from ? { needs: [settings.from] } : {}),
  minutes,
  async run(work) {
    const { model, result } = await trained(work, settings);
    using _ = model;
    return curvesOf(model, result);
  },
});

/**
 * The paper's tables of accuracies (Shridhar et al. 2019, chapter 5) and what they lack: twins of the same widths, schedule and
 * augmentation, a validation set that picks the twin's weight decay, and a test set that is looked at once.
 */
import type { Augmentation } from "../data/augment.ts";
import type { DatasetName } from "../data/locate.ts";
import { defaults } from "../train/defaults.ts";
import type { Experiment, JsonObject, Unit, UnitOptions } from "./experiment.ts";
import { figuresOf, type TrainingSettings, trained } from "./training.ts";

const augmented: Readonly<Record<DatasetName, Augmentation | undefined>> = {
  mnist: undefined,
  "fashion-mnist": { flip: true },
  "cifar-10": { shift: 4, flip: true },
  "cifar-100": { shift: 4, flip: true },
};

/** Epochs, seeds, and minutes an epoch of the Bayesian net on one core. */
type Plan = readonly [data: DatasetName, model: string, epochs: number, seeds: number, minutes: number];
const plans: readonly Plan[] = [
  ["mnist", "lenet5", 20, 3, 0.1],
  ["fashion-mnist", "lenet5", 30, 3, 0.1],
  ["cifar-10", "lenet5", 60, 3, 0.12],
  ["cifar-100", "lenet5", 60, 1, 0.12],
  ["mnist", "alexnet", 10, 1, 1.5],
  ["fashion-mnist", "alexnet", 10, 1, 1.5],
  ["cifar-10", "alexnet", 30, 1, 1.3],
  ["cifar-100", "alexnet", 30, 1, 1.3],
  ["cifar-10", "alexnet-half", 30, 1, 0.5],
  ["cifar-100", "alexnet-half", 30, 1, 0.5],
  ["mnist", "3conv3fc", 8, 1, 3.5],
  ["cifar-10", "3conv3fc", 20, 1, 3],
  ["cifar-100", "3conv3fc", 20, 1, 3],
  ["cifar-10", "resnet20", 30, 1, 5],
];

/** What validation picks the twin's weight decay from. */
export const DECAYS = [0, 1e-4, 5e-4];

export const classification: Experiment = {
  name: "classification",
  title: "Classification",
  summary: "accuracy, NLL and calibration of the paper's nets and of their frequentist twins",
  units: (options) => plans.flatMap((plan) => unitsOf(plan, options)),
};

function unitsOf([data, model, epochs, seeds, minutes]: Plan, { quick, seed: first }: UnitOptions): Unit[] {
  if (quick && model !== "lenet5") return [];
  return Array.from({ length: quick ? 1 : seeds }, (_, i) => first + i).flatMap((seed) => {
    const settings: TrainingSettings = {
      data,
      model: { model },
      epochs: quick ? 2 : epochs,
      batchSize: defaults.batchSize,
      learningRate: `cosine:${defaults.learningRate}`,
      ...(augmented[data] ? { augment: augmented[data] } : {}),
      seed,
    };
    const name = `${data}-${model}`;
    const cost = quick ? 0.1 : epochs * minutes;
    return [
      unit(`${name}-bayesian-${seed}`, { ...settings, beta: Number(defaults.beta) }, cost),
      ...DECAYS.slice(0, quick ? 1 : undefined).map((weightDecay) =>
        unit(
          `${name}-frequentist-${weightDecay}-${seed}`,
          { ...settings, model: { model, bayesian: false }, weightDecay },
          0.6 * cost,
        ),
      ),
    ];
  });
}

const unit = (name: string, settings: TrainingSettings, minutes: number): Unit => ({
  name,
  settings: settings as unknown as JsonObject,
  minutes,
  async run(work) {
    const { model, parts, result } = await trained(work, settings);
    using _ = model;
    return await figuresOf(model, parts, result);
  },
});

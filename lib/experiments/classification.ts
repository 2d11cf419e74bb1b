/**
 * The paper's tables of accuracies (Shridhar et al. 2019, chapter 5) and what they lack: twins of the same widths, schedule and
 * augmentation, a validation set that picks the twin's weight decay, and a test set that is looked at once.
 */
import { join } from "node:path";
import type { Augmentation } from "../data/augment.ts";
import type { DatasetName } from "../data/locate.ts";
import { classificationMetrics } from "../metrics/classification.ts";
import { evaluate, predict } from "../predict/predict.ts";
import { defaults } from "../train/defaults.ts";
import type { Experiment, JsonObject, Unit, UnitOptions } from "./shared/experiment.ts";
import { figuresOf, partsOf, type TrainingSettings, trained } from "./shared/training.ts";

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
  ["cifar-10", "alexnet", 60, 1, 0.8],
  ["cifar-100", "alexnet", 60, 1, 0.8],
  ["cifar-10", "alexnet-half", 30, 1, 0.5],
  ["cifar-100", "alexnet-half", 30, 1, 0.5],
  ["mnist", "3conv3fc", 8, 1, 3.5],
  ["cifar-10", "3conv3fc", 30, 1, 2],
  ["cifar-100", "3conv3fc", 30, 1, 2],
  ["cifar-10", "resnet20", 30, 1, 5],
];

/** Data on which the Bayesian nets have their twin's ReLU: with the paper's softplus they learn less of pictures. */
const RELU: readonly DatasetName[] = ["cifar-10", "cifar-100"];

/** Learning rates of the deeper nets on them: at 0.002 both twins of AlexNet still climbed when the schedule ended. */
const PICTURE_RATE: Readonly<Record<string, number>> = { alexnet: 1e-3, "3conv3fc": 1e-3 };

/** Weights of the KL term tried on them, and what their validation images preferred: 0.02, which is less sure of too little than 0.1. */
const BETAS = [0.1, 0.02, 0.005];
const PICTURE_BETA = 0.02;

/** What validation picks the twin's weight decay from. */
export const DECAYS = [0, 1e-4, 5e-4];

export const classification: Experiment = {
  name: "classification",
  title: "Classification",
  summary: "accuracy, NLL and calibration of the paper's nets and of their frequentist twins",
  units: (options) => [...choices(options), ...plans.flatMap((plan) => unitsOf(plan, options))],
};

/** The weight of the KL term of pictures, by the NLL of validation images. */
function choices({ quick, seed }: UnitOptions): Unit[] {
  const [data, model, epochs, , minutes] = plans.find(([data, model]) => `${data}-${model}` === "cifar-10-lenet5")!;
  return BETAS.slice(0, quick ? 1 : undefined).map((beta) => {
    const settings: TrainingSettings = {
      ...commonOf(data, model, quick ? 1 : epochs),
      model: { model, activation: "relu" },
      beta,
      seed,
    };
    return {
      name: `choice-${data}-${model}-beta-${beta}-${seed}`,
      settings: settings as unknown as JsonObject,
      minutes: quick ? 0.1 : epochs * minutes,
      async run(work) {
        const { model, parts } = await trained(work, settings);
        using _ = model;
        const { accuracy, nll, ece, brier } = (await evaluate(model, parts.valid, { samples: defaults.testSamples }))
          .metrics;
        return { accuracy, nll, ece, brier };
      },
    };
  });
}

const commonOf = (data: DatasetName, model: string, epochs: number) => ({
  data,
  epochs,
  batchSize: defaults.batchSize,
  learningRate: `cosine:${(RELU.includes(data) && PICTURE_RATE[model]) || defaults.learningRate}`,
  ...(augmented[data] ? { augment: augmented[data] } : {}),
});

/** Behind which layers Monte-Carlo dropout is (Gal and Ghahramani 2016), of the nets that have it as a baseline. */
const DROPOUT: Readonly<Record<string, readonly string[]>> = {
  lenet5: ["fc1", "fc2"],
  alexnet: ["conv1", "conv3", "conv5"],
};
/** The paper's table of dropouts: how many, and behind which layers. */
const DROPOUTS = [["conv1"], ["conv1", "conv3"], ["conv1", "conv3", "conv5"]];
const RATE = 0.5;
/** Twins in an ensemble, of which so many are trained anyway. */
const MEMBERS = 5;

function unitsOf([data, model, epochs, seeds, minutes]: Plan, { quick, seed: first }: UnitOptions): Unit[] {
  if (quick && model !== "lenet5") return [];
  const common = commonOf(data, model, quick ? 2 : epochs);
  const name = `${data}-${model}`;
  const cost = quick ? 0.1 : epochs * minutes;
  const decays = DECAYS.slice(0, quick ? 1 : undefined);
  const plain = { model, bayesian: false };
  const of = (seed: number): Unit[] => {
    const settings = { ...common, model: { model }, seed };
    const places = DROPOUT[model];
    const dropout = { ...plain, dropout: RATE, dropoutAfter: places, monteCarloDropout: true };
    const pictures = RELU.includes(data);
    const bayesian = { ...settings, beta: pictures ? PICTURE_BETA : Number(defaults.beta) };
    const likeTwin = pictures ? { model: { model, activation: "relu" } as const } : {};
    return [
      unit(`${name}-bayesian-${seed}`, { ...bayesian, ...likeTwin }, cost),
      ...(name === "cifar-10-lenet5" && seed === first
        ? [unit(`${name}-bayesian-softplus-${seed}`, bayesian, cost)]
        : []),
      ...decays.map((weightDecay) =>
        unit(`${name}-frequentist-${weightDecay}-${seed}`, { ...settings, model: plain, weightDecay }, 0.6 * cost),
      ),
      ...(places && !quick ? [unit(`${name}-mc-dropout-${seed}`, { ...settings, model: dropout }, 0.6 * cost)] : []),
    ];
  };
  const all = Array.from({ length: quick ? 1 : seeds }, (_, i) => of(first + i)).flat();
  const twins = { ...common, model: plain, seed: first };
  if (seeds >= 3 && !quick) all.push(ensemble(name, twins, seeds, cost));
  if (name === "cifar-100-alexnet")
    all.push(
      ...DROPOUTS.map((dropoutAfter) =>
        unit(
          `${name}-dropout-${dropoutAfter.length}-${first}`,
          { ...twins, model: { ...plain, dropout: RATE, dropoutAfter } },
          0.6 * cost,
        ),
      ),
    );
  return all;
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

/** The mean prediction of twins with the weight decay that validation picks (Lakshminarayanan et al. 2017, without adversarial training). */
function ensemble(name: string, settings: TrainingSettings, seeds: number, cost: number): Unit {
  const { seed: first } = settings;
  const own = Array.from({ length: seeds }, (_, i) => first + i);
  const twin = (decay: number, seed: number) => `${name}-frequentist-${decay}-${seed}`;
  return {
    name: `${name}-ensemble-${first}`,
    settings: { ...settings, members: MEMBERS } as unknown as JsonObject,
    needs: DECAYS.flatMap((decay) => own.map((seed) => twin(decay, seed))),
    minutes: 0.6 * cost * (MEMBERS - seeds),
    async run(work) {
      const weightDecay = pickedDecay(own.map((seed) => (decay) => work.figuresOf(twin(decay, seed))));
      const parts = await partsOf(work, settings.data);
      const sum = { test: undefined as Float32Array | undefined, valid: undefined as Float32Array | undefined };
      for (let seed = first; seed < first + MEMBERS; seed++) {
        const dir = own.includes(seed) ? work.dirOf(twin(weightDecay, seed)) : join(work.dir, String(seed));
        const { model } = await trained({ ...work, dir }, { ...settings, weightDecay, seed });
        using _ = model;
        for (const part of ["test", "valid"] as const) {
          const { probabilities } = await predict(model, parts[part]);
          sum[part] = probabilities.map((p, i) => (sum[part]?.[i] ?? 0) + p / MEMBERS);
        }
      }
      const on = (part: "test" | "valid"): JsonObject => {
        const { accuracy, nll, ece, brier } = classificationMetrics(sum[part]!, parts[part].targets);
        return { accuracy, nll, ece, brier };
      };
      return { ...on("test"), valid: on("valid"), weightDecay, members: MEMBERS };
    },
  };
}

/** The weight decay with the lowest mean NLL on the validation images. */
export function pickedDecay(figures: readonly ((decay: number) => JsonObject)[], decays = DECAYS): number {
  const nll = (decay: number) => figures.reduce((sum, of) => sum + (of(decay).valid as { nll: number }).nll, 0);
  return decays.toSorted((a, b) => nll(a) - nll(b))[0];
}

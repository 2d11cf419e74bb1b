/**
 * How sure the nets of the classification table are, and of what: on their own test images, on those of another set, turned, and damaged.
 * The frequentist twin is asked the same; its entropy is the baseline of every measure.
 */

import { join } from "node:path";
import { openModel } from "../checkpoints/open.ts";
import { type ClassDataset, type Dataset, subset } from "../data/dataset.ts";
import type { DatasetName } from "../data/locate.ts";
import type { Categorical } from "../likelihoods/categorical.ts";
import type { ClassPrediction } from "../likelihoods/shared/predictions.ts";
import { classificationMetrics } from "../metrics/classification.ts";
import { auroc } from "../metrics/ood.ts";
import { decompose, normalizedSoftplusRows } from "../metrics/uncertainty.ts";
import { createModel, type LikelihoodModelConfig } from "../models/create.ts";
import type { Model } from "../models/model.ts";
import { predict } from "../predict/predict.ts";
import { defaults } from "../train/defaults.ts";
import { classification, DECAYS, pickedDecay } from "./classification.ts";
import { corrupted, corruptions, rotated, STRENGTHS } from "./corruptions.ts";
import type { Experiment, JsonObject, Unit, Work } from "./shared/experiment.ts";

/** The net, the data that it knows, and data that it does not. */
const pairs = [
  ["mnist", "lenet5", "fashion-mnist"],
  ["fashion-mnist", "lenet5", "mnist"],
  ["cifar-10", "lenet5", "cifar-100"],
  ["mnist", "alexnet", "fashion-mnist"],
  ["cifar-10", "alexnet", "cifar-100"],
] as const;

export const uncertainty: Experiment = {
  name: "uncertainty",
  title: "Uncertainty",
  summary: "epistemic and aleatoric uncertainty, strange images, rotation and damage, beside the twin's entropy",
  units: (options) => {
    const trained = new Set(classification.units(options).map((u) => u.name));
    return pairs.flatMap(([data, model, strange]) => {
      const bayesian = `${data}-${model}-bayesian-${options.seed}`;
      const twins = DECAYS.map((decay) => `${data}-${model}-frequentist-${decay}-${options.seed}`);
      return trained.has(bayesian)
        ? [
            unit(
              data,
              model,
              strange,
              bayesian,
              twins.filter((name) => trained.has(name)),
              options.quick,
            ),
          ]
        : [];
    });
  },
};

function unit(
  data: DatasetName,
  model: string,
  strange: DatasetName,
  bayesian: string,
  twins: readonly string[],
  quick: boolean,
): Unit {
  const samples = quick ? 4 : defaults.testSamples;
  const damaged = quick ? 50 : 2000;
  const ofClassification = (name: string) => `classification/${name}`;
  return {
    name: `${data}-${model}`,
    settings: { data, model, strange, samples, damaged, angles: ANGLES, strengths: STRENGTHS } as unknown as JsonObject,
    needs: [bayesian, ...twins].map(ofClassification),
    minutes: quick ? 0.2 : model === "lenet5" ? 4 : 30,
    async run(work) {
      const figures = (decay: number) => work.figuresOf(ofClassification(twins[DECAYS.indexOf(decay)]));
      const twin = twins[DECAYS.indexOf(pickedDecay([figures], DECAYS.slice(0, twins.length)))];
      const open = (name: string) =>
        openModel<Categorical>(join(work.dirOf(ofClassification(name)), "run")) as Model<Categorical>;
      using net = open(bayesian);
      using plain = open(twin);
      const { test } = await work.data(data);
      const other = (await work.data(strange)).test;
      const some = subset(test, every(test.count, damaged));
      return {
        twin,
        ...(await known(net, test, samples)),
        untrained: await untrained(net, some, samples),
        strange: await strangers(work, net, plain, test, other, samples),
        rotation: await rotation(net, plain, some, samples),
        damage: await damage(work, net, plain, some, samples),
      };
    },
  };
}

/** Indices of `most` images, evenly through a set: the first half of MNIST's test images is the easier one. */
const every = (count: number, most: number): number[] =>
  Array.from({ length: Math.min(count, most) }, (_, i) => Math.floor((i * count) / Math.min(count, most)));

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}
const rounded = (x: number): number => Number(x.toPrecision(6));

async function asked(model: Model<Categorical>, data: Dataset, samples: number): Promise<ClassPrediction> {
  return predict(model, data, { samples: model.bayesian ? samples : 1 });
}

/** Both uncertainties of the test images, summed over the classes (Kwon et al. 2018), by softmax and by normalized softplus, and by class. */
async function known(net: Model<Categorical>, test: ClassDataset, samples: number): Promise<JsonObject> {
  const p = await asked(net, test, samples);
  const classes = p.classes.length;
  const softplus = decompose(normalizedSoftplusRows(p.logits, classes), p.samples, p.count, classes);
  const byClass = p.classes.map((name, c) => {
    const own = (values: Float32Array) => rounded(mean(values.filter((_, i) => test.targets[i] === c)));
    return { class: name, epistemic: own(p.epistemicTotal), aleatoric: own(p.aleatoricTotal) };
  });
  return {
    softmax: { epistemic: rounded(mean(p.epistemicTotal)), aleatoric: rounded(mean(p.aleatoricTotal)) },
    softplus: { epistemic: rounded(mean(softplus.epistemicTotal)), aleatoric: rounded(mean(softplus.aleatoricTotal)) },
    byClass: byClass.length > 20 ? [] : byClass,
  };
}

/** The same of the net before its first step: what the split says when nothing was learned. */
async function untrained(net: Model<Categorical>, test: ClassDataset, samples: number): Promise<JsonObject> {
  const { config, preprocess } = net;
  using fresh = createModel({
    ...(config as unknown as LikelihoodModelConfig<Categorical>),
    likelihood: net.likelihood,
    preprocess,
    seed: 1,
  });
  const p = await asked(fresh as Model<Categorical>, test, samples);
  return {
    accuracy: classificationMetrics(p.probabilities, test.targets).accuracy,
    epistemic: rounded(mean(p.epistemicTotal)),
    aleatoric: rounded(mean(p.aleatoricTotal)),
  };
}

/** How well each measure tells the images of another set from those of its own: area under the ROC curve. */
async function strangers(
  work: Work,
  net: Model<Categorical>,
  plain: Model<Categorical>,
  test: ClassDataset,
  other: ClassDataset,
  samples: number,
): Promise<JsonObject> {
  work.say(`strange images: ${other.name}`);
  const [own, strange] = [await asked(net, test, samples), await asked(net, other, samples)];
  const [twinOwn, twinStrange] = [await asked(plain, test, 1), await asked(plain, other, 1)];
  const classes = own.classes.length;
  const softplus = (p: ClassPrediction) =>
    decompose(normalizedSoftplusRows(p.logits, classes), p.samples, p.count, classes);
  const [plusOwn, plusStrange] = [softplus(own), softplus(strange)];
  const measures = {
    entropy: [own.entropy, strange.entropy],
    "mutual information": [own.mutualInformation, strange.mutualInformation],
    epistemic: [own.epistemicTotal, strange.epistemicTotal],
    aleatoric: [own.aleatoricTotal, strange.aleatoricTotal],
    "epistemic, softplus": [plusOwn.epistemicTotal, plusStrange.epistemicTotal],
    "twin's entropy": [twinOwn.entropy, twinStrange.entropy],
  };
  return {
    data: other.name,
    auroc: Object.fromEntries(Object.entries(measures).map(([name, [a, b]]) => [name, rounded(auroc(a, b))])),
  };
}

const ANGLES = [0, 15, 30, 45, 60, 75, 90, 105, 120, 135, 150, 165, 180];

/** Figures of both nets on changed images. */
async function both(net: Model<Categorical>, plain: Model<Categorical>, data: ClassDataset, samples: number) {
  const figures = async (model: Model<Categorical>) => {
    const p = await asked(model, data, samples);
    const { accuracy, nll, ece } = classificationMetrics(p.probabilities, data.targets);
    const sure = {
      entropy: rounded(mean(p.entropy)),
      epistemic: rounded(mean(p.epistemicTotal)),
      aleatoric: rounded(mean(p.aleatoricTotal)),
    };
    return { accuracy: rounded(accuracy), nll: rounded(nll), ece: rounded(ece), ...sure };
  };
  return { bayesian: await figures(net), frequentist: await figures(plain) };
}

async function rotation(net: Model<Categorical>, plain: Model<Categorical>, data: ClassDataset, samples: number) {
  const all = [];
  for (const angle of ANGLES)
    all.push({ angle, ...(await both(net, plain, rotated(data, angle) as ClassDataset, samples)) });
  return all;
}

async function damage(
  work: Work,
  net: Model<Categorical>,
  plain: Model<Categorical>,
  data: ClassDataset,
  samples: number,
) {
  const all = [];
  for (const kind of corruptions) {
    work.say(`damaged images: ${kind}`);
    for (const strength of [1, 2, 3, 4, 5]) {
      work.signal.throwIfAborted();
      all.push({
        kind,
        strength,
        ...(await both(net, plain, (await corrupted(data, kind, strength)) as ClassDataset, samples)),
      });
    }
  }
  return all;
}

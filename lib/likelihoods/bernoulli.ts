/** Several labels that may each be there or not, or one: a discriminator. Sigmoid of the logits, binary cross-entropy. */
import { alignColumns, classNames, sameNames, unnamed } from "../data/classes.ts";
import { constant, sameShape } from "../graph/node.ts";
import { average } from "../metrics/statistics.ts";
import { binaryCrossEntropyWithLogits, greaterEqual, scale, sigmoid, square, sub, sum } from "../ops/index.ts";
import { BayesError, checkOptions, fail } from "../util/errors.ts";
import { newArray } from "../util/memory.ts";
import { softplus } from "../util/softplus.ts";
import { bernoulliReport } from "./report/bernoulli.ts";
import { cause, percents } from "./shared/doubt.ts";
import { type Figure, type Likelihood, ours, type Targets } from "./shared/likelihood.ts";
import { surprisesOf, totalVariance, tracedMoments, UNCERTAINTY } from "./shared/moments.ts";
import type { BernoulliPrediction } from "./shared/predictions.ts";
import { perRow, rowsLike } from "./shared/rows.ts";
import { checkTemperature, type Tempered, temper } from "./shared/temperature.ts";

export interface BernoulliOptions extends Tempered {
  /** Names of the labels, or how many there are; default 1. */
  readonly labels?: number | readonly string[];
}

const FIGURES: readonly Figure[] = [
  { name: "accuracy", title: "accuracy", hint: "labels on the right side of one half", better: "higher", share: true },
  { name: "nll", title: "NLL", hint: "nats an image; surprise at all of its labels", better: "lower" },
  { name: "brier", title: "Brier", hint: "squared error of the probabilities", better: "lower" },
  { name: "exactMatch", title: "exact match", hint: "images with every label right", better: "higher", share: true },
  ...UNCERTAINTY,
];

const logistic = (z: number): number => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));

/**
 * Independent yes-or-no labels, each 0 or 1 in the targets [batch, labels] (a value between is a soft label). The network
 * gives one logit a label, [batch, labels]. A data set of two classes is taken for one label: whether it is the second
 * (once the model knows names: whether it is the class of the label's name).
 */
export function bernoulli(options: BernoulliOptions = {}): Likelihood<BernoulliPrediction> {
  const { labels = 1, temperature } = checkOptions("bernoulli", options, {
    labels: "number|object",
    temperature: "number",
  });
  const names = classNames("bernoulli", labels);
  const K = names.length;
  const hot = checkTemperature("bernoulli", temperature);
  const self: Likelihood<BernoulliPrediction> = {
    config: Object.freeze({ kind: "bernoulli", labels: unnamed(names) ? K : names, ...hot }),
    ...hot,
    tempered: (temperature) => bernoulli({ labels: unnamed(names) ? K : names, temperature }),
    outputs: K,
    figures: FIGURES,

    targetShape(where, output) {
      if (output.length !== 1 || output[0] !== K)
        fail(where, `an output of shape [batch, ${K}], one logit a label`, ["batch", ...output]);
      return [K];
    },
    targets(where, data, shape) {
      if (data.targets instanceof Int32Array) {
        if (K === 1 && data.classes?.length === 2) {
          const there = unnamed(names) || unnamed(data.classes) ? 1 : data.classes.indexOf(names[0]);
          if (there < 0) fail(where, `a class ${names[0]} in data set ${data.name}`, data.classes, "ERR_BAYES_DATA");
          return Float32Array.from(data.targets, (label) => Number(label === there));
        }
        throw new BayesError(
          `[${where}] expected targets 0 or 1 for ${K} label${K > 1 ? "s" : ""} of likelihood bernoulli, received the classes of data set ${data.name}`,
          { code: "ERR_BAYES_DATA" },
        );
      }
      if (!(sameShape(data.targetShape, shape) || (K === 1 && data.targetShape.length === 0)))
        fail(
          where,
          `targets of shape [${shape}] for likelihood bernoulli in data set ${data.name}`,
          data.targetShape,
          "ERR_BAYES_DATA",
        );
      const wrong = data.targets.findIndex((v) => !(v >= 0 && v <= 1));
      if (wrong >= 0)
        fail(
          where,
          `targets from 0 to 1 in data set ${data.name} (value ${wrong})`,
          data.targets[wrong],
          "ERR_BAYES_DATA",
        );
      return alignColumns(where, data, names);
    },
    informed({ classes, targets, targetNames }) {
      // of two classes the one that is asked about
      const two = classes?.length === 2 && !unnamed(classes) ? classes.slice(1) : undefined;
      const theirs = targets instanceof Int32Array ? two : targetNames;
      const news = unnamed(names) && theirs?.length === K && !unnamed(theirs);
      return news ? bernoulli({ labels: theirs, ...hot }) : self;
    },
    agrees: ({ kind, labels }) => kind === "bernoulli" && sameNames(names, labels),

    nll: (output, targets) => perRow(binaryCrossEntropyWithLogits(output, rowsLike(targets, output))),
    counts(output, targets) {
      // right where (z >= 0) = (t >= 1/2)
      const wrong = square(
        sub(greaterEqual(output, constant(0)), greaterEqual(rowsLike(targets, output), constant(0.5))),
      );
      return { accuracy: scale(sum(wrong), -1 / K, output.shape[0]) };
    },
    heads: (output) => ({ logits: output }),
    prediction(given, samples, count, shape) {
      const outputs = { logits: temper(given.logits, hot) };
      const p = newArray("predict", "f32", outputs.logits.length);
      for (let i = 0; i < p.length; i++) p[i] = logistic(outputs.logits[i]);
      const moments = totalVariance(p, (i) => p[i] * (1 - p[i]), samples, count);
      return { samples, count, shape, outputs, ...moments, probabilities: moments.mean, labels: names };
    },
    metrics(p, targets) {
      let [right, exact, brier] = [0, 0, 0];
      for (let n = 0; n < p.count; n++) {
        let hits = 0;
        for (let k = 0; k < K; k++) {
          const [q, t] = [p.mean[n * K + k], targets[n * K + k]];
          hits += Number(q >= 0.5 === t >= 0.5);
          brier += (q - t) ** 2;
        }
        right += hits;
        exact += Number(hits === K);
      }
      return {
        count: p.count,
        nll: average(surprises(p, targets)),
        accuracy: right / (p.count * K),
        exactMatch: exact / p.count,
        brier: brier / (p.count * K),
        epistemic: average(p.epistemicTotal),
        aleatoric: average(p.aleatoricTotal),
      };
    },
    // as sure as of the label that is least sure
    certainty: (p) =>
      Float64Array.from({ length: p.count }, (_, n) => {
        const row = p.mean.subarray(n * K, (n + 1) * K);
        return row.reduce((least, q) => Math.min(least, Math.max(q, 1 - q)), 1);
      }),
    cost: (p, targets) =>
      Float64Array.from({ length: p.count }, (_, n) => {
        let wrong = 0;
        for (let i = n * K; i < (n + 1) * K; i++) wrong += Number(p.mean[i] >= 0.5 !== targets[i] >= 0.5);
        return wrong / K;
      }),
    mostCost: 1,
    answer(p, n) {
      const row = [...p.mean.subarray(n * K, (n + 1) * K)];
      const text = row.map(
        (q, k) => `${K > 1 ? `${names[k]} ` : ""}${q >= 0.5 ? "yes" : "no"} ${(100 * Math.max(q, 1 - q)).toFixed(0)} %`,
      );
      return {
        text: text.join(", "),
        probabilities: Object.fromEntries(row.map((q, k) => [names[k], q])),
        epistemic: p.epistemicTotal[n],
        aleatoric: p.aleatoricTotal[n],
      };
    },
    doubt(p, n, limit) {
      const sure = p.mean.subarray(n * K, (n + 1) * K).map((q) => Math.max(q, 1 - q));
      const k = sure.reduce((least, s, i) => (s < sure[least] ? i : least), 0); // the label that is least sure
      const [own, least] = percents(sure[k], limit);
      const answer = `${K > 1 ? `${names[k]} ` : ""}${p.mean[n * K + k] >= 0.5 ? "yes" : "no"} ${own}`;
      return `${answer}, below the limit of ${least}${cause(p, n, "it is unclear")}`;
    },
    summary({ logits }) {
      const p = sigmoid(scale(logits, 1 / (hot.temperature ?? 1)));
      const { mean, epistemic, aleatoric } = tracedMoments(p, sub(p, square(p)));
      return { probabilities: mean, epistemic, aleatoric };
    },
    report: bernoulliReport(surprises),
  };
  ours.add(self);
  return Object.freeze(self);
}

/** -ln of the mean over the samples of the probability of an image's labels, all together, [N] nats. */
function surprises({ samples, count, outputs: { logits } }: BernoulliPrediction, targets: Targets): Float64Array {
  const K = targets.length / count;
  return surprisesOf(samples, count, (s, n) => {
    let sum = 0;
    for (let k = 0; k < K; k++) {
      const z = logits[(s * count + n) * K + k];
      sum += targets[n * K + k] * z - softplus(z);
    }
    return sum;
  });
}

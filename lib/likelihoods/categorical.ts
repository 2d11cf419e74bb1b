/** One of several classes: softmax of the logits, -ln p of the true class. */
import { alignClasses, classNames, sameNames, unnamed } from "../data/classes.ts";
import { type ClassificationMetrics, classificationMetrics } from "../metrics/classification.ts";
import { average } from "../metrics/statistics.ts";
import { correct, scale, softmax, softmaxCrossEntropy, square, sub } from "../ops/index.ts";
import { BayesError, checkOptions, fail } from "../util/errors.ts";
import { categoricalReport } from "./report/categorical.ts";
import { cause, percents } from "./shared/doubt.ts";
import { type Answer, type Figure, type Likelihood, ours, type Targets } from "./shared/likelihood.ts";
import { logSumExp, predictiveNll, tracedMoments, UNCERTAINTY } from "./shared/moments.ts";
import { ClassPrediction } from "./shared/predictions.ts";
import { checkTemperature, temper } from "./shared/temperature.ts";

/** A likelihood of classes, which have names. */
export interface Categorical extends Likelihood<ClassPrediction> {
  readonly classes: readonly string[];
  metrics(prediction: ClassPrediction, targets: Targets): ClassMetrics;
  answer(prediction: ClassPrediction, n: number): ClassAnswer;
}

/** Figures of class predictions; the last two are means over the images of the totals per image. */
export type ClassMetrics = ClassificationMetrics & { readonly epistemic: number; readonly aleatoric: number };

/** An answer about one image. */
export interface ClassAnswer extends Answer {
  readonly label: string;
  /** Of the label. */
  readonly probability: number;
  /** Of every class, by name. */
  readonly probabilities: Readonly<Record<string, number>>;
  /** Nats: of the predictive distribution, and the part of it that comes from the weights. */
  readonly entropy: number;
  readonly mutualInformation: number;
}

function classAnswer(p: ClassPrediction, n: number): ClassAnswer {
  const C = p.classes.length;
  const top = p.top(n);
  const row = p.probabilities.subarray(n * C, (n + 1) * C);
  return {
    text: `${p.classes[top]} ${(100 * row[top]).toFixed(row[top] < 0.995 ? 0 : 1)} %`,
    label: p.classes[top],
    probability: row[top],
    probabilities: Object.fromEntries(p.classes.map((name, c) => [name, row[c]])),
    epistemic: p.epistemicTotal[n],
    aleatoric: p.aleatoricTotal[n],
    entropy: p.entropy[n],
    mutualInformation: p.mutualInformation[n],
  };
}

/** "cat 56 %, dog 41 %, below the limit of 90 %: the samples agree that it fits both". */
function classDoubt(p: ClassPrediction, n: number, limit: number): string {
  const C = p.classes.length;
  const row = p.probabilities.subarray(n * C, (n + 1) * C);
  const order = [...row.keys()].sort((a, b) => row[b] - row[a] || a - b);
  const rivals = order.filter((c) => 2 * row[c] >= row[order[0]]);
  const [own, least] = percents(row[order[0]], limit);
  const others = order.slice(1, Math.min(Math.max(rivals.length, 2), 3)); // three classes are enough to be told
  const shown = [
    `${p.classes[order[0]]} ${own}`,
    ...others.map((c) => `${p.classes[c]} ${(100 * row[c]).toFixed(0)} %`),
  ];
  const fits = ["it is unclear", "it fits both", "it fits several classes"];
  return `${shown.join(", ")}, below the limit of ${least}${cause(p, n, fits[Math.min(rivals.length, 3) - 1])}`;
}

const FIGURES: readonly Figure[] = [
  {
    name: "accuracy",
    title: "accuracy",
    hint: "images whose most probable class is right",
    better: "higher",
    share: true,
  },
  { name: "nll", title: "NLL", hint: "nats; surprise at the true class", better: "lower" },
  { name: "ece", title: "ECE", hint: "gap between confidence and accuracy, 15 bins", better: "lower" },
  { name: "brier", title: "Brier", hint: "squared error of the probabilities", better: "lower" },
  { name: "adaptiveEce", title: "adaptive ECE", hint: "the same with equally filled bins", better: "lower" },
  ...UNCERTAINTY,
];

/**
 * One of several classes. The network gives logits [batch, classes].
 * @param classes their names, or how many there are: then the first training set that has names gives them theirs
 * @param options temperature: what predictions divide the logits by (default 1); `fitTemperature` finds it
 * @throws BayesError for fewer than two classes, or one name twice
 */
export function categorical(
  classes: number | readonly string[],
  options: { readonly temperature?: number } = {},
): Categorical {
  const names = classNames("categorical", classes, 2);
  const C = names.length;
  const { temperature } = checkOptions("categorical", options, { temperature: "number" });
  const hot = checkTemperature("categorical", temperature);
  const self: Categorical = {
    classes: names,
    config: Object.freeze({ kind: "categorical", classes: unnamed(names) ? C : names, ...hot }),
    ...hot,
    tempered: (temperature) => categorical(unnamed(names) ? C : names, { temperature }),
    outputs: C,
    figures: FIGURES,

    targetShape(where, output) {
      if (output.length !== 1 || output[0] !== C)
        fail(where, `an output of shape [batch, ${C}], one logit a class`, ["batch", ...output]);
      return [];
    },
    targets(where, data) {
      const { classes, targets, name } = data;
      if (!(targets instanceof Int32Array) || !classes)
        throw new BayesError(
          `[${where}] expected a data set of classes (made with labels and classes) for likelihood categorical, received ${name} with numbers as targets`,
          { code: "ERR_BAYES_DATA" },
        );
      return alignClasses({ ...data, targets, classes }, names).targets;
    },
    informed: ({ classes: theirs }) =>
      unnamed(names) && theirs?.length === C && !unnamed(theirs) ? categorical(theirs, hot) : self,
    agrees: ({ kind, classes: theirs }) => kind === "categorical" && sameNames(names, theirs),

    nll: softmaxCrossEntropy,
    counts: (output, labels) => ({ accuracy: correct(output, labels) }),
    heads: (output) => ({ logits: output }),
    prediction: ({ logits }, samples, count) => new ClassPrediction(temper(logits, hot), samples, count, names),
    metrics(p, labels) {
      const log = (s: number, n: number): number => {
        const at = (s * p.count + n) * C;
        return p.logits[at + labels[n]] - logSumExp(p.logits.subarray(at, at + C));
      };
      return {
        ...classificationMetrics(p.probabilities, labels as Int32Array),
        nll: predictiveNll(p.samples, p.count, log),
        epistemic: average(p.epistemicTotal),
        aleatoric: average(p.aleatoricTotal),
      };
    },
    certainty: (p) => Float64Array.from({ length: p.count }, (_, n) => p.probabilities[n * C + p.top(n)]),
    cost: (p, labels) => Float64Array.from(labels, (label, n) => Number(p.top(n) !== label)),
    mostCost: 1,
    answer: classAnswer,
    doubt: classDoubt,
    summary({ logits }) {
      const p = softmax(scale(logits, 1 / (hot.temperature ?? 1)));
      const { mean, epistemic, aleatoric } = tracedMoments(p, sub(p, square(p)));
      return { probabilities: mean, epistemic, aleatoric };
    },
    report: categoricalReport,
  };
  ours.add(self);
  return Object.freeze(self);
}

/** One of several classes: softmax of the logits, -ln p of the true class. */
import { alignClasses, classNames, sameNames, unnamed } from "../data/classes.ts";
import { BayesError, checkInt, checkOptions, fail } from "../errors.ts";
import type { Shape } from "../graph/node.ts";
import { correct } from "../ops/correct.ts";
import { scale } from "../ops/scale.ts";
import { softmax } from "../ops/softmax.ts";
import { softmaxCrossEntropy } from "../ops/softmaxCrossEntropy.ts";
import { square } from "../ops/square.ts";
import { sub } from "../ops/sub.ts";
import { argmax } from "../predict/input.ts";
import { type ClassificationMetrics, classificationMetrics } from "../predict/metrics.ts";
import { mutualInformation, predictiveEntropy, softmaxRows } from "../predict/uncertainty.ts";
import { cause, percents } from "./doubt.ts";
import { type Answer, type Figure, type Likelihood, ours, type Prediction, type Targets } from "./likelihood.ts";
import { average, logSumExp, predictiveNll, totalVariance, tracedMoments, UNCERTAINTY } from "./moments.ts";
import { categoricalReport } from "./report/categorical.ts";
import { checkTemperature, type Tempered, temper } from "./temperature.ts";

/** Class probabilities of N images, and how sure they are. Computed when first asked for. */
export class ClassPrediction implements Prediction {
  readonly samples: number;
  readonly count: number;
  readonly shape: Shape;
  /** Names of the classes, in the order of the columns. */
  readonly classes: readonly string[];
  readonly outputs: { readonly logits: Float32Array };
  #probabilities: Float32Array | undefined;
  #moments: ReturnType<typeof totalVariance> | undefined;
  #entropy: Float32Array | undefined;
  #mutual: Float32Array | undefined;

  constructor(logits: Float32Array, samples: number, count: number, classes: readonly string[]) {
    this.samples = samples;
    this.count = count;
    this.shape = [classes.length];
    this.classes = classes;
    this.outputs = { logits };
  }

  /** Those of the network, divided by the likelihood's temperature, [S, N, C]. */
  get logits(): Float32Array {
    return this.outputs.logits;
  }
  /** Class probabilities of every Monte-Carlo sample, [S, N, C]. */
  get sampleProbabilities(): Float32Array {
    this.#probabilities ??= softmaxRows(this.logits, this.classes.length);
    return this.#probabilities;
  }
  get #all() {
    const p = this.sampleProbabilities;
    this.#moments ??= totalVariance(p, (i) => p[i] * (1 - p[i]), this.samples, this.count);
    return this.#moments;
  }
  /** The predictive distribution, [N, C]: the mean of the samples' probabilities. */
  get probabilities(): Float32Array {
    return this.#all.mean;
  }
  get mean(): Float32Array {
    return this.#all.mean;
  }
  /** Variance of the class probability between the samples, [N, C] (Kwon et al. 2018). */
  get epistemic(): Float32Array {
    return this.#all.epistemic;
  }
  /** Mean of p (1 - p) within the samples, [N, C]. */
  get aleatoric(): Float32Array {
    return this.#all.aleatoric;
  }
  get epistemicTotal(): Float32Array {
    return this.#all.epistemicTotal;
  }
  get aleatoricTotal(): Float32Array {
    return this.#all.aleatoricTotal;
  }
  /** Entropy of the predictive distribution, [N], nats. */
  get entropy(): Float32Array {
    this.#entropy ??= predictiveEntropy(this.sampleProbabilities, this.samples, this.count, this.classes.length);
    return this.#entropy;
  }
  /** Mutual information between label and weights, [N], nats: the epistemic part of the entropy. */
  get mutualInformation(): Float32Array {
    this.#mutual ??= mutualInformation(this.sampleProbabilities, this.samples, this.count, this.classes.length);
    return this.#mutual;
  }
  /** Number of the most probable class of image n; the first one, in a tie. */
  top(n: number): number {
    checkInt("prediction", "the image", n, 0, this.count - 1);
    return argmax(this.probabilities, n, this.classes.length);
  }
  /** Name of the most probable class of image n. */
  label(n: number): string {
    return this.classes[this.top(n)];
  }
}

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
 * @throws BayesError for fewer than two classes, or one name twice
 */
export function categorical(classes: number | readonly string[], options: Tempered = {}): Categorical {
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

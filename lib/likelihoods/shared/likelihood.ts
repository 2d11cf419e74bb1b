/**
 * What a model's output means. A likelihood says what a target is, how surprising a target is (the negative
 * log-likelihood), what a prediction is and how its uncertainty splits, which figures are reported and which way is
 * better, and what an exported model gives. Training, prediction, export and report ask it; none of them knows a kind.
 */
import type { AnyDataset } from "../../data/dataset.ts";
import type { Shape, Tensor } from "../../graph/node.ts";
import type { Reporter } from "./blocks.ts";
import { apart, cause } from "./doubt.ts";

/** Targets of many examples, one after the other: class numbers as int32, everything else as float32. */
export type Targets = Int32Array | Float32Array;

/** Plain JSON that makes a likelihood again: its kind, and its options. */
export type LikelihoodConfig = { readonly kind: string } & Readonly<Record<string, unknown>>;

/** Which way a figure is better. */
export type Better = "lower" | "higher";

/** One of the figures that a likelihood reports. */
export interface Figure {
  readonly name: string;
  /** For people, short. */
  readonly title: string;
  /** What it means, in a few words. */
  readonly hint: string;
  /** Absent where neither way is better. */
  readonly better?: Better;
  /** Shown in percent. */
  readonly share?: boolean;
}

/** What every prediction has; each likelihood adds its own fields. Arrays are read, never written. */
export interface Prediction {
  /** Monte-Carlo samples S. */
  readonly samples: number;
  /** Examples N. */
  readonly count: number;
  /** Dimensions of one example's target. */
  readonly shape: Shape;
  /** What the network gave in each Monte-Carlo pass, by name, each [S, N, ...]. */
  readonly outputs: Readonly<Record<string, Float32Array>>;
  /** The predictive mean, [N, ...shape]: probabilities of classes, expected values of numbers. */
  readonly mean: Float32Array;
  /** Variance that more data would lower: of the samples' means, [N, ...shape] (law of total variance). */
  readonly epistemic: Float32Array;
  /** Variance that no data would lower: the mean of the samples' own variances, [N, ...shape]. */
  readonly aleatoric: Float32Array;
  /** Sums of both over the target's values, [N]. */
  readonly epistemicTotal: Float32Array;
  readonly aleatoricTotal: Float32Array;
}

/** What a model answers about one example. */
export interface Answer {
  /** The answer in a few words: a class name, a number with its sigma. */
  readonly text: string;
  /** Where the doubt comes from: the parts of the predictive variance. */
  readonly epistemic: number;
  readonly aleatoric: number;
  readonly [field: string]: unknown;
}

/** A threshold for "I don't know": answers are given where the certainty is at least this. */
export interface Threshold {
  /** In the likelihood's measure: probability of the class, minus the standard deviation of a number. */
  readonly certainty: number;
  /** What was asked for: a mean cost (the error rate, of classes) of at most this, or a share of answers of at least this. */
  readonly maxError?: number;
  readonly minCoverage?: number;
  /** What the data it was chosen on gave: mean cost of the answers, share of the examples answered, examples. */
  readonly risk: number;
  readonly coverage: number;
  readonly count: number;
}

export interface Likelihood<P extends Prediction = Prediction> {
  /** What makes it again; kept in checkpoints and exported models. */
  readonly config: LikelihoodConfig;
  /** The figures of {@link metrics} for people, the most wanted ones first; "nll" is always among them. */
  readonly figures: readonly Figure[];

  /** How many values a network has to give for one image, if its targets are a list (and no image). */
  readonly outputs: number;
  /**
   * Dimensions of one example's target, given those of the network's output (both without the batch).
   * @throws BayesError when the output is none that this likelihood can read
   */
  targetShape(where: string, output: Shape): Shape;
  /** Targets of a data set as this likelihood numbers them (classes are matched by name). @throws BayesError if it has others */
  targets(where: string, data: AnyDataset, shape: Shape): Targets;
  /** The likelihood with what a training set adds, such as class names that were not known; itself, if nothing. */
  informed(data: AnyDataset): Likelihood<P>;
  /** Whether `other` reads outputs and targets as this one does; names that one of them lacks do not count. */
  agrees(other: LikelihoodConfig): boolean;

  /**
   * Negative log-likelihood of each row in nats, constants included, summed over the values of one target, [S * B].
   * @param output of the network, [S * B, ...]
   * @param targets [B, ...], shared by the Monte-Carlo samples
   */
  nll(output: Tensor, targets: Tensor): Tensor;
  /** Figures of a training step by name: sums over the rows, f32 []. */
  counts(output: Tensor, targets: Tensor): Readonly<Record<string, Tensor>>;
  /** The parameters of each row's distribution by name, each [S * B, ...]: what a prediction is made from. */
  heads(output: Tensor): Readonly<Record<string, Tensor>>;
  /**
   * The prediction of a trained model.
   * @param outputs of {@link heads}, each [S, N, ...]
   * @param shape of one example's target
   */
  prediction(outputs: Readonly<Record<string, Float32Array>>, samples: number, count: number, shape: Shape): P;
  /** What predictions divide their logits by, where it is not 1 (see `fitTemperature`); training never does. */
  readonly temperature?: number;
  /** This likelihood at another temperature; absent where the network gives no logits. */
  tempered?(temperature: number): Likelihood<P>;
  /** Figures of a prediction: mean negative log-likelihood of the predictive distribution ("nll"), and its own. */
  metrics(prediction: P, targets: Targets): Readonly<Record<string, number>>;
  /**
   * How sure each example's prediction is, [N]: higher is surer. What a threshold for "I don't know" is set on. Default: minus
   * the predictive variance.
   */
  certainty?(prediction: P): Float64Array;
  /**
   * What each answer costs, [N]: 1 for a wrong class and 0 for the right one, the absolute error of numbers. Without it
   * there can be no threshold.
   */
  cost?(prediction: P, targets: Targets): Float64Array;
  /** The largest {@link cost} there can be, where there is one. */
  readonly mostCost?: number;
  /** One example's answer in plain words and numbers, for people and for JSON. Default: mean and variances. */
  answer?(prediction: P, n: number): Answer;
  /**
   * Why example n is not answered, in one short sentence for a log: what falls short of the limit, and which part of the
   * doubt is the larger one. Default: the predictive variance.
   * @param limit the least {@link certainty} asked for, which the example's is below
   */
  doubt?(prediction: P, n: number, limit: number): string;
  /**
   * The prediction once more as a program, for exported models: outputs of shape [B, D], named as the prediction's fields.
   * @param heads each [S, B, D], D values of a target in any order
   */
  summary(heads: Readonly<Record<string, Tensor>>): Readonly<Record<string, Tensor>>;
  /** Its part of a report: a verdict's facts, tiles and sections. Without it a report shows {@link metrics} alone. */
  readonly report?: Reporter<P>;
}

/** The likelihoods of this library: a copy with a part of its own is none, and needs a kind of its own. */
export const ours = new WeakSet<Likelihood>();

/** Figures of a model on some data by name, as its likelihood reports them. */
export type Quality = Readonly<Record<string, number>>;

/** The figures that a likelihood reports. */
export type MetricsOf<L extends Likelihood> = ReturnType<L["metrics"]>;
/** {@link Likelihood.certainty}, or its default. */
export function certaintyOf<P extends Prediction>(likelihood: Likelihood<P>, prediction: P): Float64Array {
  const { epistemicTotal, aleatoricTotal } = prediction;
  const known = likelihood.certainty?.(prediction);
  if (known) return known;
  return new Float64Array(epistemicTotal).map((e, n) => -(e + aleatoricTotal[n]));
}

/** {@link Likelihood.answer}, or its default. */
export function answerOf<P extends Prediction>(likelihood: Likelihood<P>, prediction: P, n: number): Answer {
  if (likelihood.answer) return likelihood.answer(prediction, n);
  const D = prediction.mean.length / prediction.count;
  const mean = [...prediction.mean.subarray(n * D, (n + 1) * D)];
  return {
    text: mean
      .slice(0, 8)
      .map((m) => String(Number(m.toPrecision(3))))
      .join(", "),
    mean,
    epistemic: prediction.epistemicTotal[n],
    aleatoric: prediction.aleatoricTotal[n],
  };
}

/** {@link Likelihood.doubt}, or its default. */
export function doubtOf<P extends Prediction>(likelihood: Likelihood<P>, p: P, n: number, limit: number): string {
  if (likelihood.doubt) return likelihood.doubt(p, n, limit);
  const [own, least] = apart(certaintyOf(likelihood, p)[n], limit, (x, digits) =>
    String(Number(x.toPrecision(digits))),
  );
  return `certainty ${own} is less than the limit of ${least}${cause(p, n, "it is unclear")}`;
}

/** The kind of prediction that a likelihood makes. */
export type PredictionOf<L> = L extends Likelihood<infer P> ? P : never;

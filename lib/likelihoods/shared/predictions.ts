/** What each kind of likelihood predicts, apart from the likelihoods: their reports read it too. */
import type { Shape } from "../../graph/node.ts";
import { argmax } from "../../metrics/input.ts";
import { mutualInformation, predictiveEntropy, softmaxRows } from "../../metrics/uncertainty.ts";
import { checkInt } from "../../util/errors.ts";
import type { Prediction } from "./likelihood.ts";
import { type Moments, totalVariance } from "./moments.ts";

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

/** Probability of each label of N images, [N, labels], as `mean` and `probabilities`. */
export interface BernoulliPrediction extends Prediction, Moments {
  readonly probabilities: Float32Array;
  /** Names of the labels, in the order of the columns; numbers where they have none. */
  readonly labels: readonly string[];
}

/** What a model says about numbers (or images of numbers) of N examples. */
export interface NumberPrediction extends Prediction, Moments {
  /** Standard deviation of the predictive distribution, [N, ...shape]: the root of epistemic plus aleatoric. */
  readonly sigma: Float32Array;
  /** Names of the numbers along the last axis, where they have some. */
  readonly names?: readonly string[];
}

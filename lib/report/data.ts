import { checkInt, fail } from "../errors.ts";
import { checkLabelled, type Floats, type Labels } from "../predict/input.ts";
import { checkArray } from "../util/arrays.ts";

/** Everything a report can show. Only the title is required; what is missing is left out of the page. */
export interface ReportData {
  /** heading, such as "LeNet-5 on MNIST" */
  title: string;
  /** one sentence under the heading */
  description?: string;
  /** how the run was made */
  setup?: ReportSetup;
  /** predictions on the test set */
  test?: ReportTest;
  /** name of each class, [C]; the class number unless given */
  classNames?: readonly string[];
  /** training curves, in the order of training */
  history?: readonly HistoryPoint[];
  /** other models to print beside this one, such as the frequentist twin */
  comparison?: readonly ComparisonRow[];
  /** one row per pruning run */
  pruning?: readonly PruningRow[];
  /** the full configuration, shown as JSON */
  config?: Readonly<Record<string, unknown>>;
}

export interface ReportSetup {
  model?: string;
  data?: string;
  /** trainable numbers of the model */
  parameters?: number;
  posterior?: string;
  prior?: string;
  estimator?: string;
  /** weight of the KL term: a number, or a schedule in words */
  beta?: number | string;
  /** Monte-Carlo samples per test prediction */
  samples?: number;
  epochs?: number;
  seed?: number | string;
  /** of the products in convolutions and linear layers */
  precision?: string;
  device?: string;
  trainingSeconds?: number;
  version?: string;
}

export interface ReportTest {
  /** [N, C] mean of the sampled probabilities */
  probs: Floats;
  /** [N] */
  labels: Labels;
  /** [N] epistemic variance summed over the classes */
  epistemic?: Floats;
  /** [N] aleatoric variance summed over the classes */
  aleatoric?: Floats;
  /** the N images, in the order of the labels */
  images?: ReportImages;
}

export interface ReportImages {
  height: number;
  width: number;
  /** 1 (grey) or 3 (RGB) */
  channels: number;
  /** [N, height, width, channels], bytes as they are, or floats, each image stretched from its least to its greatest */
  pixels: Uint8Array | Float32Array;
}

/** State of training at one moment. Any figure may be absent, or not finite, and is then not drawn. */
export interface HistoryPoint {
  step: number;
  epoch?: number;
  /** training objective: NLL + beta / N * KL, nats per example */
  loss?: number;
  /** training NLL, nats per example */
  nll?: number;
  /** KL(posterior || prior), nats for all weights together */
  kl?: number;
  validationNll?: number;
  /** as a fraction */
  validationAccuracy?: number;
}

/** Figures of a model on the test set by name, as its likelihood reports them. */
export type Quality = Readonly<Record<string, number>>;

export interface ComparisonRow {
  readonly name: string;
  readonly metrics: Quality;
}

export interface PruningRow {
  /** how the weights were chosen, such as "signal to noise, global" */
  name?: string;
  /** share of weights removed */
  sparsity: number;
  /** weights that remain */
  parameters?: number;
  before?: Quality;
  after?: Quality;
  fineTuned?: Quality;
}

/**
 * Checks the shapes of everything the report reads.
 * @returns number of test examples and classes, 0 without a test set
 * @throws BayesError that names the field
 */
export function checkReport(data: ReportData): { rows: number; classes: number } {
  const where = "report";
  if (typeof data?.title !== "string" || data.title === "") fail(where, "a title", data?.title);
  const { test } = data;
  if (test === undefined) return { rows: 0, classes: 0 };
  const { rows, classes } = checkLabelled(where, test.probs, test.labels);
  for (const name of ["epistemic", "aleatoric"] as const) {
    const values = test[name];
    if (values === undefined) continue;
    if (values.length !== rows) fail(where, `test.${name} to have ${rows} values, one per label`, values.length);
    for (const v of values) if (!(v >= 0 && v < Infinity)) fail(where, `test.${name} to be finite and not negative`, v);
  }
  if (data.classNames && data.classNames.length !== classes) {
    fail(where, `${classes} class names`, data.classNames.length);
  }
  if (test.images) {
    const { height, width, channels, pixels } = test.images;
    checkInt(where, "test.images.height", height, 1);
    checkInt(where, "test.images.width", width, 1);
    if (channels !== 1 && channels !== 3) fail(where, "test.images.channels to be 1 or 3", channels);
    const size = rows * height * width * channels;
    checkArray(where, "test.images.pixels", pixels, "Uint8Array", "Float32Array");
    if (pixels.length !== size) fail(where, `test.images.pixels to have ${size} values`, pixels.length);
  }
  return { rows, classes };
}

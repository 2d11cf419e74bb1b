import { type ReliabilityBin, reliabilityBins, topLabel } from "../predict/calibration.ts";
import { argmax } from "../predict/input.ts";
import { type ClassificationMetrics, classificationMetrics } from "../predict/metrics.ts";
import { riskCoverage } from "../predict/ood.ts";
import { checkReport, type ReportData, type ReportTest } from "./data.ts";

/** One bar of a histogram over [lower, upper): the share of right and of wrong predictions that fall in it. */
export interface HistogramBin {
  lower: number;
  upper: number;
  right: number;
  wrong: number;
}

/** Figures of the test examples of one class. */
export interface ClassSummary {
  name: string;
  count: number;
  accuracy: number;
  epistemic?: number;
  aleatoric?: number;
  /** the wrong class predicted most often, absent when there is none */
  mistakenFor?: string;
}

/** What the report shows, as plain numbers: the HTML page is drawn from it, and it is the report as JSON. */
export interface ReportSummary extends Omit<ReportData, "test" | "classNames"> {
  /** figures of the test set; epistemic and aleatoric are means over its examples */
  test?: ClassificationMetrics & { epistemic?: number; aleatoric?: number; aurc: number };
  reliability?: ReliabilityBin[];
  /** thinned to at most 200 points */
  riskCoverage?: { coverage: number; risk: number }[];
  histograms?: { epistemic?: HistogramBin[]; aleatoric?: HistogramBin[] };
  classes?: ClassSummary[];
}

/**
 * The report as an object for JSON: all of its numbers, none of its images.
 * @throws BayesError when shapes do not fit or a value is out of range
 */
export function reportJson(data: ReportData): ReportSummary {
  const { classes } = checkReport(data);
  const { test, classNames, ...rest } = data;
  if (test === undefined) return rest;
  const { confidence, correct } = topLabel(test.probs, test.labels);
  const curve = riskCoverage(confidence, correct);
  const histogramOf = (values: ReportTest["epistemic"]) => values && logHistogram(values, correct);
  return {
    ...rest,
    test: {
      ...classificationMetrics(test.probs, test.labels),
      epistemic: test.epistemic && mean(test.epistemic),
      aleatoric: test.aleatoric && mean(test.aleatoric),
      aurc: curve.aurc,
    },
    reliability: reliabilityBins(test.probs, test.labels),
    riskCoverage: thin(curve.coverage.length, 200).map((k) => ({ coverage: curve.coverage[k], risk: curve.risk[k] })),
    histograms: { epistemic: histogramOf(test.epistemic), aleatoric: histogramOf(test.aleatoric) },
    classes: Array.from({ length: classes }, (_, c) =>
      summariseClass(test, c, classes, nameOf(classNames, c), classNames),
    ),
  };
}

/** Name of class c, its number when there are no names. */
export function nameOf(classNames: readonly string[] | undefined, c: number): string {
  return classNames?.[c] ?? String(c);
}

/** At most `most` indices of 0 ... n - 1, evenly spread, with the first and the last. */
export function thin(n: number, most: number): number[] {
  if (n <= most) return Array.from({ length: n }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.round((i * (n - 1)) / (most - 1)));
}

function summariseClass(
  test: ReportTest,
  c: number,
  classes: number,
  name: string,
  classNames: readonly string[] | undefined,
): ClassSummary {
  const predicted = new Uint32Array(classes);
  const rows: number[] = [];
  for (let n = 0; n < test.labels.length; n++) {
    if (test.labels[n] !== c) continue;
    rows.push(n);
    predicted[argmax(test.probs, n, classes)]++;
  }
  const right = predicted[c];
  predicted[c] = 0;
  const worst = predicted.indexOf(Math.max(...predicted));
  const meanOf = (values: ReportTest["epistemic"]) =>
    values && rows.length > 0 ? mean(rows.map((n) => values[n])) : undefined;
  return {
    name,
    count: rows.length,
    accuracy: rows.length > 0 ? right / rows.length : 0,
    epistemic: meanOf(test.epistemic),
    aleatoric: meanOf(test.aleatoric),
    mistakenFor: predicted[worst] > 0 ? nameOf(classNames, worst) : undefined,
  };
}

/** Below this a variance of probabilities is as good as none; it goes into the first bar. */
const LEAST = 1e-7;
const BARS_PER_DECADE = 4;

/** Histogram over powers of ten, each group scaled to sum to one: uncertainties span many orders of magnitude. */
function logHistogram(values: ArrayLike<number>, correct: Uint8Array): HistogramBin[] {
  const position = (v: number) => Math.floor(Math.log10(Math.max(v, LEAST)) * BARS_PER_DECADE + 1e-9);
  let first = Infinity;
  let last = -Infinity;
  for (let n = 0; n < values.length; n++) {
    first = Math.min(first, position(values[n]));
    last = Math.max(last, position(values[n]));
  }
  const bins = Array.from({ length: last - first + 1 }, (_, i) => ({
    lower: 10 ** ((first + i) / BARS_PER_DECADE),
    upper: 10 ** ((first + i + 1) / BARS_PER_DECADE),
    right: 0,
    wrong: 0,
  }));
  let hits = 0;
  for (let n = 0; n < values.length; n++) {
    bins[position(values[n]) - first][correct[n] ? "right" : "wrong"]++;
    hits += correct[n];
  }
  for (const bin of bins) {
    bin.right /= Math.max(1, hits);
    bin.wrong /= Math.max(1, values.length - hits);
  }
  return bins;
}

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}

/** Blocks that more than one likelihood wants. */
import type { Shape } from "../../graph/node.ts";
import { reliabilityBins, topLabel } from "../../metrics/calibration.ts";
import type { Floats, Labels } from "../../metrics/input.ts";
import { riskCoverage } from "../../metrics/ood.ts";
import { average, median, resolution } from "../../metrics/statistics.ts";
import { figure, percent } from "../../util/figures.ts";
import type {
  Block,
  Calibration,
  Color,
  Histogram,
  Note,
  Reliability,
  Section,
  ShownThreshold,
  Split,
  Tile,
} from "../shared/blocks.ts";
import type { Prediction } from "../shared/likelihood.ts";
import type { Moments } from "../shared/moments.ts";

/** At most `most` indices of 0 ... n - 1, evenly spread, with the first and the last. */
export function thin(n: number, most: number): number[] {
  if (n <= most) return Array.from({ length: n }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.round((i * (n - 1)) / (most - 1)));
}

/** Answers, each with the confidence in it and whether it is right. */
export interface Answers {
  readonly probs: Floats;
  readonly labels: Labels;
  /** What one answer is about: "images", "labels". */
  readonly of: string;
  /** Answers that are right or wrong together, such as the labels of one image. */
  readonly together: number;
}

/**
 * The calibration error of answers, and what chance alone makes of it. Where every confidence is exact, a bin of n answers
 * of mean confidence p misses by a half-normal amount of scale sqrt(p (1 - p) / n): mean 0.80, deviation 0.60 of it.
 */
export function answerCalibration({ probs, labels, together }: Answers): Calibration {
  const total = labels.length;
  let [error, gap, mean, variance, right] = [0, 0, 0, 0, 0];
  for (const { count, confidence, accuracy } of reliabilityBins(probs, labels)) {
    if (count === 0) continue;
    const weight = count / total;
    error += weight * Math.abs(confidence - accuracy);
    gap += weight * (confidence - accuracy);
    right += weight * accuracy;
    // answers of one image may all fall together: then there are no more than images
    const scale = Math.sqrt((Math.min(1, confidence) * (1 - Math.min(1, confidence)) * together) / count);
    mean += weight * scale * Math.sqrt(2 / Math.PI);
    variance += (weight * scale) ** 2 * (1 - 2 / Math.PI);
  }
  return { error, gap, chance: mean + 1.645 * Math.sqrt(variance), resolution: resolution(right, total / together) };
}

/** Share that is right among the most confident half. */
export function surestHalf({ probs, labels }: Answers): number | undefined {
  if (labels.length < 20) return undefined;
  const { confidence, correct } = topLabel(probs, labels);
  return 1 - riskCoverage(confidence, correct).risk[Math.floor(labels.length / 2) - 1];
}

/** Reliability diagram and risk-coverage curve. */
export function answerSection(answers: Answers, threshold?: ShownThreshold): Section {
  const { probs, labels, of } = answers;
  const { confidence, correct } = topLabel(probs, labels);
  const curve = riskCoverage(confidence, correct);
  const points = thin(curve.coverage.length, 200);
  const [x, y] = [points.map((k) => curve.coverage[k]), points.map((k) => curve.risk[k])];
  const overall = curve.risk[curve.risk.length - 1];
  const reliability: Reliability = {
    block: "reliability",
    title: "Is it as sure as it should be?",
    caption:
      "Of the answers given with a certain confidence, that share should be right: the bars should end on the dashed line.",
    of,
    bins: reliabilityBins(probs, labels),
  };
  const asked =
    threshold?.maxError !== undefined
      ? ` (asked for: at most ${percent(threshold.maxError, 1)} wrong)`
      : threshold?.minCoverage !== undefined
        ? ` (asked for: at least ${percent(threshold.minCoverage, 0)} answered)`
        : "";
  const chosen = threshold
    ? ` Answering only where the confidence is at least ${figure(threshold.certainty)} answers ${percent(threshold.coverage, 1)} of the ${of}, ${percent(threshold.risk, 1)} of those wrongly${asked}.`
    : "";
  return {
    title: "Calibration",
    blocks: [
      reliability,
      {
        block: "plot",
        title: "Does it know when it is wrong?",
        caption: `Error rate when only the most confident share of the ${of} is answered and the rest is left to a person (area under the curve ${figure(curve.aurc)}; answering in random order ${figure(overall)}).${chosen}`,
        x: { title: `share of ${of} answered`, percent: true, domain: [0, 1] },
        y: { title: "share of answers that are wrong", percent: true },
        series: [
          { name: "in random order", color: "muted", style: "dashed", x: [0, 1], y: [overall, overall] },
          { name: "most confident first", color: "blue", style: "area", x, y },
        ],
        ...(threshold
          ? {
              marks: [
                {
                  x: threshold.coverage,
                  y: threshold.risk,
                  text: `confidence at least ${figure(threshold.certainty)}`,
                },
              ],
            }
          : {}),
      },
    ],
  };
}

/** Both kinds of uncertainty: their shares, and how each is spread over the images. */
export function uncertaintySection(
  p: Moments & Pick<Prediction, "epistemic">,
  unit: string,
  correct?: ArrayLike<number>,
): Section {
  const histogramOf = (values: Float32Array, name: string, title: string, what: string): Histogram | Note => {
    const [least, most] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    if (most - least <= 1e-4 * most)
      return { block: "note", title, caption: `${what} It is the same for every image: ${figure(most)}.` };
    return {
      title,
      caption: `${what}${correct ? separation(values, correct) : ""}`,
      ...histogram(values, `${name} ${unit}`, correct),
    };
  };
  const split: Split = {
    block: "split",
    title: "Where its doubt comes from",
    caption: `All doubt about the test set (the mean ${unit}), split by where it comes from.`,
    epistemic: average(p.epistemicTotal),
    aleatoric: average(p.aleatoricTotal),
  };
  const blocks: Block[] = [
    histogramOf(
      p.epistemicTotal,
      "epistemic",
      "Epistemic: what it has not learned",
      "How much the sampled networks disagree about an image; more training data would lower it.",
    ),
    histogramOf(
      p.aleatoricTotal,
      "aleatoric",
      "Aleatoric: what the image does not tell",
      "How unsure each sampled network is by itself; an unclear image stays unclear however much data there is.",
    ),
  ];
  return {
    title: "Uncertainty",
    blocks: split.epistemic + split.aleatoric > 0 ? [split, ...blocks] : blocks,
  };
}

/** By how much the median is higher where the answer is wrong: measured, not promised. */
function separation(values: ArrayLike<number>, correct: ArrayLike<number>): string {
  const pick = (wanted: number) => Array.from(values).filter((_, n) => Number(correct[n]) === wanted);
  const [right, wrong] = [pick(1), pick(0)];
  if (wrong.length === 0) return " No answer is wrong.";
  if (right.length === 0) return " No answer is right.";
  const ratio = median(wrong) / median(right);
  if (!(ratio > 0) || !Number.isFinite(ratio)) return "";
  return ratio > 1.25
    ? ` Where it is wrong, the median is ${ratio > 1000 ? "more than 1,000" : figure(ratio, 2)} times as high as where it is right.`
    : " It is hardly higher where it is wrong than where it is right.";
}

const BARS_PER_DECADE = 4;
const DECADES = 6;
const BARS = 20;

/** Bars over powers of ten where the values span more than one, else over equal steps; each group sums to one. */
export function histogram(
  values: ArrayLike<number>,
  title: string,
  correct?: ArrayLike<number>,
): Pick<Histogram, "block" | "x" | "groups" | "bins"> {
  const names: [string, Color][] = correct
    ? [
        ["right", "blue"],
        ["wrong", "orange"],
      ]
    : [["images", "blue"]];
  const group = (n: number) => (correct ? 1 - Number(correct[n]) : 0);
  return grouped(
    names.map(([name, color], g) => ({ name, color, values: Array.from(values).filter((_, n) => group(n) === g) })),
    title,
  );
}

/** A histogram of several groups of values over the same bars. What is not finite, and a group without values, is left out. */
export function grouped(
  all: readonly { name: string; color: Color; values: readonly number[] }[],
  title: string,
): Pick<Histogram, "block" | "x" | "groups" | "bins"> {
  const groups = all
    .map((g) => ({ ...g, values: g.values.filter((v) => Number.isFinite(v)) }))
    .filter((g) => g.values.length > 0);
  let [least, most] = [Infinity, -Infinity];
  for (const { values } of groups)
    for (const v of values) {
      least = Math.min(least, v);
      most = Math.max(most, v);
    }
  // Doubt spans many orders of magnitude; what lies far below the largest goes into the first bar.
  const floor = Math.max(least, most * 10 ** -DECADES);
  const log = most > 0 && least >= 0 && most / floor > 10;
  const first = log ? Math.floor(Math.log10(floor) * BARS_PER_DECADE + 1e-9) : least;
  const last = log ? Math.floor(Math.log10(most) * BARS_PER_DECADE + 1e-9) : most;
  const step = log ? 1 : most > least ? (most - least) / BARS : Math.abs(most) * 0.1 || 1;
  const count = log ? last - first + 1 : most > least ? BARS : 1;
  const edge = (i: number) =>
    log ? 10 ** ((first + i) / BARS_PER_DECADE) : first + (i - (most > least ? 0 : 0.5)) * step;
  const place = (v: number) => {
    const at = log ? Math.floor(Math.log10(Math.max(v, floor)) * BARS_PER_DECADE + 1e-9) - first : (v - first) / step;
    return Math.min(count - 1, Math.max(0, Math.floor(at)));
  };
  const shares = groups.map(({ values }) => {
    const out = new Array<number>(count).fill(0);
    for (const v of values) out[place(v)] += 1 / values.length;
    return out;
  });
  return {
    block: "histogram",
    x: { title: log && least < floor ? `${title}, or less` : title, log },
    groups: groups.map(({ name, color, values }) => ({ name, color, count: values.length })),
    bins: Array.from({ length: count }, (_, i) => ({
      lower: edge(i),
      upper: edge(i + 1),
      shares: shares.map((s) => s[i]),
    })),
  };
}

/** Tiles of the two parts of the variance. */
export function splitTiles(p: Moments, unit: string): Tile[] {
  return [
    {
      name: "epistemic",
      title: "Epistemic",
      value: average(p.epistemicTotal),
      hint: `${unit}; more data would help`,
      split: true,
    },
    {
      name: "aleatoric",
      title: "Aleatoric",
      value: average(p.aleatoricTotal),
      hint: `${unit}; the images are unclear`,
      split: true,
    },
  ];
}

/** Indices 0 ... n - 1 with the least `by` first. */
export const ranked = (n: number, by: (i: number) => number): number[] =>
  Array.from({ length: n }, (_, i) => i).sort((a, b) => by(a) - by(b));

/** How many numbers (or channels) there are along the last axis. */
export const channels = (p: { readonly shape: Shape }): number => p.shape.at(-1) ?? 1;

/** Mean of each of G numbers. */
export function constants(values: ArrayLike<number>, G: number): Float64Array {
  const means = new Float64Array(G);
  for (let i = 0; i < values.length; i++) means[i % G] += (values[i] * G) / values.length;
  return means;
}

/** Indices of the values of number g. */
export const valuesOf = (total: number, G: number, g: number): number[] =>
  Array.from({ length: total / G }, (_, i) => i * G + g);

export const rootMeanSquare = (indices: readonly number[], error: (i: number) => number): number =>
  Math.sqrt(indices.reduce((sum, i) => sum + error(i) ** 2, 0) / indices.length);

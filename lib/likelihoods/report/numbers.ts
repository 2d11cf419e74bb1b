/** What a report says of numbers, or images of numbers. */
import { average, clear, meanInterval, resolution, wilson } from "../../metrics/statistics.ts";
import { figure, percent } from "../../util/figures.ts";
import type { Block, Plot, ReportContext, Reporter, Table } from "../shared/blocks.ts";
import type { Targets } from "../shared/likelihood.ts";
import type { NumberPrediction } from "../shared/predictions.ts";
import {
  channels,
  constants,
  ranked,
  rootMeanSquare,
  splitTiles,
  thin,
  uncertaintySection,
  valuesOf,
} from "./build.ts";
import { gallery, maps } from "./numberImages.ts";

/** More points than these hide each other. */
const POINTS = 500;
/** Values that are sorted by their sigma; more would not show. */
const SORTED = 100_000;
/** More numbers than these get no plot of their own. */
const PLOTS = 4;

/** What the density adds. */
export interface Spread {
  /** -ln p of each example's target, [N] nats. */
  nlls(p: NumberPrediction, targets: Targets): Float64Array;
  /** The least central interval of the predictive distribution that holds each target: 0.9 is its 90 % interval. */
  central(p: NumberPrediction, targets: Targets): Float64Array;
}

export function numberReport(kind: Spread): Reporter<NumberPrediction> {
  return {
    appraise(p, targets, context) {
      const size = targets.length / p.count;
      const G = channels(p);
      const means = constants(context.training ?? targets, G);
      const perImage = {
        mae: new Float64Array(p.count),
        mse: new Float64Array(p.count),
        guess: new Float64Array(p.count),
        inside: new Float64Array(p.count),
      };
      const central = kind.central(p, targets);
      let absolute = 0;
      for (let i = 0; i < targets.length; i++) {
        const [e, g] = [targets[i] - p.mean[i], targets[i] - means[i % G]];
        const n = Math.floor(i / size);
        perImage.mae[n] += Math.abs(e) / size;
        perImage.mse[n] += (e * e) / size;
        perImage.guess[n] += (g * g) / size;
        perImage.inside[n] += Number(central[i] <= 0.9) / size;
        absolute += Math.abs(g) / targets.length;
      }
      const [mse, guess, coverage] = [average(perImage.mse), average(perImage.guess), average(perImage.inside)];
      const losses = kind.nlls(p, targets);
      const gap = 0.9 - coverage;
      // the values of one image may lie inside or outside together: as many trials as images
      const chance = 1.96 * Math.sqrt((0.9 * 0.1) / p.count);
      const root = ([low, high]: readonly [number, number]) => [Math.sqrt(Math.max(0, low)), Math.sqrt(high)] as const;
      const squares = meanInterval(perImage.mse);
      const unit = unitOf(p);
      return {
        says: `Off by ${figure(average(perImage.mae))} on average (always saying the mean: ${figure(absolute)}); ${percent(coverage, 0)} of the targets lie in its 90 % intervals`,
        calibration: { error: Math.abs(gap), gap, chance, resolution: resolution(coverage, p.count) },
        baseline: {
          name: `always the mean of the ${context.training ? "training" : "test"} targets`,
          figures: { mse: guess },
          test: { mse },
          standardErrors: clear(perImage.guess.map((g, n) => g - perImage.mse[n])),
        },
        tiles: [
          {
            name: "rmse",
            title: "RMSE",
            value: Math.sqrt(mse),
            hint: `root of the mean squared error, ${unit}`,
            ...(squares ? { interval: root(squares) } : {}),
            baseline: Math.sqrt(guess),
          },
          {
            name: "nll",
            title: "NLL",
            value: average(losses),
            hint: "nats an image; surprise at its target, lower is better",
            interval: meanInterval(losses),
          },
          {
            name: "coverage90",
            title: "Coverage",
            value: coverage,
            hint: "targets in its 90 % intervals: should be 90 %",
            share: true,
            interval: wilson(Math.min(1, coverage), p.count),
          },
          {
            name: "mae",
            title: "MAE",
            value: average(perImage.mae),
            hint: `mean absolute error, ${unit}`,
            baseline: absolute,
          },
          ...splitTiles(p, "variance"),
        ],
      };
    },

    sections(p, targets, context) {
      const central = kind.central(p, targets);
      return [
        { title: "Predictions", blocks: [...againstTruth(p, targets), ...perNumber(p, targets, central, context)] },
        { title: "Calibration", blocks: [intervals(central, targets.length / p.count), errorAgainstSigma(p, targets)] },
        ...(context.split ? [uncertaintySection(p, "variance")] : []),
        ...(context.images ? [p.shape.length === 3 ? maps(p, targets, context) : gallery(p, targets, context)] : []),
      ];
    },
  };
}

/** Name of number g, "" where there is one without a name. */
const nameOf = (p: NumberPrediction, g: number): string =>
  p.names?.[g] ?? (channels(p) === 1 ? "" : p.shape.length === 3 ? `channel ${g}` : `number ${g}`);

const unitOf = (p: NumberPrediction): string =>
  channels(p) === 1 ? `in units of ${p.names?.[0] ?? "the target"}` : "over all numbers";

/** Predicted against true, with a bar of one sigma: a plot for each number. */
function againstTruth(p: NumberPrediction, targets: Targets): Plot[] {
  const G = channels(p);
  const means = constants(targets, G);
  const worth = (g: number) => {
    const all = valuesOf(targets.length, G, g);
    return rootMeanSquare(all, (i) => targets[i] - p.mean[i]) / rootMeanSquare(all, (i) => targets[i] - means[g]);
  };
  const shown = G <= PLOTS ? Array.from({ length: G }, (_, g) => g) : ranked(G, (g) => -worth(g)).slice(0, PLOTS);
  return shown.map((g) => {
    const all = valuesOf(targets.length, G, g);
    const picked = thin(all.length, POINTS).map((k) => all[k]);
    const name = nameOf(p, g);
    return {
      block: "plot",
      title: name ? `Predicted against true: ${name}` : "Predicted against true",
      caption: `Each point is a value of the test set, its bar one sigma to both sides; a perfect prediction lies on the dashed line.${
        picked.length < all.length ? ` ${picked.length} of ${all.length.toLocaleString("en-US")} values are drawn.` : ""
      }${G > PLOTS ? ` The ${PLOTS} of ${G} numbers that are predicted worst.` : ""}`,
      x: { title: `true${name ? ` ${name}` : ""}` },
      y: { title: `predicted${name ? ` ${name}` : ""}` },
      diagonal: "right",
      series: [
        {
          name: "prediction, one sigma to both sides",
          color: "blue",
          style: "points",
          x: picked.map((i) => targets[i]),
          y: picked.map((i) => p.mean[i]),
          sigma: picked.map((i) => p.sigma[i]),
        },
      ],
    };
  });
}

const LEVELS = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];

/** Share of the targets inside the central p % interval, against p. */
function intervals(central: Float64Array, size: number): Plot {
  const inside = LEVELS.map((level) => average(central.map((c) => Number(c <= level))));
  return {
    block: "plot",
    title: "Are its intervals as wide as they should be?",
    caption: `The central p % of the predictive distribution should hold p % of the targets: below the dashed line it is over-confident, above it under-confident.${size > 1 ? " All values of the targets together." : ""}`,
    x: { title: "central interval", percent: true, domain: [0, 1] },
    y: { title: "targets inside", percent: true, domain: [0, 1] },
    diagonal: "perfect calibration",
    series: [{ name: "targets inside", color: "blue", style: "line", x: [0, ...LEVELS, 1], y: [0, ...inside, 1] }],
  };
}

/** The root mean squared error of values of similar sigma, against that sigma. */
function errorAgainstSigma(p: NumberPrediction, targets: Targets): Block {
  const G = channels(p);
  const means = constants(targets, G);
  // numbers of different units are compared in units of each one's spread
  const unit = Float64Array.from({ length: G }, (_, g) =>
    G === 1 ? 1 : rootMeanSquare(valuesOf(targets.length, G, g), (i) => targets[i] - means[g]) || 1,
  );
  const some = thin(targets.length, SORTED);
  const order = some.sort((a, b) => p.sigma[a] / unit[a % G] - p.sigma[b] / unit[b % G]);
  const bins = Math.max(1, Math.min(10, Math.floor(order.length / 20)));
  const groups = Array.from({ length: bins }, (_, b) =>
    order.slice(Math.floor((b * order.length) / bins), Math.floor(((b + 1) * order.length) / bins)),
  );
  const x = groups.map((all) => rootMeanSquare(all, (i) => p.sigma[i] / unit[i % G]));
  const y = groups.map((all) => rootMeanSquare(all, (i) => (targets[i] - p.mean[i]) / unit[i % G]));
  const title = "Does a larger sigma mean a larger error?";
  const units = G === 1 ? "" : " (in units of each number's spread)";
  if (x[x.length - 1] < 1.05 * x[0])
    return {
      block: "note",
      title,
      caption: `It gives nearly the same sigma, ${figure(average(x))}${units}, for every image, so it cannot say which predictions are worse. Noise that the network predicts for each image would tell them apart.`,
    };
  const [half, rest] = [Math.ceil(bins / 2), Math.floor(bins / 2)];
  const ratio = average(y.slice(half)) / average(y.slice(0, rest));
  return {
    block: "plot",
    title,
    caption: `${bins} groups of values of similar sigma${units}; on the dashed line the error is as large as it says.${
      rest > 0 ? ` The half with the larger sigma is off by ${figure(ratio, 2)} times as much as the other.` : ""
    }`,
    x: { title: `predicted sigma${G === 1 ? "" : ", spreads"}`, log: true },
    y: { title: "root mean squared error", log: true },
    diagonal: "error as large as sigma",
    series: [{ name: "group of values", color: "blue", style: "points", x, y }],
  };
}

/** A row for each number, where there are several. */
function perNumber(p: NumberPrediction, targets: Targets, central: Float64Array, { training }: ReportContext): Table[] {
  const G = channels(p);
  if (G === 1) return [];
  const means = constants(training ?? targets, G);
  return [
    {
      block: "table",
      title: p.shape.length === 3 ? "Channel by channel" : "Number by number",
      caption: "In each one's own units. Coverage is the share of targets in its 90 % intervals.",
      columns: [
        { title: p.shape.length === 3 ? "channel" : "number" },
        { title: "RMSE", format: "figure" },
        { title: "RMSE of the mean", format: "figure" },
        { title: "coverage", format: "share" },
        { title: "mean sigma", format: "figure" },
      ],
      rows: Array.from({ length: G }, (_, g) => {
        const all = valuesOf(targets.length, G, g);
        return [
          nameOf(p, g),
          rootMeanSquare(all, (i) => targets[i] - p.mean[i]),
          rootMeanSquare(all, (i) => targets[i] - means[g]),
          average(all.map((i) => Number(central[i] <= 0.9))),
          average(all.map((i) => p.sigma[i])),
        ];
      }),
    },
  ];
}

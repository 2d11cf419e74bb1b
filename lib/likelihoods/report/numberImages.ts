/** Galleries of numbers, and of targets that are images themselves. */
import { figure } from "../../util/figures.ts";
import type { Block, Panel, ReportContext, Section, Shot } from "../shared/blocks.ts";
import type { Targets } from "../shared/likelihood.ts";
import type { NumberPrediction } from "../shared/predictions.ts";
import { channels, constants, ranked, rootMeanSquare, valuesOf } from "./build.ts";

const EACH = 8;

/** Root of the summed squares of an example's errors, and of its sigmas, each in units of the number's spread. */
function sizes(p: NumberPrediction, targets: Targets): { error: Float64Array; sigma: Float64Array } {
  const G = channels(p);
  const means = constants(targets, G);
  const unit = means.map((m, g) => rootMeanSquare(valuesOf(targets.length, G, g), (i) => targets[i] - m) || 1);
  const [error, sigma] = [new Float64Array(p.count), new Float64Array(p.count)];
  const size = targets.length / p.count;
  for (let i = 0; i < targets.length; i++) {
    error[Math.floor(i / size)] += ((targets[i] - p.mean[i]) / unit[i % G]) ** 2;
    sigma[Math.floor(i / size)] += (p.sigma[i] / unit[i % G]) ** 2;
  }
  return { error, sigma };
}

export function gallery(p: NumberPrediction, targets: Targets, { split }: ReportContext): Section {
  const size = targets.length / p.count;
  const { error, sigma } = sizes(p, targets);
  const few = Math.min(size, 3);
  const values = (n: number, text: (i: number) => string) =>
    Array.from({ length: few }, (_, d) => text(n * size + d)).join(", ") + (size > few ? ", …" : "");
  const most = p.epistemicTotal.reduce((most, e, n) => Math.max(most, e + p.aleatoricTotal[n]), 0) || 1;
  const shot = (n: number): Shot => ({
    image: n,
    says: values(n, (i) => `${figure(p.mean[i])} ± ${figure(p.sigma[i], 2)}`),
    detail: `is ${values(n, (i) => figure(targets[i]))}`,
    ...(split ? { split: { epistemic: p.epistemicTotal[n], aleatoric: p.aleatoricTotal[n], most } } : {}),
  });
  const card = (title: string, caption: string, order: number[]): Block => ({
    block: "gallery",
    title,
    caption,
    shots: order.slice(0, EACH).map(shot),
  });
  return {
    title: "Test images",
    lead: `Under each image: the prediction with its sigma, and the true value${few < size ? ` of the first ${few} of ${size} numbers` : ""}.`,
    blocks: [
      card(
        "Smallest sigma",
        "The images it is surest of.",
        ranked(p.count, (n) => sigma[n]),
      ),
      card(
        "Largest sigma",
        "The images it is least sure of.",
        ranked(p.count, (n) => -sigma[n]),
      ),
      card(
        "Largest errors",
        "The images it is furthest off.",
        ranked(p.count, (n) => -error[n]),
      ),
      card(
        "Confident mistakes",
        "The errors that are largest beside its sigma: mislabelled, odd, or a real weakness.",
        ranked(p.count, (n) => -error[n] / sigma[n]),
      ),
    ],
  };
}

/** Targets that are images: each with its prediction and its two maps of variance. */
export function maps(p: NumberPrediction, targets: Targets, { split }: ReportContext): Section {
  const size = targets.length / p.count;
  const { error, sigma } = sizes(p, targets);
  const rows = (all: Float32Array | Targets, n: number) => Float32Array.from(all.subarray(n * size, (n + 1) * size));
  const worst = ranked(p.count, (n) => -error[n]);
  const picks: [string, string, number[]][] = [
    ["Best", "The images it comes closest to.", worst.slice(-3).reverse()],
    ["Least certain", "The images of the largest variance.", ranked(p.count, (n) => -sigma[n]).slice(0, 3)],
    ["Worst", "The images it is furthest off.", worst.slice(0, 3)],
  ];
  // one scale for each map, so that the maps of different images can be compared
  const shown = picks.flatMap(([, , all]) => all);
  const top = (all: Float32Array) =>
    shown.reduce((most, n) => rows(all, n).reduce((a, b) => Math.max(a, b), most), 0) || 1;
  const [epistemic, aleatoric] = [top(p.epistemic), top(p.aleatoric)];
  const shot = (n: number): Shot => {
    const both = [rows(targets, n), rows(p.mean, n)];
    const range = [
      Math.min(...both.map((b) => b.reduce((a, v) => Math.min(a, v), Infinity))),
      Math.max(...both.map((b) => b.reduce((a, v) => Math.max(a, v), -Infinity))),
    ] as const;
    const panel = (title: string, pixels: Float32Array, range: Panel["range"]): Panel => ({
      title,
      shape: p.shape,
      pixels,
      range,
    });
    return {
      image: n,
      says: `RMSE ${figure(rootMeanSquare([...both[0].keys()], (i) => both[0][i] - both[1][i]))}`,
      panels: [
        panel("target", both[0], range),
        panel("prediction", both[1], range),
        ...(split
          ? [
              panel("epistemic", rows(p.epistemic, n), [0, epistemic]),
              panel("aleatoric", rows(p.aleatoric, n), [0, aleatoric]),
            ]
          : []),
      ],
    };
  };
  return {
    title: "Test images",
    lead: `Input, target and prediction${split ? `, and where the two kinds of variance lie: black is none, white ${figure(epistemic)} (epistemic) or ${figure(aleatoric)} (aleatoric)` : ""}.`,
    blocks: picks.map(([title, caption, all]) => ({ block: "gallery", title, caption, shots: all.map(shot) })),
  };
}

/** Predictions made without a network, for reports: repeatable, some right and some wrong. */
import { expect } from "vitest";
import { bernoulli } from "../../lib/likelihoods/bernoulli.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { gaussian } from "../../lib/likelihoods/gaussian.ts";
import { laplace } from "../../lib/likelihoods/laplace.ts";
import type { Likelihood, Targets } from "../../lib/likelihoods/shared/likelihood.ts";
import type { ReportTest } from "../../lib/report/data.ts";

/** Repeatable numbers in [0, 1). */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Two repeatable normal numbers from two uniform ones (Box and Muller). */
export function normals(seed: number): () => number {
  const random = generator(seed);
  return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

const SAMPLES = 8;

/**
 * Three classes at the corners of a triangle with blurred points, told apart by a nearest-corner classifier whose
 * corners differ a little between the samples.
 */
export function triangle(rows: number, names: readonly string[] = ["ant", "bee", "cat"], sharpness = 4): ReportTest {
  const random = generator(5);
  const noise = () => random() + random() + random() - 1.5;
  const corners = [0, 1, 2].map((c) => [Math.cos((c * 2 * Math.PI) / 3), Math.sin((c * 2 * Math.PI) / 3)]);
  const targets = Int32Array.from({ length: rows }, () => Math.floor(random() * 3));
  const points = Array.from(targets, (c) => corners[c].map((v) => v + 1.1 * noise()));
  const logits = new Float32Array(SAMPLES * rows * 3);
  for (let s = 0, i = 0; s < SAMPLES; s++) {
    const moved = corners.map((corner) => corner.map((v) => v + 0.4 * noise()));
    for (const [x, y] of points) for (const [a, b] of moved) logits[i++] = -sharpness * ((x - a) ** 2 + (y - b) ** 2);
  }
  const likelihood = categorical(names);
  return { likelihood, prediction: likelihood.prediction({ logits }, SAMPLES, rows, []), targets };
}

/** One pass with these class probabilities, [N, C]. */
export function certain(probabilities: readonly (readonly number[])[], targets: readonly number[], names?: string[]) {
  const likelihood = categorical(names ?? probabilities[0].length);
  const logits = Float32Array.from(probabilities.flat(), (p) => Math.log(Math.max(p, 1e-30)));
  return {
    likelihood,
    prediction: likelihood.prediction({ logits }, 1, targets.length, []),
    targets: Int32Array.from(targets),
  };
}

/** Labels drawn with the very probabilities that are predicted. */
export function labels(rows: number, names: readonly string[]): ReportTest {
  const [random, noise] = [generator(3), normals(4)];
  const K = names.length;
  const centre = Float32Array.from({ length: rows * K }, () => 2 * noise());
  const logits = Float32Array.from({ length: SAMPLES * rows * K }, (_, i) => centre[i % (rows * K)] + 0.2 * noise());
  const targets = Float32Array.from(centre, (z) => Number(random() < 1 / (1 + Math.exp(-z))));
  const likelihood = bernoulli({ labels: names });
  return { likelihood, prediction: likelihood.prediction({ logits }, SAMPLES, rows, [K]), targets };
}

/**
 * Numbers whose noise has a scale of its own for each value.
 * @param claims how much larger the predicted scale is than the true one
 */
export function numbers(
  kind: "gaussian" | "laplace",
  rows: number,
  shape: readonly number[] = [],
  { claims = 1, names, samples = 4 }: { claims?: number; names?: string[]; samples?: number } = {},
): ReportTest {
  const [random, noise] = [generator(11), normals(12)];
  const make = { gaussian, laplace }[kind];
  const likelihood = make({ noise: "predicted", ...(names ? { names } : {}) }) as Likelihood;
  const size = rows * shape.reduce((a, b) => a * b, 1);
  const truth = Float32Array.from({ length: size }, () => 10 + 5 * noise());
  const scale = Float32Array.from({ length: size }, () => 0.2 + 2 * random());
  const drawn = kind === "gaussian" ? noise : () => Math.sign(random() - 0.5) * -Math.log(1 - random());
  const targets: Targets = truth.map((t, i) => t + scale[i] * drawn());
  const mean = Float32Array.from({ length: samples * size }, (_, i) => truth[i % size] + 0.01 * noise());
  const unit = kind === "gaussian" ? 1 : 2;
  const variance = Float32Array.from({ length: samples * size }, (_, i) => unit * (claims * scale[i % size]) ** 2);
  return { likelihood, prediction: likelihood.prediction({ mean, variance }, samples, rows, shape), targets };
}

export const pictures = (rows: number, height = 4, width = 5, channels = 1) => ({
  height,
  width,
  channels,
  pixels: Uint8Array.from({ length: rows * height * width * channels }, (_, i) => (i * 37) % 256),
});

/** Throws unless every element is closed in order, as a strict reader would. */
export function checkBalanced(html: string): void {
  const open: string[] = [];
  const body = html.replace(/<style>[\s\S]*?<\/style>/g, "").replace(/<!doctype html>/, "");
  for (const [, closing, name, self] of body.matchAll(/<(\/?)([a-zA-Z][\w-]*)(?:"[^"]*"|[^">])*?(\/?)>/g)) {
    if (self || ["meta", "img", "br"].includes(name)) continue;
    if (!closing) open.push(name);
    else expect(open.pop()).toBe(name);
  }
  expect(open).toEqual([]);
}

/** Throws if the page could ask for anything outside itself, or run anything. */
export function checkSelfContained(html: string): void {
  expect(html).not.toMatch(/<script|<link|<iframe|<object|@import|javascript:/i);
  expect(html).not.toMatch(/<[^>]*\son[a-z]+=/i);
  for (const [, target] of html.matchAll(/(?:src|href)="([^"]*)"/g))
    expect(target).toMatch(/^(data:image\/png;base64,|#)/);
  for (const [, target] of html.matchAll(/url\(([^)]*)\)/g)) expect(html).toContain(`id="${target.slice(1)}"`);
  expect(html).not.toContain("http:");
  expect(html).not.toContain("https:");
  const ids = [...html.matchAll(/\sid="([^"]*)"/g)].map((m) => m[1]);
  expect(new Set(ids).size).toBe(ids.length);
}

/** Throws unless the page is well formed, stands alone, and shows nothing that is no text. */
export function checkPage(html: string): void {
  checkBalanced(html);
  checkSelfContained(html);
  expect(html.replace(/base64,[^"]*/g, "")).not.toMatch(/NaN|undefined|Infinity|\[object|null/);
}

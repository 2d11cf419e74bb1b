/** Test images as small figures: what was predicted, what is true, how sure, and why not. */

import { argmax } from "../predict/input.ts";
import { asArray } from "../util/arrays.ts";
import type { ReportImages, ReportTest } from "./data.ts";
import { pngDataUri } from "./png.ts";
import { nameOf } from "./summary.ts";
import { escapeHtml, figure, percent } from "./text.ts";

const EACH = 12;
const MISTAKES = 8;

/** The three galleries; the last is empty when no prediction is wrong. */
export interface Galleries {
  certain: string;
  uncertain: string;
  mistakes: string;
}

/**
 * Picks and draws the images. Certain and uncertain go by epistemic plus aleatoric variance where given, else by
 * confidence; mistakes are the wrong predictions of the highest confidence.
 * @param test checked, with images
 */
export function galleries(test: ReportTest, images: ReportImages, classNames?: readonly string[]): Galleries {
  const rows = test.labels.length;
  const classes = test.probs.length / rows;
  const confidence = (n: number) => test.probs[n * classes + argmax(test.probs, n, classes)];
  const doubt = (n: number) =>
    test.epistemic && test.aleatoric ? test.epistemic[n] + test.aleatoric[n] : 1 - confidence(n);
  const all = Array.from({ length: rows }, (_, n) => n);
  const sorted = [...all].sort((a, b) => doubt(a) - doubt(b));
  const wrong = all.filter((n) => argmax(test.probs, n, classes) !== test.labels[n]);
  const draw = (picked: number[]) => picked.map((n) => shot(test, images, classes, n, classNames)).join("\n");
  return {
    certain: draw(sorted.slice(0, EACH)),
    uncertain: draw(sorted.reverse().slice(0, EACH)),
    mistakes: draw(wrong.sort((a, b) => confidence(b) - confidence(a)).slice(0, MISTAKES)),
  };
}

function shot(test: ReportTest, images: ReportImages, classes: number, n: number, names?: readonly string[]): string {
  const c = argmax(test.probs, n, classes);
  const label = test.labels[n];
  const predicted = escapeHtml(nameOf(names, c));
  const actual = escapeHtml(nameOf(names, label));
  const verdict =
    c === label ? `<b>${predicted}</b><span>✓</span>` : `<b>${predicted}</b><span class="no">✗ is ${actual}</span>`;
  const { epistemic, aleatoric } = test;
  const why = epistemic && aleatoric ? doubtBar(epistemic[n], aleatoric[n], 1 - 1 / classes) : "";
  return `<figure class="shot"><img src="${imageUri(images, n)}" alt="test image ${n}, a ${actual}" loading="lazy">
<span class="name" title="predicted ${predicted}, is ${actual}">${verdict}</span>
<span class="num">${percent(test.probs[n * classes + c], 1)}</span>${why}</figure>`;
}

/** Epistemic and aleatoric as parts of the largest variance there can be, and as numbers. */
function doubtBar(e: number, a: number, most: number): string {
  const width = (v: number) => `${Math.min(100, (100 * v) / most).toFixed(1)}%`;
  return `<span class="split"><i class="e" style="width:${width(e)}"></i><i class="a" style="width:${width(a)}"></i></span>
<span class="num"><span class="e-text" title="epistemic">${short(e)}</span> · <span class="a-text" title="aleatoric">${short(a)}</span></span>`;
}

/** Two digits, and no more than the eye can use under a small image. */
function short(variance: number): string {
  return variance > 0 && variance < 1e-6 ? "&lt;1e−6" : figure(variance, 2);
}

function imageUri(images: ReportImages, n: number): string {
  const { height, width, channels } = images;
  const size = height * width * channels;
  const pixels = images.pixels.subarray(n * size, (n + 1) * size);
  return pngDataUri(asArray(pixels, "Uint8Array") ?? stretch(pixels), height, width, channels);
}

/** Floats to bytes, least to 0 and greatest to 255; what is not finite is black. */
function stretch(pixels: Float32Array | Uint8Array): Uint8Array {
  let least = Infinity;
  let greatest = -Infinity;
  for (const v of pixels) {
    if (!Number.isFinite(v)) continue;
    least = Math.min(least, v);
    greatest = Math.max(greatest, v);
  }
  const scale = greatest > least ? 255 / (greatest - least) : 0;
  return Uint8Array.from(pixels, (v) => (Number.isFinite(v) ? Math.round((v - least) * scale) : 0));
}

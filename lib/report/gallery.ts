/** Test images as small figures: what was said, what is true, how sure, and why not. */
import type { Panel, Shot } from "../likelihoods/shared/blocks.ts";
import { figure } from "../util/figures.ts";
import type { ReportImages } from "./data.ts";
import { pngDataUri } from "./png.ts";
import { escapeHtml } from "./text.ts";

/** One image with what was said of it. */
export function shotHtml(shot: Shot, images: ReportImages): string {
  const { image, says, truth, right, detail, split, panels } = shot;
  const text = escapeHtml(says);
  const is = truth === undefined ? "" : escapeHtml(truth);
  const mark = right ? "<span>✓</span>" : right === false ? `<span class="no">✗ is ${is}</span>` : "";
  const title = is ? `${text}, is ${is}` : text;
  const words = `<span class="name${right === undefined ? " free" : ""}" title="${title}"><b>${text}</b>${mark}</span>
${detail === undefined ? "" : `<span class="num">${escapeHtml(detail)}</span>`}${split ? splitBar(split) : ""}`;
  const input = `<img src="${imageUri(images, image)}" alt="test image ${image}: ${title}" loading="lazy">`;
  if (!panels) return `<figure class="shot">${input}\n${words}</figure>`;
  const shown = panels.map(
    (p) =>
      `<figure>${panelImage(p)}<figcaption title="${escapeHtml(p.title)}">${escapeHtml(p.title)}</figcaption></figure>`,
  );
  return `<div class="shot row"><div class="panels"><figure>${input}<figcaption>input</figcaption></figure>${shown.join("")}</div>
${words}</div>`;
}

/** Epistemic and aleatoric as parts of the largest variance there can be, and as numbers. */
function splitBar({ epistemic, aleatoric, most }: NonNullable<Shot["split"]>): string {
  const width = (v: number) => `${Math.min(100, (100 * v) / most).toFixed(1)}%`;
  return `<span class="split"><i class="e" style="width:${width(epistemic)}"></i><i class="a" style="width:${width(aleatoric)}"></i></span>
<span class="num"><span class="e-text" title="epistemic">${short(epistemic)}</span> · <span class="a-text" title="aleatoric">${short(aleatoric)}</span></span>`;
}

/** Two digits, and no more than the eye can use under a small image. */
const short = (variance: number): string =>
  variance > 0 && variance < 1e-6 ? "&lt;1e−6" : escapeHtml(figure(variance, 2));

function imageUri({ height, width, channels, pixels: all }: ReportImages, n: number): string {
  const size = height * width * channels;
  const own = all.subarray(n * size, (n + 1) * size);
  const pixels = channels === 1 || channels === 3 ? own : own.filter((_, i) => i % channels === 0);
  const bytes = pixels instanceof Uint8Array ? pixels : stretch(pixels, rangeOf(pixels));
  return pngDataUri(bytes, height, width, channels === 3 ? 3 : 1);
}

function panelImage({ title, shape, pixels, range }: Panel): string {
  const [height, width, channels] = shape;
  const drawn = channels === 1 || channels === 3 ? pixels : pixels.filter((_, i) => i % channels === 0);
  const uri = pngDataUri(stretch(drawn, range), height, width, channels === 3 ? 3 : 1);
  return `<img src="${uri}" alt="${escapeHtml(title)}" loading="lazy">`;
}

function rangeOf(pixels: Float32Array): readonly [number, number] {
  let [least, most] = [Infinity, -Infinity];
  for (const v of pixels) {
    if (!Number.isFinite(v)) continue;
    least = Math.min(least, v);
    most = Math.max(most, v);
  }
  return [least, most];
}

/** Floats to bytes, least to 0 and greatest to 255; what is not finite is black. */
function stretch(pixels: Float32Array, [least, most]: readonly [number, number]): Uint8Array {
  const scale = most > least ? 255 / (most - least) : 0;
  return Uint8Array.from(pixels, (v) =>
    Number.isFinite(v) ? Math.min(255, Math.max(0, Math.round((v - least) * scale))) : 0,
  );
}

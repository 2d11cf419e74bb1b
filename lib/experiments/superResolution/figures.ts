/** What the trained networks are worth: PSNR and SSIM by the published protocol, and whether their sigma is true. */
import { join } from "node:path";
import { openModel } from "../../checkpoints/open.ts";
import { psnr, ssim } from "../../metrics/quality.ts";
import type { Model } from "../../models/model.ts";
import { resizeBicubic } from "../../pictures/bicubic.ts";
import { type PicturePair, pairOf } from "../../pictures/patches.ts";
import { upscaleLuma } from "../../pictures/superResolve.ts";
import { encodePng } from "../../report/png.ts";
import type { JsonObject, Work } from "../shared/experiment.ts";
import { pictures } from "./training.ts";

/** Monte-Carlo samples of sigma. */
export const SAMPLES = 8;
/** An interval of mean ± 1.96 sigma is to hold 95 % of the pixels. */
const Z95 = 1.96;

/**
 * Figures of a network on the pictures of a folder. Pictures are cut to a multiple of the scale, made smaller by MATLAB's bicubic
 * and rounded to 8 bits, and luma (BT.601, 16..235) is compared inside a border of `scale` pixels: for PSNR and SSIM clipped and
 * rounded, for sigma as it is.
 * @param unit that trained it; undefined: the bicubic picture
 */
export async function figuresOn(
  work: Work,
  folder: string,
  { scale, unit }: { scale: number; unit?: string },
): Promise<JsonObject> {
  using model = unit === undefined ? undefined : openModel(join(work.dirOf(unit), "run"));
  const pairs = (await pictures(work, folder)).map((picture) => pairOf(picture, scale));
  let [decibels, similarity] = [0, 0];
  const seen = new Calibration();
  for (const pair of pairs) {
    work.signal.throwIfAborted();
    const { high } = pair;
    const large = model ? await enlarged(model, pair, work.signal) : { mean: bicubic(pair) };
    const shown = large.mean.map((v) => Math.min(255, Math.max(0, Math.round(v))));
    const inside = { shape: [high.height, high.width] as const, border: scale };
    decibels += psnr(shown, high.luma, inside) / pairs.length;
    similarity += ssim(shown, high.luma, inside) / pairs.length;
    if ("epistemic" in large) seen.add(pair, large, scale);
  }
  return { pictures: pairs.length, psnr: decibels, ssim: similarity, ...(model ? seen.result : {}) };
}

const bicubic = ({ low, high }: PicturePair): Float32Array =>
  resizeBicubic({ values: low.luma, height: low.height, width: low.width }, high.height, high.width);

/** Grey levels for a level of luma, in the pictures of the two parts of sigma: white is 32, and 2. */
const SHOWN = { aleatoric: 8, epistemic: 128 } as const;

/** One picture of the folder to look at: small and enlarged bicubically, enlarged by the network, as it is, and the two parts of sigma. */
export async function shownOn(
  work: Work,
  folder: string,
  { scale, unit, name }: { scale: number; unit: string; name: string },
): Promise<JsonObject> {
  const all = await pictures(work, folder);
  const pair = pairOf(all.find((picture) => picture.name === name) ?? all[0], scale);
  using model = openModel(join(work.dirOf(unit), "run"));
  const { mean, epistemic, aleatoric } = await enlarged(model, pair, work.signal);
  const { height, width, luma } = pair.high;
  const grey = (values: Float32Array, factor = 1): Uint8Array =>
    encodePng(
      Uint8Array.from(values, (v) => Math.min(255, Math.max(0, Math.round(factor * v)))),
      height,
      width,
      1,
    );
  work.file("bicubic.png", grey(bicubic(pair)));
  work.file("network.png", grey(mean));
  work.file("truth.png", grey(luma));
  work.file("aleatoric.png", grey(aleatoric.map(Math.sqrt), SHOWN.aleatoric));
  work.file("epistemic.png", grey(epistemic.map(Math.sqrt), SHOWN.epistemic));
  const inside = { shape: [height, width] as const, border: scale };
  return { bicubic: psnr(bicubic(pair), luma, inside), network: psnr(mean, luma, inside) };
}

interface Enlarged {
  readonly mean: Float32Array;
  readonly epistemic: Float32Array;
  readonly aleatoric: Float32Array;
}

async function enlarged(model: Model, { low, high }: PicturePair, signal: AbortSignal): Promise<Enlarged> {
  const [mean, epistemic, aleatoric] = [0, 0, 0].map(() => new Float32Array(high.luma.length));
  const source = { height: low.height, width: low.width, at: (y: number, x: number) => low.luma[y * low.width + x] };
  for await (const strip of upscaleLuma(model, source, { samples: SAMPLES, signal })) {
    const at = strip.top * high.width;
    mean.set(strip.mean, at);
    epistemic.set(strip.epistemic!, at);
    aleatoric.set(strip.aleatoric!, at);
  }
  return { mean, epistemic, aleatoric };
}

/** Errors beside the sigma that was predicted for them, of all pixels of all pictures. */
class Calibration {
  readonly #sigma: Float32Array[] = [];
  readonly #error: Float32Array[] = [];
  #epistemic = 0;
  #aleatoric = 0;

  add({ high }: PicturePair, { mean, epistemic, aleatoric }: Enlarged, border: number): void {
    const [h, w] = [high.height - 2 * border, high.width - 2 * border];
    const [sigma, error] = [new Float32Array(h * w), new Float32Array(h * w)];
    for (let y = 0, at = 0; y < h; y++)
      for (let x = 0; x < w; x++, at++) {
        const i = (y + border) * high.width + x + border;
        sigma[at] = Math.sqrt(epistemic[i] + aleatoric[i]);
        error[at] = high.luma[i] - mean[i];
        this.#epistemic += epistemic[i];
        this.#aleatoric += aleatoric[i];
      }
    this.#sigma.push(sigma);
    this.#error.push(error);
  }

  get result(): JsonObject {
    const [sigma, error] = [joined(this.#sigma), joined(this.#error)];
    const sorted = sigma.slice().sort();
    const edges = Array.from({ length: 9 }, (_, k) => sorted[Math.floor(((k + 1) * sorted.length) / 10)]);
    const deciles = Array.from({ length: 10 }, () => ({ count: 0, inside: 0, squares: 0, variance: 0 }));
    let [nll, squares, inside] = [0, 0, 0];
    for (let i = 0; i < sigma.length; i++) {
      const [s, e2] = [sigma[i], error[i] ** 2];
      nll += Math.log(s) + e2 / (2 * s * s);
      squares += e2;
      const within = e2 <= (Z95 * s) ** 2 ? 1 : 0;
      inside += within;
      let k = 0;
      while (k < 9 && s >= edges[k]) k++;
      const d = deciles[k];
      d.count++;
      d.inside += within;
      d.squares += e2;
      d.variance += s * s;
    }
    const [n, half] = [sigma.length, Math.log(2 * Math.PI) / 2];
    const filled = deciles.filter((d) => d.count > 0); // one sigma for all fills the last one
    return {
      pixels: n,
      rmse: Math.sqrt(squares / n),
      /** Nats a pixel: of the predictive distribution, and of the one sigma for all pixels that is best for these very ones. */
      nll: nll / n + half,
      nllConstant: Math.log(Math.sqrt(squares / n)) + half + 0.5,
      coverage95: inside / n,
      epistemic: this.#epistemic / n,
      aleatoric: this.#aleatoric / n,
      deciles: {
        count: filled.map((d) => d.count),
        coverage95: filled.map((d) => d.inside / d.count),
        sigma: filled.map((d) => Math.sqrt(d.variance / d.count)),
        rmse: filled.map((d) => Math.sqrt(d.squares / d.count)),
      },
    };
  }
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

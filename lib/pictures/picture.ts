import type { Pixels } from "../data/decode.ts";
import type { Model } from "../models/model.ts";
import { asArray } from "../util/arrays.ts";
import { checkInt, checkObject, checkOptions, fail } from "../util/errors.ts";
import { newArray } from "../util/memory.ts";
import { BicubicRows } from "./bicubic.ts";
import { BLACK, LUMA, SWING } from "./luma.ts";
import { readPicture } from "./read.ts";
import { type LumaSource, scaleOf, type UpscaleOptions, upscaleLuma } from "./superResolve.ts";

/** Some rows of an enlarged picture. */
export interface PictureStrip {
  readonly top: number;
  readonly height: number;
  /** [height, width scale, channels], of the picture's own type. */
  readonly values: Uint8Array | Uint16Array;
  /** Variances of luma, in squared units of 8 bits, [height, width scale]; where samples were asked for. */
  readonly epistemic?: Float32Array;
  readonly aleatoric?: Float32Array;
}

/** An enlarged picture. */
export interface SuperResolved extends Pixels {
  /**
   * Where samples were asked for: standard deviation of each pixel's luma (in levels of 0..255), and the two parts of its square:
   * what more training pictures would lower, and what no picture of that resolution tells. [height, width]
   */
  readonly sigma?: Float32Array;
  readonly epistemic?: Float32Array;
  readonly aleatoric?: Float32Array;
}

/**
 * Enlarges a picture by a trained model "espcn": its luma by the network, its colours and its alpha channel bicubically.
 * Grey and colour, 8 and 16 bits, with and without alpha; what comes out is of the same kind. Tiles and threads do not show.
 * @param picture a path, the bytes of a picture file, or pixels
 * @throws BayesError for what is no picture, and a model of something else
 * @example
 * <!-- setup: import { saveModel, superResolutionModel } from "bayescnn"; import sharp from "sharp";
 * const untrained = superResolutionModel(); saveModel(untrained, "x3.safetensors"); untrained.close();
 * await sharp({ create: { width: 20, height: 10, channels: 3, background: "red" } }).png().toFile("small.png"); -->
 * ```ts
 * import { openModel, superResolve } from "bayescnn";
 *
 * using model = openModel("x3.safetensors");
 * const { values, height, width, sigma } = await superResolve(model, "small.png", { samples: 16 });
 * ```
 */
export async function superResolve(
  model: Model,
  picture: string | Uint8Array | Pixels,
  options: UpscaleOptions = {},
): Promise<SuperResolved> {
  const scale = scaleOf("superResolve", model);
  checkOptions("superResolve", options, {
    samples: "number",
    seed: "number",
    tile: "number",
    signal: "object",
    onProgress: "function",
  });
  const file = typeof picture === "string" || asArray(picture, "Uint8Array") !== undefined;
  const pixels = file ? await readPicture(picture as string | Uint8Array) : checkedPixels(picture as Pixels);
  const [height, width] = [pixels.height * scale, pixels.width * scale];
  const room = height * width * pixels.channels;
  const advice = "bayescnn super-resolve writes a picture of any size";
  const values: Uint8Array | Uint16Array =
    pixels.values instanceof Uint16Array ? new Uint16Array(room) : newArray("superResolve", "u8", room, advice);
  const plane = () => (options.samples ? newArray("superResolve", "f32", height * width, advice) : undefined);
  const [sigma, epistemic, aleatoric] = [plane(), plane(), plane()];
  for await (const strip of superResolveRows(model, pixels, options)) {
    values.set(strip.values, strip.top * width * pixels.channels);
    if (!sigma || !epistemic || !aleatoric) continue;
    epistemic.set(strip.epistemic!, strip.top * width);
    aleatoric.set(strip.aleatoric!, strip.top * width);
  }
  const about = { values, height, width, channels: pixels.channels };
  if (!sigma || !epistemic || !aleatoric) return about;
  for (let i = 0; i < sigma.length; i++) sigma[i] = Math.sqrt(epistemic[i] + aleatoric[i]);
  return { ...about, sigma, epistemic, aleatoric };
}

function checkedPixels(pixels: Pixels): Pixels {
  const where = "superResolve";
  checkObject(where, "a path, the bytes of a picture file, or { values, height, width, channels }", pixels);
  const { values, height, width, channels } = pixels;
  checkInt(where, "height", height, 1, 1 << 20);
  checkInt(where, "width", width, 1, 1 << 20);
  checkInt(where, "channels", channels, 1, 4);
  if (!(values instanceof Uint8Array || values instanceof Uint16Array) || values.length !== height * width * channels)
    fail(where, `${height * width * channels} values in a Uint8Array or Uint16Array`, values);
  const own = values instanceof Uint16Array ? new Uint16Array(values) : new Uint8Array(values);
  return { values: own, height, width, channels };
}

/**
 * {@link superResolve} strip by strip, for pictures that do not fit into memory when they are large.
 *
 * In the colours of BT.601 the rest of a pixel is what the bicubic picture has, so only luma's difference from that is added, to
 * red, green and blue alike.
 */
export async function* superResolveRows(
  model: Model,
  { values, height, width, channels }: Pixels,
  options: UpscaleOptions = {},
): AsyncGenerator<PictureStrip, void> {
  const scale = scaleOf("superResolve", model);
  const deep = values instanceof Uint16Array;
  const most = deep ? 65535 : 255;
  const colours = channels < 3 ? 1 : 3;
  const weights = (colours === 1 ? [SWING] : LUMA).map((w) => w / most);
  const source: LumaSource = {
    height,
    width,
    at(y, x) {
      const i = (y * width + x) * channels;
      return colours === 1
        ? BLACK + weights[0] * values[i]
        : BLACK + weights[0] * values[i] + weights[1] * values[i + 1] + weights[2] * values[i + 2];
    },
  };
  const coarse = new BicubicRows({ values, height, width, channels }, height * scale, width * scale);
  const row = new Float32Array(width * scale * channels);
  for await (const { top, height: rows, mean, epistemic, aleatoric } of upscaleLuma(model, source, options)) {
    const out = deep ? new Uint16Array(rows * row.length) : new Uint8Array(rows * row.length);
    for (let y = 0, at = 0, p = 0; y < rows; y++) {
      coarse.row(top + y, row);
      for (let i = 0; i < row.length; i += channels, p++) {
        let luma = BLACK;
        for (let c = 0; c < colours; c++) luma += weights[c] * row[i + c];
        const detail = ((mean[p] - luma) * most) / SWING;
        for (let c = 0; c < channels; c++) {
          const v = row[i + c] + (c < colours ? detail : 0);
          out[at++] = v <= 0 ? 0 : v >= most ? most : Math.round(v);
        }
      }
    }
    yield { top, height: rows, values: out, ...(epistemic ? { epistemic, aleatoric } : {}) };
  }
}

/**
 * Damaged images at five strengths: blur, noise, contrast, JPEG, and rotation by any angle. These are our own implementations, in the
 * spirit of Hendrycks and Dietterich 2019; their figures are not comparable with those of MNIST-C or CIFAR-10-C.
 */
import type { Dataset } from "../data/dataset.ts";
import { gaussians } from "../native/gaussians.ts";
import { BayesError } from "../util/errors.ts";

export const corruptions = ["blur", "noise", "contrast", "jpeg"] as const;
export type Corruption = (typeof corruptions)[number];

/** What each of the strengths 1 to 5 means. */
export const STRENGTHS: Readonly<Record<Corruption, readonly number[]>> = {
  /** standard deviation of the Gaussian, pixels */
  blur: [0.5, 0.8, 1.2, 1.8, 2.5],
  /** standard deviation, grey levels */
  noise: [10, 20, 35, 55, 80],
  /** what is left of the distances from the image's mean */
  contrast: [0.7, 0.5, 0.35, 0.2, 0.1],
  /** quality, of 100 */
  jpeg: [50, 25, 15, 8, 4],
};

/** The images of a set, damaged; targets and order are those of the set. */
export async function corrupted(data: Dataset, kind: Corruption, strength: number): Promise<Dataset> {
  const value = STRENGTHS[kind][strength - 1];
  const images = data.images as Uint8Array;
  const [height, width, channels] = data.shape;
  const size = height * width * channels;
  if (kind === "jpeg") return { ...data, images: await recompressed(data, value) };
  if (kind === "noise") {
    const noise = gaussians(images.length, 20190701, NOISE_STREAM);
    return { ...data, images: images.map((v, i) => toByte(v + value * noise[i])) };
  }
  const out = new Uint8Array(images.length);
  for (let n = 0; n < data.count; n++) {
    const image = images.subarray(n * size, (n + 1) * size);
    out.set(kind === "blur" ? blurred(image, data.shape, value) : flattened(image, value), n * size);
  }
  return { ...data, images: out };
}

/** Any stream below the reserved ones will do: no model draws from it. */
const NOISE_STREAM = 1;
const toByte = (v: number): number => Math.min(255, Math.max(0, Math.round(v)));

function flattened(image: Uint8Array, share: number): Uint8Array {
  const mean = image.reduce((a, b) => a + b, 0) / image.length;
  return image.map((v) => toByte(mean + share * (v - mean)));
}

/** By a Gaussian of this standard deviation to three times it on either side; the border is repeated. */
function blurred(image: Uint8Array, [height, width, channels]: Dataset["shape"], sigma: number): Uint8Array {
  const reach = Math.ceil(3 * sigma);
  const kernel = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma ** 2)));
  const total = kernel.reduce((a, b) => a + b);
  const along = (from: ArrayLike<number>, vertical: boolean): Float64Array => {
    const to = new Float64Array(image.length);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let c = 0; c < channels; c++) {
          let sum = 0;
          for (let k = -reach; k <= reach; k++) {
            const yy = vertical ? Math.min(height - 1, Math.max(0, y + k)) : y;
            const xx = vertical ? x : Math.min(width - 1, Math.max(0, x + k));
            sum += kernel[k + reach] * from[(yy * width + xx) * channels + c];
          }
          to[(y * width + x) * channels + c] = sum / total;
        }
    return to;
  };
  return Uint8Array.from(along(along(image, false), true), toByte);
}

/** The images turned about their centre by an angle in degrees, bilinear; the corners that come in are black. */
export function rotated(data: Dataset, degrees: number): Dataset {
  const [height, width, channels] = data.shape;
  const [sin, cos] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)];
  const [cy, cx] = [(height - 1) / 2, (width - 1) / 2];
  const images = data.images as Uint8Array;
  const out = new Uint8Array(images.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const sy = cy + cos * (y - cy) + sin * (x - cx);
      const sx = cx - sin * (y - cy) + cos * (x - cx);
      const [y0, x0] = [Math.floor(sy), Math.floor(sx)];
      for (let n = 0; n < data.count; n++)
        for (let c = 0; c < channels; c++) {
          let value = 0;
          for (const [yy, wy] of [
            [y0, y0 + 1 - sy],
            [y0 + 1, sy - y0],
          ])
            for (const [xx, wx] of [
              [x0, x0 + 1 - sx],
              [x0 + 1, sx - x0],
            ])
              if (yy >= 0 && yy < height && xx >= 0 && xx < width)
                value += wy * wx * images[((n * height + yy) * width + xx) * channels + c];
          out[((n * height + y) * width + x) * channels + c] = toByte(value);
        }
    }
  return { ...data, images: out };
}

async function recompressed(data: Dataset, quality: number): Promise<Uint8Array> {
  const { default: sharp } = await import("sharp").catch((error: unknown) => {
    throw new BayesError(
      "[corruptions] expected the package sharp, which makes JPEG files, received none; npm install sharp",
      { code: "ERR_BAYES_MISSING", cause: error },
    );
  });
  const [height, width, channels] = data.shape;
  const size = height * width * channels;
  const images = data.images as Uint8Array;
  const out = new Uint8Array(images.length);
  for (let n = 0; n < data.count; n++) {
    const raw = { width, height, channels: channels as 1 | 3 };
    const file = await sharp(images.subarray(n * size, (n + 1) * size), { raw })
      .jpeg({ quality })
      .toBuffer();
    const back = sharp(file);
    const pixels = await (channels === 1 ? back.toColourspace("b-w") : back).raw().toBuffer();
    out.set(pixels.subarray(0, size), n * size);
  }
  return out;
}

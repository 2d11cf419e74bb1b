/**
 * Random variation of training images, a function of (seed, epoch, index in the data set). The rule is `augmentParams` and `augmentReference`, to
 * which tests hold the kernel of gatherBatch; both compute with + - * / and square roots of doubles alone, so the bits are the same everywhere.
 * Moves and flips copy pixels. Crop and rotation join them in one bilinear sampling: pixel (x, y) is the unit square around that point, border
 * pixels are repeated over their outer halves, and beyond the image it is black. Colours are taken of what is seen then, before
 * normalization. Mixup takes the next example of the batch, and mixes losses, not targets: for every likelihood alike.
 */
import { checkInt, checkNumber, checkOptions, fail } from "../util/errors.ts";
import { philox, STREAM_AUGMENT, seedKey, streamWord, uniform01, uniformInt, type Words4 } from "../util/philox.ts";
import { type ImageShape, imageSize } from "./dataset.ts";

/** A random part of an image, enlarged to the whole: what PyTorch calls RandomResizedCrop. */
export interface ResizedCrop {
  /** Least and largest share of the image's area, uniform; default [0.08, 1]. */
  readonly scale?: readonly [number, number];
  /** Least and largest width / height, uniform in the logarithm; default [3/4, 4/3]. */
  readonly ratio?: readonly [number, number];
}

/**
 * How training images are varied, anew in every epoch; what is absent is left alone. Never applied to validation or test
 * images. In this order: crop, rotate, shift and flip (which together sample the stored image once), brightness,
 * contrast, normalization, cutout, mixup. Black is pixel value 0.
 */
export interface Augmentation {
  /** Largest move in whole pixels, up, down, left and right; what comes in is black. */
  readonly shift?: number;
  /** Mirror left and right with probability 1/2. */
  readonly flip?: boolean;
  /** Enlarge a random part; true: with the defaults of {@link ResizedCrop}. */
  readonly resizedCrop?: boolean | ResizedCrop;
  /** Largest rotation about the image's centre in degrees, either way, at most 180; the corners that come in are black. */
  readonly rotate?: number;
  /** Pixels times a factor from [1 - b, 1 + b]; b is at most 1. Bytes stay within 0 and 255. */
  readonly brightness?: number;
  /** Distances from the image's mean grey times a factor from [1 - c, 1 + c]; c is at most 1. Bytes stay within 0 and 255. */
  readonly contrast?: number;
  /** Side in pixels of a black square, whose centre is anywhere in the image. */
  readonly cutout?: number;
  /**
   * Mix each image with the next of its batch: lam x_i + (1 - lam) x_j, with lam from Beta(mixup, mixup), and the loss
   * likewise. Usual are 0.1 to 0.4. The figures of training steps count against the example's own target.
   */
  readonly mixup?: number;
}

/** An augmentation with its defaults filled in; what does nothing is absent. Equal ones say the same. */
export interface SettledAugmentation extends Augmentation {
  readonly shift: number;
  readonly flip: boolean;
  readonly resizedCrop?: Required<ResizedCrop>;
}

/**
 * Checks an augmentation and fills in its defaults.
 * @param shape of the images, where they are known
 */
export function settleAugmentation(where: string, augment: Augmentation, shape?: ImageShape): SettledAugmentation {
  checkOptions(`${where} augment`, augment, {
    shift: "number",
    flip: "boolean",
    resizedCrop: "boolean|object",
    rotate: "number",
    brightness: "number",
    contrast: "number",
    cutout: "number",
    mixup: "number",
  });
  const { shift = 0, flip = false, resizedCrop = false, mixup } = augment;
  checkInt(where, "augment.shift", shift, 0, 1 << 15);
  const upTo = (key: "rotate" | "brightness" | "contrast", most: number) => {
    const value = checkNumber(where, `augment.${key}`, augment[key] ?? 0, 0, most);
    return value > 0 ? { [key]: value } : {};
  };
  const cutout = checkInt(where, "augment.cutout", augment.cutout ?? 0, 0, 1 << 15);
  if (shape && cutout > Math.max(shape[0], shape[1]))
    fail(where, `augment.cutout of at most ${Math.max(shape[0], shape[1])} pixels, the side of the images`, cutout);
  if (mixup !== undefined && !(checkNumber(where, "augment.mixup", mixup, 0, 1e6) > 0))
    fail(where, "augment.mixup above 0 (left out, nothing is mixed)", mixup);
  return {
    shift,
    flip,
    ...(resizedCrop ? { resizedCrop: settleCrop(where, resizedCrop === true ? {} : resizedCrop) } : {}),
    ...upTo("rotate", 180),
    ...upTo("brightness", 1),
    ...upTo("contrast", 1),
    ...(cutout > 0 ? { cutout } : {}),
    ...(mixup === undefined ? {} : { mixup }),
  };
}

function settleCrop(where: string, crop: ResizedCrop): Required<ResizedCrop> {
  checkOptions(`${where} augment.resizedCrop`, crop, { scale: "object", ratio: "object" });
  const range = (key: keyof ResizedCrop, otherwise: [number, number], least: number, most: number) => {
    const given = crop[key] ?? otherwise;
    const what = `augment.resizedCrop.${key}`;
    if (!Array.isArray(given) || given.length !== 2) fail(where, `${what} as [least, largest]`, given);
    for (const x of given) checkNumber(where, `both numbers of ${what}`, x, least, most);
    if (given[0] > given[1]) fail(where, `${what} as [least, largest]`, given);
    return [given[0], given[1]] as const;
  };
  return { scale: range("scale", [0.08, 1], 1e-6, 1), ratio: range("ratio", [3 / 4, 4 / 3], 0.01, 100) };
}

/** Whether it moves pixels, so that a target which is an image would no longer fit. */
export const movesPixels = ({ shift, flip, resizedCrop, rotate }: SettledAugmentation): boolean =>
  shift > 0 || flip || resizedCrop !== undefined || rotate !== undefined;

/** One image's variation. */
export interface AugmentParams {
  /** Content moves right by dx and down by dy, then is mirrored if `flip`. */
  readonly dx: number;
  readonly dy: number;
  readonly flip: boolean;
  /** The part that is enlarged, in whole pixels; absent: all of it. */
  readonly crop?: { readonly top: number; readonly left: number; readonly height: number; readonly width: number };
  /** Counter-clockwise, in radians. */
  readonly angle?: number;
  readonly brightness?: number;
  readonly contrast?: number;
  readonly cutout?: { readonly top: number; readonly left: number; readonly size: number };
}

/**
 * The variation of one example in one epoch: a pure function of (seed, epoch, example), so neither the batch it falls into
 * nor a resumed run changes it. The rule, exactly; the native gather (native/ops/gatherBatch.cpp) does the same in the
 * same order, with the same bits: only + - * / and square roots in double precision.
 *
 *     u[b]       = Philox4x32-10 with counter (b, example, epoch, 65532 * 65536) and key (seed low, seed high)
 *     below(w,n) = floor(w * n / 2^32), an integer in [0, n)
 *     unit(w)    = (w + 1/2) / 2^32
 *
 *     dx, dy     = below(u[0][0], 2 shift + 1) - shift, below(u[0][1], 2 shift + 1) - shift
 *     flip       = the top bit of u[0][2]
 *     angle      = (2 unit(u[1][0]) - 1) rotate pi / 180
 *     brightness = 1 + (2 unit(u[1][1]) - 1) b, contrast = 1 + (2 unit(u[1][2]) - 1) c
 *     cutout     = the square from below(u[2][0], H) - floor(n/2), below(u[2][1], W) - floor(n/2)
 *     crop       = the first of ten tries t = 0..9 that fits into the image, else the largest part in the middle whose
 *                  ratio is allowed; with (a, r, y, x) = u[3 + t], area = H W (s0 + (s1 - s0) unit(a)) and
 *                  ratio = exp(ln r0 + (ln r1 - ln r0) unit(r)): width = round(sqrt(area ratio)), height =
 *                  round(sqrt(area / ratio)), top = below(y, H - height + 1), left = below(x, W - width + 1)
 *
 * Words 2 and 3 of u[2] are mixup's.
 *
 * @param example index in the data set that is trained on (not the position in the batch)
 */
export function augmentParams(
  seed: number,
  epoch: number,
  example: number,
  augmentation: Augmentation,
  [height, width]: ImageShape = [1, 1, 1],
): AugmentParams {
  const how = settleAugmentation("augmentation", augmentation);
  const { shift, flip, resizedCrop, rotate, brightness, contrast, cutout } = how;
  const u = (block: number) => wordsOf(seed, epoch, example, block);
  const [moveX, moveY, mirror] = u(0);
  const [turn, bright, contrasted] = u(1);
  const around = (word: number, reach: number) => 1 + (2 * uniform01(word) - 1) * reach;
  const [y, x] = u(2);
  return {
    dx: uniformInt(moveX, 2 * shift + 1) - shift,
    dy: uniformInt(moveY, 2 * shift + 1) - shift,
    flip: flip && mirror >>> 31 === 1,
    ...(resizedCrop ? { crop: cropOf((attempt) => u(3 + attempt), height, width, resizedCrop) } : {}),
    ...(rotate ? { angle: (2 * uniform01(turn) - 1) * rotate * (Math.PI / 180) } : {}),
    ...(brightness ? { brightness: around(bright, brightness) } : {}),
    ...(contrast ? { contrast: around(contrasted, contrast) } : {}),
    ...(cutout
      ? {
          cutout: {
            top: uniformInt(y, height) - (cutout >> 1),
            left: uniformInt(x, width) - (cutout >> 1),
            size: cutout,
          },
        }
      : {}),
  };
}

function wordsOf(seed: number, epoch: number, example: number, block: number): Words4 {
  checkInt("augmentation", "seed", seed);
  checkInt("augmentation", "epoch", epoch, 0, 0xffffffff);
  checkInt("augmentation", "example", example, 0, 0xffffffff);
  return philox([block, example, epoch, streamWord(STREAM_AUGMENT)], seedKey(seed));
}

function cropOf(u: (attempt: number) => Words4, H: number, W: number, { scale, ratio }: Required<ResizedCrop>) {
  const [low, high] = ratio.map(Math.log);
  for (let attempt = 0; attempt < 10; attempt++) {
    const [a, r, y, x] = u(attempt);
    const area = H * W * (scale[0] + (scale[1] - scale[0]) * uniform01(a));
    const aspect = exp(low + (high - low) * uniform01(r));
    const [width, height] = [Math.sqrt(area * aspect), Math.sqrt(area / aspect)].map((side) => Math.floor(side + 0.5));
    if (width < 1 || height < 1 || width > W || height > H) continue;
    return { top: uniformInt(y, H - height + 1), left: uniformInt(x, W - width + 1), height, width };
  }
  const width = Math.min(W, Math.max(1, Math.floor(H * ratio[1] + 0.5)));
  const height = Math.min(H, Math.max(1, Math.floor(W / ratio[0] + 0.5)));
  return { top: (H - height) >> 1, left: (W - width) >> 1, height, width };
}

/** e^t for |t| < 7 as its series: the same bits in every language, which a library's exp would not promise. */
function exp(t: number): number {
  const size = Math.abs(t);
  let [term, sum] = [1, 0];
  for (let n = 1; n <= 40; n++) {
    sum += term;
    term *= size / n;
  }
  return t < 0 ? 1 / sum : sum;
}

/** [cos t, sin t] for |t| <= pi, likewise. */
function cosSin(t: number): [number, number] {
  let [term, cos, sin] = [1, 0, 0];
  for (let n = 1; n <= 32; n += 2) {
    cos += term;
    term *= t / n;
    sin += term;
    term *= -t / (n + 1);
  }
  return [cos, sin];
}

/**
 * Applies one variation to one image, pixel values as stored (before normalization), in float64.
 *
 * Pixel (x, y) is the square of side 1 around the point (x, y), so an image covers [-1/2, W - 1/2] x [-1/2, H - 1/2].
 * A pixel of the result looks back to a point of the stored image: through the flip and the move, by minus the angle
 * about the centre, and into the crop, whose area is spread over the whole. There the image is interpolated bilinearly,
 * its border pixels repeated over their outer halves; outside it is black (0). A move alone thus copies pixels.
 *
 * Then brightness (times a factor), contrast (c p + (1 - c) mean grey of the image as it is now, where grey is 0.2989 R +
 * 0.587 G + 0.114 B, or the mean of other than three channels), both clamped to 0..255 if the image is of bytes, and the
 * black square.
 * @param image H * W * C values, NHWC
 */
export function augmentReference(
  image: Uint8Array | Float32Array,
  shape: ImageShape,
  { dx, dy, flip, crop, angle = 0, brightness = 1, contrast = 1, cutout }: AugmentParams,
): Float64Array {
  const [H, W, C] = shape;
  if (image.length !== imageSize(shape)) fail("augmentation", `an image of ${shape.join("x")} values`, image.length);
  const { top, left, height, width } = crop ?? { top: 0, left: 0, height: H, width: W };
  const [cos, sin] = cosSin(angle);
  const [perX, perY] = [width / W, height / H];
  const [xu, xv, yu, yv] = [perX * cos, -perX * sin, perY * sin, perY * cos];
  const clamp = image instanceof Uint8Array ? (p: number) => Math.min(255, Math.max(0, p)) : (p: number) => p;
  const grey = C === 3 ? [0.2989, 0.587, 0.114] : new Array<number>(C).fill(1 / C);
  const out = new Float64Array(image.length);
  let mean = 0;
  for (let y = 0; y < H; y++)
    for (let x = 0; x < W; x++) {
      const u = (flip ? W - 1 - x : x) - dx - (W - 1) / 2;
      const v = y - dy - (H - 1) / 2;
      const px = xu * u + xv * v + (width / 2 + left - 0.5);
      const py = yu * u + yv * v + (height / 2 + top - 0.5);
      if (!(px >= -0.5 && px <= W - 0.5 && py >= -0.5 && py <= H - 0.5)) continue;
      const [x0, y0] = [Math.trunc(px + 1) - 1, Math.trunc(py + 1) - 1];
      const at = (yy: number, xx: number, c: number) =>
        image[(Math.min(H - 1, Math.max(0, yy)) * W + Math.min(W - 1, Math.max(0, xx))) * C + c];
      for (let c = 0; c < C; c++) {
        const row = (yy: number) => at(yy, x0, c) + (px - x0) * (at(yy, x0 + 1, c) - at(yy, x0, c));
        const p = clamp((row(y0) + (py - y0) * (row(y0 + 1) - row(y0))) * brightness);
        out[(y * W + x) * C + c] = p;
        mean += (grey[c] * p) / (H * W);
      }
    }
  const inside = (at: number, from: number) => cutout !== undefined && at >= from && at < from + cutout.size;
  return out.map((p, i) => {
    const [y, x] = [Math.floor(i / (W * C)), Math.floor(i / C) % W];
    if (cutout && inside(y, cutout.top) && inside(x, cutout.left)) return 0;
    return contrast === 1 ? p : clamp(contrast * p + (1 - contrast) * mean);
  });
}

/**
 * How much of example `example` is in its mixture: lam ~ Beta(alpha, alpha), a pure function of (seed, epoch, example).
 * With (U, V) = unit(u[2][2]), unit(u[2][3]) of {@link augmentParams}, lam = 1/2 + sign(cos 2 pi V) / 2 * s, where
 * s^-2 = 1 + 1 / ((U^(-1/alpha) - 1) cos^2 2 pi V): Bailey's exact variate of Student's t with 2 alpha degrees of freedom
 * (Math. Comp. 62, 1994), of which a symmetric beta is a function.
 */
export function mixupWeight(seed: number, epoch: number, example: number, alpha: number): number {
  const [, , u, v] = wordsOf(seed, epoch, example, 2);
  const cos = Math.cos(2 * Math.PI * uniform01(v));
  const t2 = Math.expm1(-Math.log(uniform01(u)) / alpha) * cos * cos; // of t, over its degrees of freedom
  return 0.5 + (0.5 * Math.sign(cos)) / Math.sqrt(1 + 1 / t2);
}

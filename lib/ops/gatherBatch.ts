import { type Augmentation, settleAugmentation } from "../data/augment.ts";
import { apply, f32, type Op, sizeOf, type Tensor, typeName } from "../graph/node.ts";
import { copyList } from "../util/arrays.ts";
import { checkInt, checkOptions, fail, words } from "../util/errors.ts";

type GatherAttrs = {
  readonly scale: readonly number[];
  readonly shift: readonly number[];
  readonly pad: number;
  /** Whether images are varied at all; if so, by the following, 0 or [] being none. */
  readonly varied: boolean;
  readonly augmentShift: number;
  readonly augmentFlip: boolean;
  /** Shares of the area, ratios, and the ratios' logarithms. */
  readonly crop: readonly number[];
  readonly rotate: number;
  readonly brightness: number;
  readonly contrast: number;
  readonly cutout: number;
};

const op: Op<GatherAttrs> = {
  name: "gatherBatch",
  infer([data, index, rng, epoch, examples], { scale, shift, pad, varied, augmentShift, cutout }) {
    const is = "gatherBatch";
    if (data.dtype === "i32" || data.shape.length !== 4) fail(is, "data as u8 or f32 [N, H, W, C]", typeName(data));
    if (index.dtype !== "i32" || index.shape.length !== 1) fail(is, "index as i32[B]", typeName(index));
    const [, h, w, c] = data.shape;
    for (const [what, list] of [
      ["scale", scale],
      ["shift", shift],
    ] as const)
      if (list.length !== c || !list.every(Number.isFinite))
        fail(is, `${what} as ${c} finite numbers, one a channel`, list);
    checkInt(is, "pad", pad, 0, 1 << 15);
    checkInt(is, "the largest move of an augmented image", augmentShift, 0, 1 << 15);
    checkInt(is, "the side of the cut out square", cutout, 0, Math.max(h, w));
    if (varied) {
      if (rng?.dtype !== "i32" || rng.shape[0] !== 4) fail(is, "rng as i32[4]", rng ? typeName(rng) : words("none"));
      if (epoch?.dtype !== "i32" || sizeOf(epoch.shape) !== 1)
        fail(is, "epoch as one i32", epoch ? typeName(epoch) : words("none"));
      if (examples && (examples.dtype !== "i32" || sizeOf(examples.shape) !== index.shape[0]))
        fail(is, `examples as i32[${index.shape[0]}], one a row`, typeName(examples));
    }
    return [f32([index.shape[0], h + 2 * pad, w + 2 * pad, c])];
  },
};

/** Random variation of the images of a step; the rule is augmentParams of lib/data/augment.ts. */
export interface GatherAugmentation extends Omit<Augmentation, "mixup"> {
  /** i32[4], of which the first two are the seed's low and high word. */
  readonly rng: Tensor;
  /** i32[] (or [1]): the epoch. */
  readonly epoch: Tensor;
  /** i32[B]: each row's index in the data set, on which its variation depends. Default: `index`. */
  readonly examples?: Tensor;
}

export interface GatherOptions {
  /** Per channel: x = pixel * scale + shift (see normalize of lib/data). */
  readonly scale: readonly number[];
  readonly shift: readonly number[];
  /** Zero pixels (black, so `shift` after normalization) on each side, around the varied image. Default 0. */
  readonly pad?: number;
  readonly augment?: GatherAugmentation;
}

/**
 * The images of one step, from a data set that is resident on the device.
 * @param data u8 or f32 [N, H, W, C]
 * @param index i32[B], examples; one out of range stops the run with an error
 * @returns f32 [B, H + 2 pad, W + 2 pad, C]
 */
export function gatherBatch(data: Tensor, index: Tensor, options: GatherOptions): Tensor {
  const {
    scale,
    shift,
    pad = 0,
    augment,
  } = checkOptions("gatherBatch", options, {
    scale: "object",
    shift: "object",
    pad: "number",
    augment: "object",
  });
  const { rng, epoch, examples, ...asked } = augment ?? {};
  const how = settleAugmentation("gatherBatch", asked);
  const { resizedCrop: crop, rotate = 0, brightness = 0, contrast = 0, cutout = 0 } = how;
  const varied = Boolean(how.shift || how.flip || crop || rotate || brightness || contrast || cutout);
  const inputs = varied ? [data, index, rng!, epoch!, ...(examples ? [examples] : [])] : [data, index];
  return apply(op, inputs, {
    scale: copyList("gatherBatch", "scale", scale),
    shift: copyList("gatherBatch", "shift", shift),
    pad,
    varied,
    augmentShift: how.shift,
    augmentFlip: how.flip,
    crop: crop ? [...crop.scale, ...crop.ratio, ...crop.ratio.map(Math.log)] : [],
    rotate,
    brightness,
    contrast,
    cutout,
  })[0];
}

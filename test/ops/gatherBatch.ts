import { type Augmentation, augmentParams, augmentReference } from "../../lib/data/augment.ts";
import type { DType, Shape } from "../../lib/graph/node.ts";
import { gatherBatch } from "../../lib/ops/gatherBatch.ts";
import { ints, type OpCase, random, type Value } from "./harness.ts";

interface Options extends Augmentation {
  readonly pad?: number;
  /** In place of the index. */
  readonly examples?: readonly number[];
}

const SEED = 2 ** 40 + 12345;
const EPOCH = 6;

function pixels(shape: Shape, dtype: DType): Value {
  const next = random(1);
  const draw = dtype === "u8" ? () => Math.floor(next() * 256) : () => Math.fround(next() * 2 - 1);
  return { shape, data: Float64Array.from({ length: shape.reduce((a, b) => a * b) }, draw), dtype };
}

const normalization = (c: number, dtype: DType) => ({
  scale: Array.from({ length: c }, (_, k) => Math.fround((dtype === "u8" ? 1 / 128 : 1) * (1 + k / 4))),
  shift: Array.from({ length: c }, (_, k) => Math.fround(k / 3 - 0.5)),
});

function reference(
  { data, index }: Readonly<Record<string, Value>>,
  { pad = 0, examples, ...augment }: Options,
): Value {
  const [, h, w, c] = data.shape;
  const { scale, shift } = normalization(c, data.dtype!);
  const stored = data.dtype === "u8" ? Uint8Array : Float32Array;
  const [oh, ow, size] = [h + 2 * pad, w + 2 * pad, h * w * c];
  const out = new Float64Array(index.data.length * oh * ow * c);
  for (const [b, example] of index.data.entries()) {
    const raw = stored.from(data.data.subarray(example * size, (example + 1) * size));
    const how = augmentParams(SEED, EPOCH, examples?.[b] ?? example, augment, [h, w, c]);
    const image = augmentReference(raw, [h, w, c], how);
    for (let y = 0; y < oh; y++)
      for (let x = 0; x < ow; x++)
        for (let k = 0; k < c; k++) {
          const inside = y >= pad && y < h + pad && x >= pad && x < w + pad;
          const pixel = inside ? image[((y - pad) * w + x - pad) * c + k] : 0;
          out[((b * oh + y) * ow + x) * c + k] = pixel * scale[k] + shift[k];
        }
  }
  return { shape: [index.data.length, oh, ow, c], data: out };
}

const row = (name: string, shape: Shape, dtype: DType, index: readonly number[], options: Options = {}): OpCase => {
  const { pad, examples, ...augment } = options;
  const varied = Object.keys(augment).length > 0;
  const seed = [SEED >>> 0, Math.floor(SEED / 2 ** 32), 0, 0].map((v) => v | 0);
  const inputs = { data: pixels(shape, dtype), index: ints([index.length], index) };
  return {
    name,
    inputs: {
      ...inputs,
      ...(varied ? { rng: ints([4], seed), epoch: ints([], [EPOCH]) } : {}),
      ...(examples ? { examples: ints([examples.length], examples) } : {}),
    },
    build: ({ data, index, rng, epoch, examples }) =>
      gatherBatch(data, index, {
        ...normalization(shape[3], dtype),
        pad,
        augment: varied ? { ...augment, rng, epoch, examples } : undefined,
      }),
    reference: (v) => reference(v, options),
    wrt: [],
    onnx: false,
  };
};

const many = Array.from({ length: 40 }, (_, i) => (i * 7) % 23);
const others = many.map((i) => i + 1000);
const all: Options = {
  shift: 2,
  flip: true,
  resizedCrop: { scale: [0.3, 1] },
  rotate: 20,
  brightness: 0.4,
  contrast: 0.4,
  cutout: 3,
  pad: 1,
};
export const cases: OpCase[] = [
  row("bytes of one channel", [5, 7, 6, 1], "u8", [4, 0, 4]),
  row("bytes of three channels, batch of one", [3, 5, 5, 3], "u8", [1]),
  row("floats of 17 channels", [3, 3, 2, 17], "f32", [2, 0]),
  row("padded", [4, 5, 6, 1], "u8", [3, 1], { pad: 2 }),
  row("padded, three channels", [4, 5, 3, 3], "f32", [3, 1], { pad: 1 }),
  row("moved", [23, 8, 9, 1], "u8", many, { shift: 2 }),
  row("mirrored", [23, 4, 5, 3], "u8", many, { flip: true }),
  row("moved and mirrored", [23, 7, 6, 3], "u8", many, { shift: 3, flip: true }),
  row("moved, mirrored and padded", [23, 6, 7, 3], "f32", many, { shift: 2, flip: true, pad: 1 }),
  row("moved out of the picture", [23, 2, 3, 1], "u8", many, { shift: 9 }),
  row("several tasks", [23, 28, 28, 1], "u8", many, { pad: 2 }),
  row("moved and mirrored by other numbers than the index", [23, 7, 6, 3], "u8", many, {
    shift: 3,
    flip: true,
    examples: others,
  }),
  row("cropped", [23, 12, 12, 1], "u8", many, { resizedCrop: true }),
  row("cropped, never with success, wide", [23, 3, 17, 3], "f32", many, { resizedCrop: { scale: [1, 1] } }),
  row("cropped, never with success, tall", [23, 17, 3, 3], "u8", many, { resizedCrop: { scale: [0.9, 1] } }),
  row("cropped to single pixels", [23, 5, 4, 2], "f32", many, { resizedCrop: { scale: [0.01, 0.06] } }),
  row("cropped to strips", [23, 9, 9, 1], "u8", many, { resizedCrop: { scale: [0.1, 0.5], ratio: [0.01, 100] } }),
  row("rotated a little", [23, 11, 14, 3], "u8", many, { rotate: 15 }),
  row("rotated all around, five channels", [23, 8, 5, 5], "f32", many, { rotate: 180 }),
  row("rotated, moved, mirrored and padded", [23, 9, 8, 1], "f32", many, { rotate: 30, shift: 2, flip: true, pad: 1 }),
  row("brighter and darker bytes", [23, 7, 9, 3], "u8", many, { brightness: 1 }),
  row("brighter and darker floats", [23, 7, 9, 1], "f32", many, { brightness: 0.5 }),
  row("contrast of bytes", [23, 9, 7, 3], "u8", many, { contrast: 1 }),
  row("contrast of floats, four channels", [23, 9, 7, 4], "f32", many, { contrast: 0.7 }),
  row("brightness and contrast of long rows", [5, 2, 1100, 3], "u8", [4, 2, 0], { brightness: 0.8, contrast: 0.9 }),
  row("cut out", [23, 10, 7, 3], "u8", many, { cutout: 4 }),
  row("cut out nearly whole, padded", [23, 5, 5, 1], "f32", many, { cutout: 5, pad: 2 }),
  ...(["u8", "f32"] as const).flatMap((dtype) =>
    [1, 3].map((c) => row(`all at once, ${dtype}, ${c} channels`, [23, 13, 10, c], dtype, many, all)),
  ),
  row("all at once, by other numbers than the index", [23, 28, 28, 1], "u8", many, { ...all, examples: others }),
];

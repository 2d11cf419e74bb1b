import { type AugmentParams, augmentParams, augmentReference } from "../../lib/data/prepare.ts";
import type { DType, Shape } from "../../lib/graph/node.ts";
import { gatherBatch } from "../../lib/ops/gatherBatch.ts";
import { ints, type OpCase, random, type Value } from "./harness.ts";

interface Options {
  readonly pad?: number;
  readonly shift?: number;
  readonly flip?: boolean;
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
  { pad = 0, shift = 0, flip = false }: Options,
): Value {
  const [, h, w, c] = data.shape;
  const { scale, shift: offset } = normalization(c, data.dtype!);
  const [oh, ow, size] = [h + 2 * pad, w + 2 * pad, h * w * c];
  const out = new Float64Array(index.data.length * oh * ow * c);
  for (const [b, example] of index.data.entries()) {
    const raw = Float32Array.from(data.data.subarray(example * size, (example + 1) * size));
    const still: AugmentParams = { dx: 0, dy: 0, flip: false };
    const how = shift > 0 || flip ? augmentParams(SEED, EPOCH, example, { shift, flip }) : still;
    const image = augmentReference(raw, [h, w, c], how);
    for (let y = 0; y < oh; y++)
      for (let x = 0; x < ow; x++)
        for (let k = 0; k < c; k++) {
          const inside = y >= pad && y < h + pad && x >= pad && x < w + pad;
          const pixel = inside ? image[((y - pad) * w + x - pad) * c + k] : 0;
          out[((b * oh + y) * ow + x) * c + k] = pixel * scale[k] + offset[k];
        }
  }
  return { shape: [index.data.length, oh, ow, c], data: out };
}

const row = (name: string, shape: Shape, dtype: DType, index: readonly number[], options: Options = {}): OpCase => {
  const { pad, shift = 0, flip = false } = options;
  const varied = shift > 0 || flip;
  const seed = [SEED >>> 0, Math.floor(SEED / 2 ** 32), 0, 0].map((v) => v | 0);
  const inputs = { data: pixels(shape, dtype), index: ints([index.length], index) };
  return {
    name,
    inputs: varied ? { ...inputs, rng: ints([4], seed), epoch: ints([], [EPOCH]) } : inputs,
    build: ({ data, index, rng, epoch }) =>
      gatherBatch(data, index, {
        ...normalization(shape[3], dtype),
        pad,
        augment: varied ? { shift, flip, rng, epoch } : undefined,
      }),
    reference: (v) => reference(v, options),
    wrt: [],
    onnx: false,
  };
};

const many = Array.from({ length: 40 }, (_, i) => (i * 7) % 23);
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
];

import type { Tensor } from "../../lib/graph/node.ts";
import { maxPool2d } from "../../lib/ops/maxPool2d.ts";
import { type WindowOptions, windowAttrs } from "../../lib/ops/shared/window.ts";
import { given, type OpCase, uniform, type Value } from "./harness.ts";

/** f(pixels of the window that lie in the image) for every window of every channel; the kernel's size comes with it. */
export function windows(x: Value, options: WindowOptions, f: (pixels: number[], size: number) => number): Value {
  const [n, h, w, c] = x.shape;
  const { kernel, stride, padding } = windowAttrs("maxPool2d", options);
  const oh = Math.floor((h + padding[0] + padding[2] - kernel[0]) / stride[0]) + 1;
  const ow = Math.floor((w + padding[1] + padding[3] - kernel[1]) / stride[1]) + 1;
  const data = new Float64Array(n * oh * ow * c);
  for (let i = 0; i < data.length; i++) {
    const [channel, column, row] = [i % c, Math.floor(i / c) % ow, Math.floor(i / c / ow) % oh];
    const image = Math.floor(i / c / ow / oh);
    const pixels: number[] = [];
    for (let a = 0; a < kernel[0]; a++)
      for (let b = 0; b < kernel[1]; b++) {
        const [y, z] = [row * stride[0] - padding[0] + a, column * stride[1] - padding[1] + b];
        if (y >= 0 && y < h && z >= 0 && z < w) pixels.push(x.data[((image * h + y) * w + z) * c + channel]);
      }
    data[i] = f(pixels, kernel[0] * kernel[1]);
  }
  return { shape: [n, oh, ow, c], data };
}

/** Naive max pooling in float64. */
export function maxPool(x: Value, options: WindowOptions): Value {
  return windows(x, options, (pixels) => {
    let best = pixels[0];
    for (const v of pixels) if (v > best || (Number.isNaN(v) && !Number.isNaN(best))) best = v;
    return best;
  });
}

/** A row whose result is pooled by tiles: in a compiled program one step with the layer. */
export const pooled = (c: OpCase, kernel: readonly [number, number]): OpCase => ({
  ...c,
  name: `${c.name}, pooled by ${kernel.join("x")}`,
  build: (t) => maxPool2d(c.build(t) as Tensor, { kernel }),
  reference: (v) => maxPool(c.reference(v) as Value, { kernel }),
  epsilon: 1e-6, // few windows are that near to a tie
});

const row = (name: string, x: Value, options: WindowOptions, more: Partial<OpCase> = {}): OpCase => ({
  name,
  inputs: { x },
  build: (t) => maxPool2d(t.x, options),
  reference: (v) => maxPool(v.x, options),
  epsilon: 1e-7, // stays on one side of every tie of random values
  ...more,
});

const special = (v: number, i: number): number => (i % 101 === 0 ? NaN : i % 37 ? v : i % 2 ? Infinity : -Infinity);

export const cases: OpCase[] = [
  row("2x2, six channels", uniform([1, 4, 6, 6], 1), { kernel: 2 }),
  row("one channel, batch 2", uniform([2, 6, 4, 1], 2), { kernel: 2 }),
  row("three channels, what does not fit is left out", uniform([2, 7, 5, 3], 3), { kernel: 2 }),
  row("17 channels, overlapping 3x3", uniform([2, 7, 9, 17], 4), { kernel: 3, stride: 2 }),
  row("overlapping with padding", uniform([1, 6, 7, 8], 5), { kernel: 3, stride: 2, padding: 1 }),
  row("stride 1", uniform([1, 5, 5, 3], 6), { kernel: 3, stride: 1, padding: 1 }),
  row("stride larger than the kernel", uniform([2, 9, 8, 5], 7), { kernel: 2, stride: 3 }),
  row("rows left out, padding on top", uniform([2, 9, 8, 5], 13), { kernel: 2, stride: [3, 2], padding: [1, 0, 0, 0] }),
  row("padding on the right only", uniform([2, 5, 5, 3], 14), { kernel: 2, padding: [0, 0, 1, 1] }),
  row("9 channels, tiled", uniform([2, 6, 7, 9], 15), { kernel: [3, 2] }),
  row("oblong, uneven padding", uniform([1, 7, 8, 6], 8), { kernel: [2, 4], stride: [1, 2], padding: [1, 0, 0, 3] }),
  row("one pixel, one result", uniform([1, 1, 1, 1], 9), { kernel: 1 }),
  row("window as large as the image", uniform([3, 5, 3, 6], 10), { kernel: [5, 3] }),
  row("several tasks", uniform([9, 24, 24, 6], 11), { kernel: 2 }),
  row("all below zero with padding", uniform([1, 4, 4, 2], 12, -3, -2), { kernel: 3, stride: 2, padding: 1 }),
  row(
    "NaN and infinity",
    given([1, 2, 4, 1], [1, NaN, -Infinity, -Infinity, 3, 2, -Infinity, Infinity]),
    { kernel: 2 },
    { wrt: [], onnx: false },
  ),
  row(
    "NaN and both infinities here and there, whole vectors",
    { ...uniform([2, 9, 9, 19], 16), data: uniform([2, 9, 9, 19], 16).data.map(special) },
    { kernel: 3, stride: 2 },
    { wrt: [], onnx: false },
  ),
  row("minus infinity only", given([1, 2, 2, 1], Array(4).fill(-Infinity)), { kernel: 2 }, { wrt: [], onnx: false }),
];

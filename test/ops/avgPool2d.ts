import { type AvgPoolOptions, avgPool2d } from "../../lib/ops/avgPool2d.ts";
import { globalAvgPool2d } from "../../lib/ops/globalAvgPool2d.ts";
import { type OpCase, uniform, type Value } from "./harness.ts";
import { windows } from "./maxPool2d.ts";

const total = (pixels: readonly number[]): number => pixels.reduce((a, b) => a + b, 0);

const row = (name: string, x: Value, options: AvgPoolOptions): OpCase => ({
  name,
  inputs: { x },
  build: (t) => avgPool2d(t.x, options),
  reference: (v) =>
    windows(v.x, options, (p, size) => total(p) / ((options.countIncludePad ?? true) ? size : p.length)),
});

const global = (name: string, x: Value): OpCase => ({
  name,
  inputs: { x },
  build: (t) => globalAvgPool2d(t.x),
  reference: (v) => {
    const [n, h, w, c] = v.x.shape;
    return { shape: [n, c], data: windows(v.x, { kernel: [h, w] }, (p) => total(p) / (h * w)).data };
  },
});

export const cases: OpCase[] = [
  row("2x2, six channels", uniform([1, 4, 6, 6], 1), { kernel: 2 }),
  row("one channel, batch 2", uniform([2, 6, 4, 1], 2), { kernel: 2 }),
  row("three channels, what does not fit is left out", uniform([2, 7, 5, 3], 3), { kernel: 2 }),
  row("17 channels, overlapping 3x3", uniform([2, 7, 9, 17], 4), { kernel: 3, stride: 2 }),
  row("padding counts", uniform([1, 6, 7, 8], 5), { kernel: 3, stride: 2, padding: 1 }),
  row("padding does not count", uniform([1, 6, 7, 8], 6), { kernel: 3, stride: 2, padding: 1, countIncludePad: false }),
  row("stride larger than the kernel", uniform([2, 9, 8, 5], 7), { kernel: 2, stride: 3 }),
  row("oblong, uneven padding", uniform([1, 7, 8, 6], 8), {
    kernel: [2, 4],
    stride: [1, 2],
    padding: [1, 0, 0, 3],
    countIncludePad: false,
  }),
  row("several tasks", uniform([9, 24, 24, 6], 9), { kernel: 2 }),
  global("global, one image", uniform([1, 7, 5, 3], 10)),
  global("global, batch 2, 17 channels", uniform([2, 4, 4, 17], 11)),
  global("global, several tasks", uniform([3, 41, 40, 10], 13)),
  global("global, one pixel", uniform([2, 1, 1, 6], 12)),
];

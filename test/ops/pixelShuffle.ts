import type { Shape } from "../../lib/graph/node.ts";
import { pixelShuffle, pixelUnshuffle } from "../../lib/ops/pixelShuffle.ts";
import { type OpCase, uniform } from "./harness.ts";
import { elementOf, fill } from "./transpose.ts";

const up = (name: string, [n, h, w, c]: Shape, r: number): OpCase => ({
  name,
  inputs: { x: uniform([n, h, w, c * r * r], 1) },
  build: (t) => pixelShuffle(t.x, r),
  reference: ({ x }) =>
    fill([n, h * r, w * r, c], ([b, y, z, k]) => {
      const channel = k * r * r + (y % r) * r + (z % r);
      return x.data[elementOf([b, Math.floor(y / r), Math.floor(z / r), channel], x.shape)];
    }),
});
const down = (name: string, [n, h, w, c]: Shape, r: number): OpCase => ({
  name: `inverse: ${name}`,
  inputs: { x: uniform([n, h * r, w * r, c], 1) },
  build: (t) => pixelUnshuffle(t.x, r),
  reference: ({ x }) =>
    fill([n, h, w, c * r * r], ([b, y, z, k]) => {
      const [i, j] = [Math.floor(k / r) % r, k % r];
      return x.data[elementOf([b, y * r + i, z * r + j, Math.floor(k / (r * r))], x.shape)];
    }),
});

const rows: [name: string, shape: Shape, factor: number][] = [
  ["one channel", [1, 3, 2, 1], 3],
  ["three channels, batch 2", [2, 3, 5, 3], 2],
  ["17 channels", [1, 2, 2, 17], 2],
  ["factor 1", [2, 3, 3, 2], 1],
  ["several tasks", [3, 24, 32, 1], 3],
];
export const cases: OpCase[] = rows.flatMap((r) => [up(...r), down(...r)]);

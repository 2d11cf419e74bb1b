import { convTranspose2d } from "../../lib/ops/convTranspose2d.ts";
import type { ConvTransposeOptions } from "../../lib/ops/shared/conv.ts";
import { pair } from "../../lib/ops/shared/window.ts";
import { addBias, convT } from "./conv2d.ts";
import { type OpCase, uniform, type Value } from "./harness.ts";

/** [name, x, w, options, bias] */
export const geometries: readonly (readonly [
  string,
  readonly number[],
  readonly number[],
  ConvTransposeOptions,
  boolean?,
])[] = [
  ["DCGAN's doubling", [2, 4, 4, 9], [4, 4, 5, 9], { stride: 2, padding: 1 }, true],
  ["one pixel to an image", [3, 1, 1, 20], [4, 4, 17, 20], {}, true],
  ["stride 1", [1, 5, 6, 3], [3, 3, 4, 3], { padding: 1 }],
  [
    "output padding, oblong",
    [2, 3, 4, 2],
    [3, 2, 3, 2],
    { stride: [2, 3], padding: [1, 0], outputPadding: [1, 2] },
    true,
  ],
  ["stride larger than the kernel", [1, 3, 3, 2], [2, 1, 3, 2], { stride: 3 }, true],
  ["dilation, uneven padding", [1, 4, 4, 3], [3, 2, 2, 3], { dilation: [2, 1], padding: [1, 0, 2, 1] }],
  ["groups", [2, 3, 3, 6], [3, 3, 2, 6], { groups: 3, stride: 2 }, true],
  ["one channel", [1, 2, 2, 1], [2, 2, 1, 1], { stride: 2 }],
  ["images in lanes", [30, 3, 4, 5], [3, 2, 3, 5], { stride: [2, 1], padding: [1, 1] }, true],
  ["depthwise", [2, 3, 4, 18], [3, 3, 1, 18], { groups: 18, stride: 2, padding: 1, outputPadding: 1 }, true],
  // a later row of results reads an earlier row of x
  [
    "depthwise, dilation and stride",
    [1, 4, 4, 17],
    [2, 3, 1, 17],
    { groups: 17, stride: [2, 3], dilation: [3, 1], padding: [3, 0] },
  ],
  ["groups of 3 to 5", [2, 3, 3, 35], [3, 3, 3, 35], { groups: 7, stride: [1, 2], padding: 1 }, true],
  ["depthwise, whole vectors", [2, 5, 6, 32], [2, 3, 1, 32], { groups: 32, dilation: [2, 1], padding: [1, 0] }, true],
];

export const reference = (x: Value, w: Value, { outputPadding = 0, ...rest }: ConvTransposeOptions): Value =>
  convT(x, w, { ...rest, outputPadding: pair(outputPadding) });

export const cases: OpCase[] = geometries.map(([name, x, w, options, bias], i) => {
  const filters = w[2] * (options.groups ?? 1);
  return {
    name,
    inputs: { x: uniform(x, 10 * i), w: uniform(w, 10 * i + 1), ...(bias && { b: uniform([filters], 10 * i + 2) }) },
    build: (t) => convTranspose2d(t.x, t.w, t.b, options),
    reference: (v) => addBias(reference(v.x, v.w, options), v.b),
  };
});

import { conv2d } from "../../lib/ops/conv2d.ts";
import { type ConvOptions, convAttrs } from "../../lib/ops/shared/conv.ts";
import { activated, type OpCase, uniform, type Value } from "./harness.ts";
import { pooled } from "./maxPool2d.ts";

/** f(index in x, in w, in y) for every multiplication of a convolution. */
export function forTaps(
  x: readonly number[],
  w: readonly number[],
  y: readonly number[],
  options: ConvOptions,
  f: (x: number, w: number, y: number) => void,
) {
  const { stride, padding, dilation, groups } = convAttrs("conv2d", x, w, options, 0);
  const [, height, width, c] = x;
  const [kh, kw, perGroup, filters] = w;
  for (let n = 0; n < y[0]; n++)
    for (let oh = 0; oh < y[1]; oh++)
      for (let ow = 0; ow < y[2]; ow++)
        for (let i = 0; i < kh; i++)
          for (let j = 0; j < kw; j++) {
            const [h, v] = [
              oh * stride[0] - padding[0] + i * dilation[0],
              ow * stride[1] - padding[1] + j * dilation[1],
            ];
            if (h < 0 || h >= height || v < 0 || v >= width) continue;
            for (let k = 0; k < filters; k++)
              for (let q = 0; q < perGroup; q++) {
                const channel = Math.floor(k / (filters / groups)) * perGroup + q;
                f(
                  ((n * height + h) * width + v) * c + channel,
                  ((i * kw + j) * perGroup + q) * filters + k,
                  ((n * y[1] + oh) * y[2] + ow) * filters + k,
                );
              }
          }
}

/** Naive convolution in float64. */
export function conv(x: Value, w: Value, options: ConvOptions): Value {
  const { stride, padding, dilation } = convAttrs("conv2d", x.shape, w.shape, options, 0);
  const length = (i: number) =>
    Math.floor((x.shape[i + 1] + padding[i] + padding[i + 2] - dilation[i] * (w.shape[i] - 1) - 1) / stride[i]) + 1;
  const shape = [x.shape[0], length(0), length(1), w.shape[3]];
  const data = new Float64Array(shape.reduce((a, b) => a * b));
  forTaps(x.shape, w.shape, shape, options, (i, j, o) => {
    data[o] += x.data[i] * w.data[j];
  });
  return { shape, data };
}

/** Naive transposed convolution: each x is spread over the output by the taps of the convolution that it reverses. */
export function convT(x: Value, w: Value, options: ConvOptions & { outputPadding?: readonly number[] }): Value {
  const { stride, padding, dilation, groups } = convAttrs("conv2d", x.shape, w.shape, options, 0);
  const length = (i: number) =>
    (x.shape[i + 1] - 1) * stride[i] -
    padding[i] -
    padding[i + 2] +
    dilation[i] * (w.shape[i] - 1) +
    (options.outputPadding?.[i] ?? 0) +
    1;
  const shape = [x.shape[0], length(0), length(1), w.shape[2] * groups];
  const data = new Float64Array(shape.reduce((a, b) => a * b));
  forTaps(shape, w.shape, x.shape, options, (o, j, i) => {
    data[o] += x.data[i] * w.data[j];
  });
  return { shape, data };
}

export const addBias = (y: Value, b: Value | undefined): Value =>
  b ? { shape: y.shape, data: y.data.map((v, i) => v + b.data[i % b.data.length]) } : y;

/** [name, x, w, options, bias] */
export const geometries: readonly (readonly [string, readonly number[], readonly number[], ConvOptions, boolean?])[] = [
  ["LeNet's first layer", [2, 9, 8, 1], [5, 5, 1, 6], {}, true],
  ["LeNet's second layer", [2, 6, 7, 6], [5, 5, 6, 16], {}, true],
  ["3x3 same, a block and a bit of channels", [2, 3, 4, 19], [3, 3, 19, 37], { padding: "same" }, true],
  ["one pixel, one channel", [1, 1, 1, 1], [1, 1, 1, 1], {}],
  ["oblong kernel, uneven padding", [1, 6, 5, 3], [2, 4, 3, 5], { padding: [2, 0, 1, 3] }, true],
  ["stride", [2, 9, 8, 4], [3, 3, 4, 10], { stride: [2, 3], padding: 1 }],
  ["stride larger than the kernel", [2, 9, 10, 3], [2, 1, 3, 4], { stride: [4, 3] }, true],
  ["same with stride", [1, 7, 6, 2], [3, 4, 2, 3], { stride: [3, 2], padding: "same" }],
  ["dilation", [1, 9, 8, 3], [3, 2, 3, 4], { dilation: [2, 3], padding: [1, 2] }, true],
  ["groups", [2, 5, 5, 6], [3, 3, 2, 9], { groups: 3, padding: 1 }, true],
  ["depthwise", [2, 6, 5, 7], [3, 3, 1, 7], { groups: 7, padding: 1, stride: 2 }, true],
  ["depthwise with multiplier and dilation", [1, 6, 6, 3], [2, 2, 1, 6], { groups: 3, dilation: 2 }],
  ["1x1", [3, 4, 3, 33], [1, 1, 33, 17], {}, true],
  ["kernel as large as the padded image", [2, 2, 3, 5], [4, 5, 5, 8], { padding: 1 }],
  ["many taps in several chunks", [1, 2, 2, 130], [3, 3, 130, 3], { padding: 1 }, true],
  // 29 and 30 images fill the lanes of vectors of every width well enough (native/conv/imageLanes/product.h)
  ["images in lanes", [29, 5, 6, 2], [3, 3, 2, 7], { padding: 1, stride: [2, 1] }, true],
  ["images in lanes, uneven", [30, 5, 4, 1], [2, 3, 1, 5], { dilation: [2, 1], padding: [1, 2, 2, 0] }, true],
  ["several images", [4, 4, 4, 16], [3, 2, 16, 9], { padding: 1 }, true],
  ["images in lanes, all padding", [30, 2, 4, 1], [1, 4, 1, 8], { stride: [1, 40], padding: [0, 36, 0, 0] }, true],
  // channels in lanes (native/conv/channelLanes): vectors and a bit of them, rows that leave the image, groups across vectors
  ["depthwise, many channels", [2, 4, 5, 37], [3, 3, 1, 37], { groups: 37, padding: 1 }, true],
  ["depthwise, uneven", [1, 7, 6, 18], [5, 4, 1, 18], { groups: 18, stride: [2, 1], padding: [2, 1, 1, 3] }],
  ["depthwise, dilation", [2, 7, 5, 17], [3, 2, 1, 17], { groups: 17, dilation: [2, 3], padding: [1, 2] }, true],
  ["groups of 4", [2, 4, 3, 24], [3, 3, 4, 24], { groups: 6, padding: 1 }, true],
  ["groups of 3 to 5", [2, 5, 4, 21], [2, 3, 3, 35], { groups: 7, stride: 2, padding: 1 }],
  // whole vectors of channels, read where they lie: several tiles of pixels, nothing but border
  ["depthwise, whole vectors", [2, 5, 21, 32], [3, 3, 1, 32], { groups: 32, padding: 1 }, true],
  ["depthwise, whole vectors, all border", [1, 3, 4, 80], [3, 5, 1, 80], { groups: 80, padding: [1, 2] }, true],
  [
    "depthwise, whole vectors, uneven",
    [2, 7, 9, 48],
    [2, 3, 1, 48],
    { groups: 48, stride: [2, 3], dilation: [3, 2], padding: [1, 2, 0, 1] },
  ],
];
/** The one of this name. */
export function geometry(name: string): (typeof geometries)[number] {
  const found = geometries.find(([own]) => own === name);
  if (!found) throw new Error(`no geometry has the name ${name}`);
  return found;
}

const plain: OpCase[] = geometries.map(([name, x, w, options, bias], i) => ({
  name,
  inputs: {
    x: uniform(x, 10 * i),
    w: uniform(w, 10 * i + 1),
    ...(bias && { b: uniform([w[3]], 10 * i + 2) }),
  },
  build: (t) => conv2d(t.x, t.w, t.b, options),
  reference: (v) => addBias(conv(v.x, v.w, options), v.b),
  ...(name === "LeNet's second layer" && { tolerance: 2e-5 }), // by patches: relative to the largest results
}));

// rows of a map with fewer channels than a vector has lanes, and several windows: where one could run into the next
const narrowMaps = [1, 2, 3, 5].map((k) => ({
  name: `a map of ${k} channels`,
  inputs: { x: uniform([3, 6, 13, 2], k), w: uniform([1, 1, 2, k], k + 10) },
  build: (t) => conv2d(t.x, t.w),
  reference: (v) => conv(v.x, v.w, {}),
})) satisfies OpCase[];
const narrowPools = ["2x2", "2x1", "3x3", "1x2"].map((s) => s.split("x").map(Number) as [number, number]);

const rowOf = (name: string): OpCase => plain[geometries.indexOf(geometry(name))];

/** Kernels of a pooling behind the geometries: rows and columns left over, one window an image, several bands. */
export const pools: readonly (readonly [geometry: string, kernel: readonly [number, number]])[] = [
  ["LeNet's first layer", [2, 2]],
  ["stride", [2, 3]],
  ["groups", [3, 2]],
  ["images in lanes", [2, 2]],
  ["images in lanes", [3, 4]],
  ["images in lanes, uneven", [1, 2]],
  ["several images", [2, 2]],
  ["depthwise, many channels", [2, 2]],
  ["depthwise, dilation", [3, 2]],
  ["depthwise, whole vectors", [2, 3]],
];
const beforeActivations = [
  "LeNet's first layer",
  "3x3 same, a block and a bit of channels",
  "stride",
  "stride larger than the kernel",
  "groups",
  "1x1",
  "images in lanes",
  "depthwise, many channels",
  "depthwise, whole vectors",
];

export const cases: OpCase[] = [
  ...plain,
  ...activated(beforeActivations.map(rowOf)),
  ...pools.map(([name, kernel]) => pooled(rowOf(name), kernel)),
  ...activated([rowOf("images in lanes")]).map((c) => pooled(c, [2, 2])),
  ...narrowMaps.flatMap((c) => narrowPools.map((kernel) => pooled(c, kernel))),
];

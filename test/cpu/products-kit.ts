// The layers whose products are held to float64 sums (products.test.ts) and whose patches are looked at (winograd.test.ts).
import type { Shape, Tensor } from "../../lib/graph/node.ts";
import type { Noise } from "../../lib/graph/trace.ts";
import { bayesConv2d } from "../../lib/ops/bayesConv2d.ts";
import { bayesConvTranspose2d } from "../../lib/ops/bayesConvTranspose2d.ts";
import { bayesLinear } from "../../lib/ops/bayesLinear.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { convTranspose2d } from "../../lib/ops/convTranspose2d.ts";
import { linear } from "../../lib/ops/linear.ts";
import type { BayesWeights, ConvOptions, ConvTransposeOptions } from "../../lib/ops/shared/conv.ts";
import { forTaps, geometries as narrow } from "../ops/conv2d.ts";
import { geometries as transposed } from "../ops/convTranspose2d.ts";
import { sizes } from "../ops/linear.ts";

/** What the six ops have in common: y[o] = the sum of x[i] w[j] over visit(shape of y, f(i, j, o)). */
export interface Layer {
  readonly name: string;
  readonly x: Shape;
  readonly w: Shape;
  /** Of the output. */
  readonly channels: number;
  readonly plain: (x: Tensor, w: Tensor, b: Tensor) => Tensor;
  readonly bayes: (x: Tensor, w: BayesWeights, noise: Noise) => Tensor;
  readonly visit: (y: Shape, f: (i: number, j: number, o: number) => void) => void;
  readonly activation?: "leaky" | "softplus";
  readonly transposed?: boolean;
}

const conv = (name: string, x: Shape, w: Shape, options: ConvOptions): Layer => ({
  ...{ name: `convolution: ${name}`, x, w, channels: w[3] },
  plain: (a, b, c) => conv2d(a, b, c, options),
  bayes: (a, b, noise) => bayesConv2d(a, b, noise, options),
  visit: (y, f) => forTaps(x, w, y, options, f),
});
const back = (name: string, x: Shape, w: Shape, options: ConvTransposeOptions): Layer => ({
  ...{ name: `transposed: ${name}`, transposed: true, x, w, channels: w[2] * (options.groups ?? 1) },
  plain: (a, b, c) => convTranspose2d(a, b, c, options),
  bayes: (a, b, noise) => bayesConvTranspose2d(a, b, noise, options),
  visit: (y, f) => forTaps(y, w, x, options as ConvOptions, (o, j, i) => f(i, j, o)),
});
const dense = (name: string, x: Shape, w: Shape): Layer => ({
  ...{ name: `linear: ${name}`, x, w, channels: w[1] },
  plain: linear,
  bayes: bayesLinear,
  visit: (y, f) => forTaps([x[0], 1, 1, x[1]], [1, 1, ...w], [y[0], 1, 1, y[1]], {}, f),
});

/** Layers of groups: depthwise ones, few channels a group, many. */
export const grouped = (): readonly Layer[] => [
  conv("depthwise, several images", [5, 9, 8, 40], [3, 3, 1, 40], { groups: 40, padding: 1 }),
  conv("depthwise, twice the channels, stride", [3, 9, 11, 35], [5, 3, 1, 70], {
    groups: 35,
    stride: 2,
    padding: [2, 1],
  }),
  conv("depthwise, whole vectors", [3, 6, 19, 48], [3, 3, 1, 48], { groups: 48, padding: 1 }),
  conv("groups of 4, several images", [4, 6, 7, 32], [3, 3, 4, 32], { groups: 8, padding: 1 }),
  conv("groups of 17 to 18, several images", [5, 6, 5, 34], [3, 3, 17, 36], { groups: 2, padding: 1 }),
  conv("groups of 16 to 20, two images, stride", [2, 9, 8, 48], [3, 3, 16, 60], { groups: 3, stride: 2, padding: 1 }),
  conv("groups of 20 to 16, several images, stride", [5, 7, 8, 60], [3, 2, 20, 48], {
    groups: 3,
    stride: 2,
    padding: 1,
  }),
];

/** Odd shapes of every form that adds plain sums. */
export const layers: readonly Layer[] = [
  ...narrow.map(([name, x, w, options]) => conv(name, x, w, options)),
  ...transposed.map(([name, x, w, options]) => back(name, x, w, options)),
  ...sizes.map(([name, x, w]) => dense(name, x, w)),
  // several images at once
  conv("odd batch, odd channels", [7, 5, 4, 19], [3, 3, 19, 37], { padding: 1 }),
  conv("a batch of 4, no padding", [4, 5, 6, 16], [3, 3, 16, 24], {}),
  conv("stride", [5, 7, 8, 17], [3, 2, 17, 18], { stride: 2, padding: 1 }),
  conv("stride of 3, dilated", [5, 8, 11, 17], [3, 3, 17, 18], { stride: 3, dilation: [1, 2], padding: [1, 2] }),
  conv("stride larger than the kernel", [6, 6, 7, 21], [1, 2, 21, 33], { stride: [2, 3] }),
  conv("dilation", [6, 6, 7, 21], [2, 3, 21, 11], { dilation: [2, 1], padding: [1, 0, 2, 1] }),
  conv("one image, many channels", [1, 6, 5, 33], [3, 3, 33, 35], { padding: 1 }),
  conv("two images, many channels", [2, 6, 5, 33], [3, 3, 33, 35], { padding: 1 }),
  conv("1x1", [9, 3, 3, 34], [1, 1, 34, 16], {}),
  conv("a batch of 33", [33, 3, 3, 18], [3, 3, 18, 20], { padding: 1 }),
  ...grouped(),
  back("several images", [5, 4, 3, 18], [4, 4, 17, 18], { stride: 2, padding: 1 }),
  dense("a batch of 65", [65, 131], [131, 70]),
  dense("a batch of 8, one block", [8, 65], [65, 8]),
  ...(["leaky", "softplus"] as const).flatMap((activation) =>
    [
      conv(`several images, then ${activation}`, [7, 5, 4, 19], [3, 3, 19, 37], { padding: 1 }),
      conv(`few channels, then ${activation}`, [2, 9, 8, 3], [5, 5, 3, 6], {}),
      dense(`a batch of 33, then ${activation}`, [33, 37], [37, 41]),
      conv(`depthwise, then ${activation}`, [3, 6, 5, 19], [3, 3, 1, 19], { groups: 19, padding: 1 }),
    ].map((layer) => ({ ...layer, activation })),
  ),
];

/** In Winograd's patches of 4, 3 and 2 results, cut off at the edges, oblong; batches of every form of the second route. */
export const patches: readonly Layer[] = [
  conv("5x5, two images", [2, 8, 9, 32], [5, 5, 32, 19], { padding: "same" }),
  conv("5x5, several images, few channels", [5, 6, 8, 13], [5, 5, 13, 45], { padding: [2, 1] }),
  conv("5x5, one small image", [1, 4, 4, 40], [5, 5, 40, 48], { padding: 2 }),
  conv("3x3", [4, 8, 11, 40], [3, 3, 40, 41], { padding: 1 }),
  conv("3x3, 33 images", [33, 4, 4, 32], [3, 3, 32, 32], { padding: 1 }),
  conv("5x3, uneven padding", [5, 7, 11, 48], [5, 3, 48, 40], { padding: [3, 0, 1, 2] }),
  conv("5x5, two rows", [3, 6, 13, 33], [5, 5, 33, 32], { padding: [0, 1] }),
  conv("3x3, two columns", [3, 9, 4, 49], [3, 3, 49, 48], {}),
  // so many channels that the products come before the tasks (four images: below)
  conv("3x3, deep, one image", [1, 4, 4, 277], [3, 3, 277, 271], { padding: 1 }),
  // few channels: from some images on, those lie in the lanes
  conv("5x5, LeNet's second layer, 29 images", [29, 9, 8, 6], [5, 5, 6, 16], {}),
  conv("3x3, few channels, 29 images", [29, 8, 8, 12], [3, 3, 12, 13], { padding: 1 }),
  conv("3x3, ResNet-20's first stage, 29 images", [29, 8, 9, 16], [3, 3, 16, 16], { padding: 1 }),
  conv("5x5, 16 channels from 6, 29 images", [29, 8, 8, 6], [5, 5, 6, 16], { padding: 2 }),
  conv("5x5, 13 channels from 15, 29 images", [29, 8, 9, 15], [5, 5, 15, 13], { padding: [2, 1, 2, 3] }),
  conv("5x5, 16 channels from 8, 4 images", [4, 8, 8, 8], [5, 5, 8, 16], { padding: 2 }),
  conv("5x3, few channels, 4 images", [4, 8, 8, 16], [5, 3, 16, 14], { padding: [2, 1] }),
  back("5x5", [4, 8, 7, 40], [5, 5, 24, 40], { padding: 2 }),
  back("5x5, few channels, 4 images", [4, 8, 8, 16], [5, 5, 8, 16], { padding: 2 }),
  back("5x5, few channels, 29 images", [29, 8, 8, 16], [5, 5, 7, 16], { padding: 2 }),
  ...(["leaky", "softplus"] as const).map((activation) => ({
    ...conv(`5x5, then ${activation}`, [6, 7, 8, 32], [5, 5, 32, 24], { padding: 2 }),
    activation,
  })),
];

/** Few channels for which patches would multiply no less: held to the same as those. */
export const narrowSums: readonly Layer[] = [
  conv("3x3, few channels, plain sums, 29 images", [29, 6, 5, 9], [3, 3, 9, 11], { padding: [1, 0, 1, 2] }),
  conv("5x3, few channels, plain sums, 4 images", [4, 7, 6, 8], [5, 3, 8, 8], { padding: 1 }),
];

/** Four images of so many channels that the products come before the tasks: in patches too, but slow (in fp32, one image). */
export const deep: readonly Layer[] = [
  conv("3x3, deep, four images", [4, 4, 4, 271], [3, 3, 271, 277], { padding: 1 }),
];

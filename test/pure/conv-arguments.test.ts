// Bad arguments of the convolution family: one clear sentence each, whatever they are.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { constant, leaf, type Shape, type Tensor } from "../../lib/graph/node.ts";
import { bayesConv2d } from "../../lib/ops/bayesConv2d.ts";
import { bayesLinear } from "../../lib/ops/bayesLinear.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { convTranspose2d } from "../../lib/ops/convTranspose2d.ts";
import { gaussianNoise } from "../../lib/ops/gaussianNoise.ts";
import { linear } from "../../lib/ops/linear.ts";
import { BayesError } from "../../lib/util/errors.ts";

const f32 = (...shape: number[]): Tensor => leaf({ shape, dtype: "f32" }, { kind: "input", name: "x" });
const noise = (rows: number, samples = 1, stream = 0) => ({
  rng: constant(Int32Array.of(1, 2, 3, 0)),
  rows: constant(new Int32Array(rows)),
  stream,
  samples,
});

describe("conv2d", () => {
  const x = f32(2, 8, 8, 16);
  it.each([
    ["channels", () => conv2d(x, f32(3, 3, 32, 4)), "[conv2d] expected 32 input channels, received 16"],
    [
      "groups and channels",
      () => conv2d(x, f32(3, 3, 4, 6), undefined, { groups: 3 }),
      "12 input channels (3 groups of 4), received 16",
    ],
    [
      "groups and filters",
      () => conv2d(x, f32(3, 3, 4, 6), undefined, { groups: 4 }),
      "output channels divisible by 4 groups, received 6",
    ],
    ["rank of x", () => conv2d(f32(2, 8), f32(3, 3, 2, 4)), 'x as f32[N, H, W, C], received "f32[2,8]"'],
    ["rank of w", () => conv2d(x, f32(3, 16, 4)), "weights as f32[kh, kw, inChannels / groups, outChannels]"],
    ["bias", () => conv2d(x, f32(3, 3, 16, 4), f32(5)), '[conv2d] expected bias as f32[4], received "f32[5]"'],
    ["stride", () => conv2d(x, f32(3, 3, 16, 4), undefined, { stride: 0 }), "stride to be an integer from 1"],
    [
      "negative padding",
      () => conv2d(x, f32(3, 3, 16, 4), undefined, { padding: -1 }),
      "padding to be an integer from 0",
    ],
    ...(
      [
        "SAME",
        "valid",
        "ab",
        [
          [1, 2],
          [0, 1],
        ],
        [1, 2, 3],
        {},
        null,
      ] as never[]
    ).map(
      // biome-ignore format: one line
      (padding): [string, () => Tensor, string] => [
        `padding ${JSON.stringify(padding)}`,
        () => conv2d(x, f32(3, 3, 16, 4), undefined, { padding }),
        '[conv2d] expected padding as "same", a number, [vertical, horizontal] or [top, left, bottom, right], received ',
      ],
    ),
    [
      "a transposed one's padding",
      () => convTranspose2d(x, f32(3, 3, 4, 16), undefined, { padding: "same" as never }),
      "[convTranspose2d] expected padding as a number, [vertical, horizontal] or",
    ],
    [
      "dilation",
      () => conv2d(x, f32(3, 3, 16, 4), undefined, { dilation: [1, 0.5] }),
      "dilation to be an integer from 1",
    ],
    [
      "a kernel that does not fit",
      () => conv2d(x, f32(9, 3, 16, 4)),
      "an image of at least 9x3 with its padding, received [8, 8]",
    ],
    ["an empty batch", () => conv2d(f32(0, 8, 8, 16), f32(3, 3, 16, 4)), "a batch and channels that are not empty"],
  ])("%s", (_what, build, message) => {
    expect(build).toThrow(BayesError);
    expect(build).toThrow(message);
  });

  it("same padding keeps the size, or divides it by the stride", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        (size, kernel, stride, dilation) => {
          const y = conv2d(f32(1, size, size, 1), f32(kernel, kernel, 1, 1), undefined, {
            stride,
            dilation,
            padding: "same",
          });
          expect(y.shape.slice(1, 3)).toEqual([Math.ceil(size / stride), Math.ceil(size / stride)]);
        },
      ),
    );
  });

  it("any arguments give a shape of positive integers or one BayesError", () => {
    const dims = fc.array(fc.integer({ min: -1, max: 6 }), { minLength: 0, maxLength: 5 });
    const number = fc.oneof(
      fc.integer({ min: -1, max: 4 }),
      fc.constantFrom(0.5, Number.NaN, Number.POSITIVE_INFINITY),
    );
    const pair = fc.oneof(number, fc.tuple(number, number)) as fc.Arbitrary<number>;
    fc.assert(
      fc.property(
        dims,
        dims,
        pair,
        pair,
        pair,
        number,
        fc.boolean(),
        (x, w, stride, padding, dilation, groups, transposed) => {
          let shape: Shape;
          try {
            const options = { stride, padding, dilation, groups };
            shape = (transposed ? convTranspose2d : conv2d)(f32(...x), f32(...w), undefined, options).shape;
          } catch (error) {
            expect(error).toBeInstanceOf(BayesError);
            return;
          }
          for (const d of shape) expect(Number.isInteger(d) && d > 0).toBe(true);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe("the others", () => {
  it.each([
    [
      "output padding",
      () => convTranspose2d(f32(1, 4, 4, 2), f32(3, 3, 5, 2), undefined, { stride: 2, outputPadding: 2 }),
      "outputPadding less than the stride or the dilation, received [2, 2]",
    ],
    [
      "nothing left",
      () => convTranspose2d(f32(1, 1, 1, 2), f32(3, 3, 5, 2), undefined, { padding: 2 }),
      "an output of at least one pixel",
    ],
    [
      "transposed channels",
      () => convTranspose2d(f32(1, 4, 4, 3), f32(3, 3, 5, 2)),
      "[convTranspose2d] expected 2 input channels, received 3",
    ],
    ["inputs of a linear layer", () => linear(f32(4, 10), f32(12, 3)), "[linear] expected 12 inputs, received 10"],
    ["an image for a linear layer", () => linear(f32(4, 2, 2, 3), f32(12, 3)), "x as f32[N, inputs]"],
    [
      "variances",
      () => bayesLinear(f32(4, 12), { mu: f32(12, 3), sigma2: f32(12, 4) }, noise(4)),
      "sigma2 as f32[12,3]",
    ],
    [
      "a bias variance alone",
      () => bayesLinear(f32(4, 12), { mu: f32(12, 3), sigma2: f32(12, 3), biasSigma2: f32(3) }, noise(4)),
      "a bias mean beside the bias variance",
    ],
    [
      "rows",
      () => bayesConv2d(f32(4, 5, 5, 2), { mu: f32(3, 3, 2, 3), sigma2: f32(3, 3, 2, 3) }, noise(3, 2)),
      "a batch of 3 rows, or of 2 samples of them, received 4",
    ],
    ["a stream", () => gaussianNoise(noise(2, 1, 65536), [3]), "stream to be an integer from 0 to 65535"],
    ["a shape", () => gaussianNoise(noise(2), [3, 0]), "every dimension to be an integer >= 1"],
  ])("%s", (_what, build, message) => {
    expect(build).toThrow(BayesError);
    expect(build).toThrow(message);
  });
});

// What the tests of ONNX export share: small nets, images for them, and the comparison with ONNX Runtime.

import { expect } from "vitest";
import { alphaPosterior, rhoPosterior } from "../../lib/bayes/posterior.ts";
import type { BayesOptions } from "../../lib/bayes/settings.ts";
import type { Preprocess } from "../../lib/data/prepare.ts";
import type { Tensor } from "../../lib/graph/node.ts";
import { bayesConv2d, conv2d } from "../../lib/layers/conv.ts";
import { dropout } from "../../lib/layers/dropout.ts";
import { bayesLinear, linear } from "../../lib/layers/linear.ts";
import { batchNorm2d } from "../../lib/layers/norm.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { Model } from "../../lib/models/model.ts";
import { type ExportOptions, exportOnnx } from "../../lib/onnx/export.ts";
import { verifyOnnx } from "../../lib/onnx/verify.ts";
import { add } from "../../lib/ops/add.ts";
import { avgPool2d } from "../../lib/ops/avgPool2d.ts";
import { concat } from "../../lib/ops/concat.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { globalAvgPool2d } from "../../lib/ops/globalAvgPool2d.ts";
import { leakyRelu } from "../../lib/ops/leakyRelu.ts";
import { maxPool2d } from "../../lib/ops/maxPool2d.ts";
import { pixelShuffle } from "../../lib/ops/pixelShuffle.ts";
import { relu } from "../../lib/ops/relu.ts";
import { resizeBicubic } from "../../lib/ops/resizeBicubic.ts";
import { slice } from "../../lib/ops/slice.ts";
import { softplus } from "../../lib/ops/softplus.ts";
import { random } from "../ops/harness.ts";

const wide = rhoPosterior({ rhoInit: -1.5 }); // enough noise for its absence to be seen
type Input = [number, number, number];

/** Small nets that together use every layer and every option that changes the graph. */
export const nets: Record<
  string,
  { input: Input; classes?: number; build: (x: Tensor) => Tensor; bayes?: BayesOptions }
> = {
  "stride, uneven kernel and padding, flatten of a map": {
    input: [9, 8, 3],
    classes: 4,
    build: (x) => {
      const h = softplus(bayesConv2d(x, 6, [3, 2], { stride: [2, 1], padding: [1, 0, 2, 1] }));
      return bayesLinear(flatten(h), 4);
    },
  },
  "groups, dilation, pools": {
    input: [12, 11, 4],
    build: (x) => {
      let h = relu(bayesConv2d(x, 6, 3, { groups: 2, padding: 1 }));
      h = maxPool2d(h, { kernel: 3, stride: 2, padding: 1 });
      h = leakyRelu(bayesConv2d(h, 4, 2, { dilation: 2, padding: 1 }), 0.1);
      h = avgPool2d(h, { kernel: 2, stride: 1, padding: 1, countIncludePad: false });
      return bayesLinear(flatten(avgPool2d(h, { kernel: [3, 2] })), 3);
    },
  },
  "batch norm, dropout, plain layers among Bayesian ones": {
    input: [6, 6, 2],
    build: (x) => {
      let h = relu(batchNorm2d(conv2d(x, 5, 3, { bias: false })));
      h = dropout(batchNorm2d(bayesConv2d(h, 4, 2)), 0.5);
      return linear(relu(batchNorm2d(bayesLinear(flatten(h), 7))), 3);
    },
  },
  "branches: concat, sum, slice, pixel shuffle, resize": {
    input: [6, 7, 2],
    build: (x) => {
      const a = bayesConv2d(x, 4, 1);
      const b = bayesConv2d(x, 4, 3, { padding: 1 });
      const h = pixelShuffle(relu(concat([a, add(a, b)], 3)), 2);
      const cut = slice(h, [0, 1, 0, 0], [h.shape[0], h.shape[1] - 1, h.shape[2], h.shape[3]]);
      return bayesLinear(globalAvgPool2d(resizeBicubic(cut, { height: 5, width: 9 })), 3);
    },
  },
  "one layer used twice": {
    input: [5, 5, 3],
    classes: 2,
    build: (x) => {
      const conv = (h: Tensor, share: boolean) => softplus(bayesConv2d(h, 3, 3, { padding: 1, name: "shared", share }));
      return bayesLinear(flatten(conv(conv(x, false), true)), 2);
    },
  },
  "point biases": { input: [5, 5, 1], build: small, bayes: { bias: "point" } },
  "no biases": { input: [5, 5, 1], build: small, bayes: { bias: false } },
  "alpha per weight": { input: [5, 5, 2], build: small, bayes: { posterior: alphaPosterior({ logAlphaInit: -1 }) } },
  "alpha per layer": {
    input: [5, 5, 2],
    build: small,
    bayes: { posterior: alphaPosterior({ per: "layer", logAlphaInit: -1 }) },
  },
  "noise of the weights": { input: [5, 5, 2], build: small, bayes: { estimator: "weight" } },
  "noise of the weights, groups": {
    input: [5, 6, 2],
    build: (x) => bayesLinear(flatten(relu(bayesConv2d(x, 4, [2, 3], { groups: 2, stride: 2, padding: 1 }))), 3),
    bayes: { estimator: "weight", bias: "point" },
  },
};

function small(x: Tensor): Tensor {
  return bayesLinear(softplus(bayesLinear(flatten(softplus(bayesConv2d(x, 3, 3))), 5)), 3);
}

/** The net of that name, with statistics and biases as a trained model has them. */
export function make(name: string, preprocess?: Preprocess): Model {
  const { input, classes = 3, build, bayes } = nets[name];
  const model = new Model({
    name,
    input,
    likelihood: categorical(classes),
    build,
    preprocess,
    seed: 3,
    bayes: { posterior: wide, ...bayes },
  });
  const next = random(5);
  for (const slot of model.store.slots.values()) {
    if (/\/(mean|beta|bias)$/.test(slot.name))
      model.store.set(
        slot.name,
        floats(slot.shape, () => next() - 0.5),
      );
    if (slot.name.endsWith("/logAlpha"))
      model.store.set(
        slot.name,
        floats(slot.shape, () => next() - 1.5),
      );
    if (/\/(variance|gamma)$/.test(slot.name))
      model.store.set(
        slot.name,
        floats(slot.shape, () => next() + 0.5),
      );
  }
  return model;
}

/** As many numbers as the shape has elements. */
export const floats = (shape: readonly number[], f: () => number) =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, f);

/** A batch of images in [-scale, scale), the same ones for the same size of batch. */
export const images = (m: Model, batch: number, scale = 1) => {
  const next = random(batch);
  return floats([batch, ...m.inputShape], () => (next() * 2 - 1) * scale);
};

/** Exports the model and expects ONNX Runtime to agree with the native run, in the mode of the options. */
export async function expectAgreement(
  m: Model,
  options: ExportOptions,
  batch: number,
  { pixels = images(m, batch), runs }: { pixels?: Float32Array; runs?: number } = {},
) {
  const v = await verifyOnnx(m, exportOnnx(m, options), pixels, {
    seed: 11,
    runs: runs ?? (options.mode === "random" ? 250 : 40),
  });
  expect(v.mode).toBe(options.mode);
  expect(v.maxDifference, `${v.compared} numbers, batch ${batch}, ${options.mode}`).toBeLessThanOrEqual(v.tolerance);
  expect(v.agrees).toBe(true);
  expect(v.compared).toBeGreaterThanOrEqual(batch * m.outputShape[0]);
  return v;
}

// Exported models of every likelihood: ONNX Runtime agrees in every mode, outputs have the names and layouts promised, and
// the file says what they mean.
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { rhoPosterior } from "../../lib/bayes/posterior.ts";
import { makeDataset } from "../../lib/data/dataset.ts";
import { bayesConv2d } from "../../lib/layers/conv.ts";
import { bayesLinear } from "../../lib/layers/linear.ts";
import { bernoulli } from "../../lib/likelihoods/bernoulli.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { gaussian } from "../../lib/likelihoods/gaussian.ts";
import { likelihoodOf } from "../../lib/likelihoods/known.ts";
import { laplace } from "../../lib/likelihoods/laplace.ts";
import type { Likelihood } from "../../lib/likelihoods/shared/likelihood.ts";
import { Model } from "../../lib/models/model.ts";
import { exportModes, exportOnnx } from "../../lib/onnx/export.ts";
import { readMetadata } from "../../lib/onnx/metadata.ts";
import { verifyOnnx } from "../../lib/onnx/verify.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { softplus } from "../../lib/ops/softplus.ts";
import { predict } from "../../lib/predict/predict.ts";
import { fit } from "../../lib/train/fit.ts";
import { random } from "../ops/harness.ts";

const SHAPE = [5, 4, 2] as const;
const COUNT = 24;

interface Case {
  readonly name: string;
  readonly likelihood: Likelihood;
  /** Channels of a map, or values of a list. */
  readonly channels: number;
  readonly map: boolean;
  readonly heads: readonly string[];
  readonly together: readonly string[];
}
const numbers = { heads: ["mean", "variance"], together: ["mean", "epistemic", "aleatoric"] };
const logits = { heads: ["logits", "probabilities"], together: ["probabilities", "epistemic", "aleatoric"] };
const units = { center: [500, -3], spread: [20, 0.5] };
const cases: readonly Case[] = [
  { name: "categorical", likelihood: categorical(["ant", "bee", "wasp"]), channels: 3, map: false, ...logits },
  { name: "one label", likelihood: bernoulli(), channels: 1, map: false, ...logits },
  { name: "labels", likelihood: bernoulli({ labels: ["left", "top", "big"] }), channels: 3, map: false, ...logits },
  { name: "gaussian, learned", likelihood: gaussian({ names: ["x", "y"] }), channels: 2, map: false, ...numbers },
  { name: "gaussian, given", likelihood: gaussian({ noise: 2.5, ...units }), channels: 2, map: false, ...numbers },
  { name: "gaussian, predicted", likelihood: gaussian({ noise: "predicted" }), channels: 4, map: false, ...numbers },
  { name: "gaussian images, learned", likelihood: gaussian(units), channels: 2, map: true, ...numbers },
  {
    name: "gaussian images, predicted",
    likelihood: gaussian({ noise: "predicted" }),
    channels: 4,
    map: true,
    ...numbers,
  },
  { name: "laplace, learned", likelihood: laplace(units), channels: 2, map: false, ...numbers },
  {
    name: "laplace images, predicted",
    likelihood: laplace({ noise: "predicted" }),
    channels: 4,
    map: true,
    ...numbers,
  },
];

const pixels = (count: number, seed: number): Uint8Array => {
  const next = random(seed);
  return Uint8Array.from({ length: count * 40 }, () => Math.floor(next() * 256));
};

function dataFor({ likelihood, channels, map, name }: Case) {
  const next = random(3);
  const images = pixels(COUNT, 1);
  const shape = SHAPE;
  if (name === "categorical") {
    const labels = Array.from({ length: COUNT }, (_, i) => i % 3);
    return makeDataset({ images, shape, labels, classes: ["ant", "bee", "wasp"] });
  }
  const predicted = likelihood.config.noise === "predicted";
  const last = predicted ? channels / 2 : channels;
  const targetShape = map ? [5, 4, last] : [last];
  const labels = likelihood.config.kind === "bernoulli";
  const targets = Float32Array.from({ length: COUNT * last * (map ? 20 : 1) }, (_, i) =>
    labels ? Math.round(next()) : i % 2 ? -3 + next() : 500 + 60 * next(),
  );
  return makeDataset({ images, shape, targets, targetShape });
}

/** A model that a few steps of training have taught its units, its noise and its preprocessing. */
async function taught(c: Case): Promise<Model> {
  const model = new Model({
    name: "taught",
    input: [...SHAPE],
    likelihood: c.likelihood,
    bayes: { posterior: rhoPosterior({ rhoInit: -2 }) },
    build(x) {
      const h = softplus(bayesConv2d(x, 5, 3, { padding: 1 }));
      return c.map ? bayesConv2d(h, c.channels, 1) : bayesLinear(flatten(h), c.channels);
    },
  });
  await fit(model, { train: dataFor(c) }, { epochs: 3, batchSize: 8, learningRate: 0.02 });
  return model;
}

describe.each(cases)("$name", (c) => {
  it("agrees in every mode and says what its outputs are", async () => {
    using model = await taught(c);
    const images = Float32Array.from(pixels(3, 9)); // another batch than any that was traced
    for (const mode of exportModes)
      for (const layout of ["nchw", "nhwc"] as const) {
        if (layout === "nhwc" && (mode === "noise" || mode === "random")) continue;
        const bytes = exportOnnx(model, { mode, layout, samples: 4 });
        const { agrees, maxDifference, compared } = await verifyOnnx(model, bytes, images, {
          runs: mode === "random" ? 150 : 30,
        });
        expect(agrees, `${mode} ${layout}: ${maxDifference}`).toBe(true);
        expect(compared).toBeGreaterThanOrEqual(3 * (mode === "random" ? 1 : c.heads.length));
        const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
        expect([...session.outputNames].sort()).toEqual([...(mode === "ensemble" ? c.together : c.heads)].sort());
        await session.release();
        const about = readMetadata(bytes);
        const likelihood = JSON.parse(about.get("bayescnn.likelihood")!);
        expect(likelihood).toEqual(JSON.parse(JSON.stringify(model.likelihood.config)));
        expect(likelihoodOf(likelihood).config).toEqual(model.likelihood.config);
        expect(JSON.parse(about.get("bayescnn.preprocess")!)).toEqual(model.preprocess);
        expect(about.get("bayescnn.mode")).toBe(mode);
      }
  });
});

it("a class's name, a number's name and its units are in the file", async () => {
  const text = async (c: Case) => {
    using model = await taught(c);
    return JSON.parse(readMetadata(exportOnnx(model)).get("bayescnn.likelihood")!);
  };
  expect((await text(cases[0])).classes).toEqual(["ant", "bee", "wasp"]);
  expect((await text(cases[2])).labels).toEqual(["left", "top", "big"]);
  expect(await text(cases[3])).toMatchObject({ names: ["x", "y"], noise: "learned" });
  expect((await text(cases[3])).center[0]).toBeGreaterThan(500);
  expect(await text(cases[6])).toMatchObject(units);
});

it("images come out in the layout asked for, with the batch that went in, and the learned scale with each of them", async () => {
  using model = await taught(cases[6]);
  const learned = await predict(model, { images: pixels(2, 9), count: 2, shape: [...SHAPE] }, { mode: "mean" });
  for (const layout of ["nchw", "nhwc"] as const)
    for (const batch of [1, 2]) {
      const session = await ort.InferenceSession.create(exportOnnx(model, { layout }), { logSeverityLevel: 3 });
      const bytes = pixels(2, 9).subarray(0, batch * 40);
      const at = (n: number, y: number, x: number, ch: number, channels: number) =>
        layout === "nhwc" ? ((n * 5 + y) * 4 + x) * channels + ch : ((n * channels + ch) * 5 + y) * 4 + x;
      const fed = new Float32Array(batch * 40);
      const each = (f: (n: number, y: number, x: number, ch: number, i: number) => void) => {
        for (let i = 0; i < batch * 40; i++)
          f(Math.floor(i / 40), Math.floor(i / 8) % 5, Math.floor(i / 2) % 4, i % 2, i);
      };
      each((n, y, x, ch, i) => {
        fed[at(n, y, x, ch, 2)] = bytes[i];
      });
      const dims = layout === "nhwc" ? [batch, 5, 4, 2] : [batch, 2, 5, 4];
      const out = await session.run({ image: new ort.Tensor("float32", fed, dims) });
      expect(out.mean.dims).toEqual(dims);
      expect(out.variance.dims).toEqual(dims);
      const [mean, variance] = [out.mean.data, out.variance.data] as Float32Array[];
      each((n, y, x, ch, i) => {
        const k = at(n, y, x, ch, 2);
        expect(Math.abs(mean[k] / learned.mean[i] - 1)).toBeLessThan(1e-5);
        expect(Math.abs(variance[k] / learned.aleatoric[i] - 1)).toBeLessThan(1e-5);
      });
      await session.release();
    }
});

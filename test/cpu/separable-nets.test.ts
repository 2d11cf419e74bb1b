// MobileNet on the CPU: it trains, and what users do with a trained net keeps its depthwise layers and its width.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import {
  type ClassPrediction,
  costsOf,
  createModel,
  exportOnnx,
  fit,
  type Model,
  makeDataset,
  openModel,
  predict,
  prune,
  saveModel,
  shrink,
  toBayesian,
  toFrequentist,
} from "../../lib/index.ts";
import { verifyOnnx } from "../../lib/onnx/index.ts";
import { random } from "../ops/harness.ts";

const dir = mkdtempSync(join(tmpdir(), "bayescnn-separable-"));
afterAll(() => rmSync(dir, { recursive: true }));

const shape = [9, 7, 1] as const;
const size = 63;
const next = random(31);
// bright in the upper or in the lower half
const images = Float32Array.from({ length: 64 * size }, (_, i) => {
  const upper = i % size < 28;
  return next() + (upper === (Math.floor(i / size) % 2 === 0) ? 1 : 0);
});
const labels = Int32Array.from({ length: 64 }, (_, i) => i % 2);
const train = makeDataset({ name: "halves", images, labels, shape: [...shape], classes: 2 });
const made = (bayesian: boolean, options = {}) =>
  createModel({ model: "mobilenet", width: 0.25, input: [...shape], classes: 2, bayesian, seed: 1, ...options });
const means = async (model: Model) =>
  ((await predict(model, few, { mode: "mean" })) as unknown as ClassPrediction).probabilities;
const few = { images: images.subarray(0, 3 * size), count: 3, shape };

it.each([true, false])("trains on images of an odd size (Bayesian: %s)", async (bayesian) => {
  using model = made(bayesian);
  const { history } = await fit(
    model,
    { train },
    {
      ...{ epochs: 6, batchSize: 16, learningRate: 0.003, beta: 0, initialSigma: 0, seed: 1 },
    },
  );
  expect(history.at(-1)!.nll).toBeLessThan(0.7 * history[0].nll);
});

it("is exported with its groups, in every mode", async () => {
  using model = made(true);
  for (const mode of ["mean", "noise"] as const) {
    const result = await verifyOnnx(model, exportOnnx(model, { mode }), few.images);
    expect([mode, result.agrees]).toEqual([mode, true]);
  }
});

it("keeps width, norm and dropout in a file and as a twin, and its means", async () => {
  const options = { norm: "filter-response", dropout: 0.1 } as const;
  using model = made(true, options);
  const path = join(dir, "mobile.safetensors");
  saveModel(model, path);
  using again = openModel(path);
  expect(again.config).toEqual(model.config);
  using plain = toFrequentist(model);
  using back = toBayesian(plain);
  const wanted = await means(model);
  for (const twin of [plain, back]) {
    expect(twin.config).toMatchObject({ model: "mobilenet", width: 0.25, ...options });
    expect(await means(twin)).toEqual(wanted);
  }
});

it("is pruned weight by weight and shrunk, depthwise layers with the channels that they read", async () => {
  using model = made(true);
  prune(model, { sparsity: 0.5 });
  using small = await shrink(model, { flops: 0.4 });
  expect(costsOf(small).multiplyAdds).toBeLessThanOrEqual(0.4 * costsOf(model).multiplyAdds);
  const path = join(dir, "small.safetensors");
  saveModel(small, path);
  using again = openModel(path);
  using plain = toFrequentist(again); // with the widths that are left
  const wanted = await means(small);
  for (const twin of [again, plain]) expect(await means(twin)).toEqual(wanted);
  expect((await verifyOnnx(small, exportOnnx(small, { mode: "mean" }), few.images)).agrees).toBe(true);
});

it("of the smallest batch says why a norm cannot take it", async () => {
  using model = createModel({ model: "mobilenet", width: 0.25, input: [1, 1, 3], classes: 2, bayesian: false });
  const one = makeDataset({ name: "one", images: new Float32Array(6), labels: Int32Array.of(0, 1), shape: [1, 1, 3], classes: 2 }); // biome-ignore format: long
  await expect(fit(model, { train: one }, { epochs: 1, batchSize: 1 })).rejects.toThrow(
    /expected more than one value per channel in training \(where the last batch of an epoch has one example, take another batchSize\)/,
  );
});

// A likelihood of the user's own, written against the public names alone: trained, evaluated, exported, saved, restored.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { ops } from "../../lib/graph.ts";
import {
  BayesError,
  bayesLinear,
  type Dataset,
  evaluate,
  exportOnnx,
  fit,
  flatten,
  gaussian,
  type Likelihood,
  Model,
  makeDataset,
  type Prediction,
  setThreads,
  softplus,
} from "../../lib/index.ts";
import {
  numberTargets,
  perRow,
  predictiveNll,
  rowsLike,
  totalVariance,
  tracedMoments,
} from "../../lib/likelihoods/index.ts";
import { exportModes, readMetadata, verifyOnnx } from "../../lib/onnx/index.ts";
import { loadCheckpoint, restore, saveCheckpoint } from "../../lib/train/index.ts";
import { random } from "../ops/harness.ts";
import { bits } from "./train-kit.ts";

interface CountPrediction extends Prediction {
  /** Expected counts, [N, ...shape]. */
  readonly rate: Float32Array;
}

/** Counts of events in an exposure of some length: Poisson with the rate exposure * exp(output). */
function poisson({ exposure = 1 } = {}): Likelihood<CountPrediction> {
  const self: Likelihood<CountPrediction> = {
    config: { kind: "poisson", exposure },
    outputs: 1,
    figures: [{ name: "nll", title: "NLL", hint: "nats an image", better: "lower" }],
    targetShape: (_where, output) => output,
    targets(where, data, shape) {
      const counts = numberTargets(where, "poisson", data, shape);
      const wrong = counts.find((v) => !Number.isInteger(v) || v < 0);
      if (wrong !== undefined)
        throw new BayesError(`[${where}] expected counts 0, 1, 2, … in data set ${data.name}, received ${wrong}`);
      return counts;
    },
    informed: () => self,
    agrees: (other) => other.kind === "poisson" && other.exposure === exposure,
    // but for ln t!, which no weight can change
    nll(output, targets) {
      const t = rowsLike(targets, output);
      const logRate = ops.scale(output, 1, Math.log(exposure));
      return perRow(ops.sub(ops.exp(logRate), ops.mul(t, logRate)));
    },
    counts: () => ({}),
    heads: (output) => ({ rate: ops.scale(ops.exp(output), exposure) }),
    prediction(outputs, samples, count, shape) {
      const moments = totalVariance(outputs.rate, (i) => outputs.rate[i], samples, count);
      return { samples, count, shape, outputs, ...moments, rate: moments.mean };
    },
    metrics(p, targets) {
      const D = targets.length / p.count;
      const logFactorial = (k: number): number => (k < 2 ? 0 : Math.log(k) + logFactorial(k - 1));
      const nll = predictiveNll(p.samples, p.count, (s, n) => {
        let log = 0;
        for (let d = 0; d < D; d++) {
          const [t, rate] = [targets[n * D + d], p.outputs.rate[(s * p.count + n) * D + d]];
          log += t * Math.log(rate) - rate - logFactorial(t);
        }
        return log;
      });
      return { count: p.count, nll };
    },
    summary({ rate }) {
      const { mean, epistemic, aleatoric } = tracedMoments(rate, rate);
      return { rate: mean, epistemic, aleatoric };
    },
  };
  return self;
}

const COUNT = 600;

/** Images whose brightness says how many events to expect: two kinds of them. */
function events(seed: number): Dataset {
  const next = random(seed);
  const images = new Uint8Array(COUNT * 4);
  const targets = new Float32Array(COUNT * 2);
  for (let n = 0; n < COUNT; n++) {
    const level = next();
    images.fill(Math.floor(255 * level), n * 4, n * 4 + 4);
    for (let d = 0; d < 2; d++) targets[n * 2 + d] = drawn(2 * Math.exp(1.5 * (d ? 1 - level : level)), next);
  }
  return makeDataset({ name: "events", images, shape: [2, 2, 1], targets });
}
/** Knuth's way to a Poisson count. */
function drawn(rate: number, next: () => number): number {
  let k = 0;
  for (let p = next(); p > Math.exp(-rate); p *= next()) k++;
  return k;
}

const net = <L extends Likelihood>(likelihood: L): Model<L> =>
  new Model({
    name: "counter",
    input: [2, 2, 1],
    likelihood,
    build: (x) => bayesLinear(softplus(bayesLinear(flatten(x), 6)), 2),
  });

const folder = mkdtempSync(join(tmpdir(), "bayescnn-own-"));
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => {
  setThreads(1);
});

describe("a likelihood of counts in one file", () => {
  it("is trained, validated, evaluated, saved, restored and exported", async () => {
    using model = net(poisson({ exposure: 2 }));
    const [train, valid] = [events(1), events(2)];
    const { history } = await fit(model, { train, valid }, { epochs: 40, batchSize: 60, learningRate: 0.02 });
    const { metrics, prediction } = await evaluate(model, valid);
    expect(metrics.nll).toBeLessThan(history[0].valid!.nll);

    // against the true rates: the best there is, and the best that does not look at the images
    const rates = Array.from({ length: COUNT }, (_, n) => {
      const level = valid.images[n * 4] / 255;
      return [2 * Math.exp(1.5 * level), 2 * Math.exp(1.5 * (1 - level))];
    });
    const error = rates.map(
      ([a, b], n) => Math.abs(prediction.rate[2 * n] / a - 1) + Math.abs(prediction.rate[2 * n + 1] / b - 1),
    );
    expect(error.reduce((a, b) => a + b, 0) / (2 * COUNT)).toBeLessThan(0.1);
    for (let i = 0; i < 20; i++) {
      // a Poisson's variance is its mean, and the rates of the samples differ
      expect(Math.abs(prediction.aleatoric[i] / prediction.mean[i] - 1)).toBeLessThan(1e-6);
      expect(prediction.epistemic[i]).toBeGreaterThan(0);
    }

    const path = join(folder, "poisson.safetensors");
    saveCheckpoint(path, model);
    using again = net(poisson({ exposure: 2 }));
    restore(again, loadCheckpoint(path));
    const own = Object.entries(bits(model)).filter(([name]) => !name.startsWith("optimizer/"));
    expect(bits(again)).toEqual(Object.fromEntries(own));
    expect(again.preprocess).toEqual(model.preprocess);
    expect((await evaluate(again, valid)).metrics).toEqual(metrics);
    expect(again.likelihood.config).toEqual({ kind: "poisson", exposure: 2 });

    const images = Float32Array.from(valid.images.subarray(0, 12));
    for (const mode of exportModes) {
      const bytes = exportOnnx(model, { mode, samples: 4 });
      expect(JSON.parse(readMetadata(bytes).get("bayescnn.likelihood")!)).toEqual({ kind: "poisson", exposure: 2 });
      const { agrees, maxDifference } = await verifyOnnx(model, bytes, images, { runs: 100 });
      expect(agrees, `${mode}: ${maxDifference}`).toBe(true);
    }
  });

  it("that differs from the one in a checkpoint is refused, both named, nothing changed", async () => {
    using model = net(poisson({ exposure: 2 }));
    const path = join(folder, "other.safetensors");
    saveCheckpoint(path, model);
    const checkpoint = loadCheckpoint(path);
    // one that agrees with everything is not believed either: the file cannot say what it would do
    for (const likelihood of [poisson(), gaussian(), { ...poisson(), agrees: () => true }]) {
      using other = net(likelihood as Likelihood);
      const before = bits(other);
      expect(() => restore(other, checkpoint)).toThrow(/expected a model of likelihood .*received .*"exposure":2/);
      expect(bits(other)).toEqual(before);
    }
  });

  it("refuses what are no counts", async () => {
    using model = net(poisson());
    const train = { ...events(1), targets: events(1).targets.map((v) => v + 0.5) };
    await expect(fit(model, { train })).rejects.toThrow(/\[fit\] expected counts 0, 1, 2, … in data set events/);
  });

  it("says what is missing or wrong in one that is not whole", async () => {
    const { summary: _, ...rest } = poisson();
    expect(() => net(rest as never)).toThrow("[model counter] expected likelihood poisson to have a method summary");
    expect(() => net({ ...poisson(), figures: [] })).toThrow(/figures, "nll" among them/);
    expect(() => net({ ...poisson(), outputs: 0 })).toThrow(/outputs of likelihood poisson/);
    expect(() => net({ ...poisson(), config: {} as never })).toThrow(/a config that has a kind/);
    // a part of the library's replaced: the first fit would have put the rest back
    expect(() => net({ ...gaussian(), nll: poisson().nll })).toThrow(/a kind in config other than .*of your own/);
    using mixed = net({ ...gaussian(), config: { kind: "mine" } });
    await expect(fit(mixed, { train: events(1) })).rejects.toThrow(
      '[fit] expected informed of likelihood mine to return one of its kind, received "gaussian"',
    );
    // one number for the batch, or one for each value: neither is one a row
    for (const nll of [
      (o: Parameters<Likelihood["nll"]>[0]) => ops.mean(ops.square(o)),
      (o: Parameters<Likelihood["nll"]>[0]) => ops.square(o),
    ]) {
      using model = net({ ...poisson(), nll });
      await expect(fit(model, { train: events(1) })).rejects.toThrow(/nll of likelihood poisson to be .*one a row/);
    }
    using unlike = net({ ...poisson(), summary: ({ rate }) => ({ rate }) });
    expect(() => exportOnnx(unlike)).toThrow(/summary of likelihood poisson to give \[batch, values\] as rate/);
    using unnamed = net({ ...poisson(), summary: ({ rate }) => ({ lambda: tracedMoments(rate, rate).mean }) });
    await expect(verifyOnnx(unnamed, exportOnnx(unnamed), new Float32Array(4))).rejects.toThrow(
      /predictions of likelihood poisson to have lambda/,
    );
  });
});

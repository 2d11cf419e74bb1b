// Statistical tests: noise, moments of both estimators, KL, and the decomposition of uncertainty.

import { describe, expect, it } from "vitest";
import { gaussianPrior } from "../../lib/bayes/gaussianPrior.ts";
import { alphaPosterior, rhoPosterior } from "../../lib/bayes/posterior.ts";
import { scaleMixturePrior } from "../../lib/bayes/scaleMixturePrior.ts";
import type { BayesOptions } from "../../lib/bayes/settings.ts";
import { compile } from "../../lib/graph/compile.ts";
import type { Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { withTrace } from "../../lib/graph/trace.ts";
import { bayesConv2d } from "../../lib/layers/conv.ts";
import { bayesLinear } from "../../lib/layers/linear.ts";
import { layerContext, layersOf } from "../../lib/layers/scope.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { Model } from "../../lib/models/model.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { gaussianNoise } from "../../lib/ops/gaussianNoise.ts";
import { maxPool2d } from "../../lib/ops/maxPool2d.ts";
import { relu } from "../../lib/ops/relu.ts";
import { predict } from "../../lib/predict/predict.ts";
import { testDevice } from "../device.ts";
import { random } from "../ops/harness.ts";

const device = testDevice();
const mean = (x: ArrayLike<number>) => Array.from(x).reduce((a, b) => a + b, 0) / x.length;
const variance = (x: ArrayLike<number>) => {
  const m = mean(x);
  return mean(Array.from(x, (v) => (v - m) ** 2));
};
const correlation = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  const [ma, mb] = [mean(a), mean(b)];
  return mean(Array.from(a, (v, i) => (v - ma) * (b[i] - mb))) / Math.sqrt(variance(a) * variance(b));
};

function noise({
  rows,
  shape,
  seed = 7,
  step = 3,
  stream = 5,
  samples = 1,
  base = 0,
}: {
  rows: number[];
  shape: number[];
  seed?: number;
  step?: number;
  stream?: number;
  samples?: number;
  base?: number;
}): Float32Array {
  using store = new Store(device);
  using p = compile(
    { store },
    { rng: { shape: [4], dtype: "i32" }, rows: { shape: [rows.length], dtype: "i32" } },
    ({ rng, rows }) => ({ eps: gaussianNoise({ rng, rows, stream, samples }, shape) }),
  );
  return p.run({ rng: Int32Array.of(seed, 0, step, base), rows: Int32Array.from(rows) }).eps;
}

describe("noise", () => {
  const shape = [5, 5, 7];
  const range = (n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i);

  it("of 64 rows is that of 4 x 16 rows, and of samples drawn together or one by one, bit for bit", () => {
    const whole = noise({ rows: range(64), shape });
    const parts = [0, 16, 32, 48].flatMap((r) => [...noise({ rows: range(16, r), shape })]);
    expect(parts).toEqual([...whole]);
    const together = noise({ rows: range(64), shape, samples: 3 });
    const apart = [0, 1, 2].flatMap((base) => [...noise({ rows: range(64), shape, base })]);
    expect(apart).toEqual([...together]);
    expect([...together.subarray(0, whole.length)]).toEqual([...whole]);
  });

  it("is standard normal: moments within 5 standard errors", () => {
    const z = noise({ rows: range(400), shape: [16, 16, 8] });
    const n = z.length;
    expect(Math.abs(mean(z))).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(variance(z) - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    expect(Math.abs(mean(z.map((x) => x ** 3)))).toBeLessThan(5 * Math.sqrt(15 / n));
    expect(Math.abs(mean(z.map((x) => x ** 4)) - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
    // tails: P(|z| > 3) = 0.0026998
    const share = z.filter((x) => Math.abs(x) > 3).length / n;
    expect(Math.abs(share - 0.0026998)).toBeLessThan(5 * Math.sqrt(0.0027 / n));
  });

  it("is uncorrelated across elements, rows, streams, steps, samples and seeds", () => {
    const base = { rows: range(200), shape: [8, 8, 4] };
    const z = noise(base);
    const n = z.length;
    const others: [string, Float32Array][] = [
      ["element", z.map((_, i) => z[(i + 1) % n])],
      ["lane", z.map((_, i) => z[(i + 2) % n])],
      ["row", noise({ ...base, rows: range(200, 1) })],
      ["stream", noise({ ...base, stream: 6 })],
      ["step", noise({ ...base, step: 4 })],
      ["sample", noise({ ...base, base: 1 })],
      ["seed", noise({ ...base, seed: 8 })],
    ];
    for (const [what, other] of others) {
      expect(Math.abs(correlation(z, other)), what).toBeLessThan(5 / Math.sqrt(n));
      expect(
        Math.abs(
          correlation(
            z.map((x) => x * x),
            other.map((x) => x * x),
          ),
        ),
        `${what}, squares`,
      ).toBeLessThan(5 / Math.sqrt(n));
    }
  });
});

/** Draws `samples` outputs of one layer for a fixed input. */
function draws(
  layer: (x: Tensor) => Tensor,
  input: number[],
  data: Float32Array,
  bayes: BayesOptions,
  samples: number,
): Float32Array {
  using store = new Store(device);
  using p = compile(
    { store },
    { x: input, rng: { shape: [4], dtype: "i32" }, rows: { shape: [input[0]], dtype: "i32" } },
    ({ x, rng, rows }) => ({
      y: withTrace(
        { store, mode: "sample", samples, noise: { rng, rows }, context: layerContext({ bayes }), seed: 11 },
        () => layer(x),
      ).value,
    }),
  );
  return p.run({ x: data, rng: Int32Array.of(1, 2, 3, 0), rows: Int32Array.from({ length: input[0] }, (_, i) => i) }).y;
}

describe("estimators", () => {
  const next = random(5);
  const data = Float32Array.from({ length: 6 * 6 * 3 }, () => next() * 2 - 1);
  const layers: [string, (x: Tensor) => Tensor, number[]][] = [
    ["conv", (x) => bayesConv2d(x, 4, 3, { padding: 1, name: "layer" }), [1, 6, 6, 3]],
    ["linear", (x) => bayesLinear(flatten(x), 5, { name: "layer" }), [1, 6, 6, 3]],
  ];
  const posteriors = {
    rho: rhoPosterior({ rhoInit: -1, muInit: 0.3 }),
    alpha: alphaPosterior({ logAlphaInit: -0.5, muInit: 0.3 }),
  };
  for (const [what, layer, shape] of layers)
    for (const [kind, posterior] of Object.entries(posteriors))
      it(`${what}, ${kind}: local and weight reparameterization have the same mean and variance per output`, () => {
        const samples = 4000;
        const runs = (["local", "weight"] as const).map((estimator) =>
          // weight noise unrolls one convolution per sample: draw in portions
          estimator === "local"
            ? [draws(layer, shape, data, { posterior, estimator }, samples)]
            : weightDraws(layer, shape, data, posterior, samples),
        );
        const [local, weight] = runs.map((parts) => moments(parts));
        local.mean.forEach((m, i) => {
          const se = Math.sqrt((local.variance[i] + weight.variance[i]) / samples);
          expect(Math.abs(m - weight.mean[i]), `mean of output ${i}`).toBeLessThan(5.5 * se);
          const ratio = local.variance[i] / weight.variance[i];
          expect(Math.abs(Math.log(ratio)), `variance of output ${i}`).toBeLessThan(5.5 * 2 * Math.sqrt(1 / samples));
        });
      });
});

function weightDraws(
  layer: (x: Tensor) => Tensor,
  shape: number[],
  data: Float32Array,
  posterior: BayesOptions["posterior"],
  samples: number,
): Float32Array[] {
  using store = new Store(device);
  const each = 20;
  using p = compile(
    { store },
    { x: shape, rng: { shape: [4], dtype: "i32" }, rows: { shape: [1], dtype: "i32" } },
    ({ x, rng, rows }) => ({
      y: withTrace(
        {
          store,
          mode: "sample",
          samples: each,
          noise: { rng, rows },
          context: layerContext({ bayes: { posterior, estimator: "weight" } }),
          seed: 11,
        },
        () => layer(x),
      ).value,
    }),
  );
  const steps = samples / each;
  const rng = Int32Array.from({ length: steps * 4 }, (_, i) => [1, 2, Math.floor(i / 4), 0][i % 4]);
  return [p.run({ x: data, rng, rows: Int32Array.of(0) }, steps).y];
}

function moments(parts: Float32Array[]) {
  const y = parts[0];
  const samples = 4000;
  const n = y.length / samples;
  const column = (i: number) => Float64Array.from({ length: samples }, (_, s) => y[s * n + i]);
  const columns = Array.from({ length: n }, (_, i) => column(i));
  return { mean: columns.map(mean), variance: columns.map(variance) };
}

describe("KL", () => {
  const once = (bayes: BayesOptions) => {
    using store = new Store(device);
    using p = compile(
      { store },
      { rng: { shape: [4], dtype: "i32" }, rows: { shape: [1], dtype: "i32" }, x: [1, 4] },
      ({ rng, rows, x }) => ({
        kl: layersOf(
          withTrace(
            {
              store,
              mode: "sample",
              noise: { rng, rows },
              context: layerContext({ bayes: { bias: false, ...bayes } }),
              seed: 3,
            },
            () => bayesLinear(x, 500, { name: "layer" }),
          ).trace,
        ).kl[0].value,
      }),
    );
    const steps = 400;
    const rng = Int32Array.from({ length: steps * 4 }, (_, i) => [1, 0, Math.floor(i / 4), 0][i % 4]);
    return p.run({ rows: Int32Array.of(0), x: new Float32Array(4), rng }, steps).kl;
  };
  const rho = rhoPosterior({ rhoInit: -1.5, muInit: 0.2, rhoSpread: 0.5 });
  const cases: [string, BayesOptions][] = [
    ["N(0, 0.1) prior", { posterior: rho, prior: gaussianPrior() }],
    ["N(0.3, 0.5) prior", { posterior: rho, prior: gaussianPrior({ mean: 0.3, sigma: 0.5 }) }],
    ["tied mean", { posterior: rho, prior: gaussianPrior({ mean: "tied", sigma: 0.2 }) }],
    [
      "alpha posterior",
      { posterior: alphaPosterior({ logAlphaInit: -1, muInit: 0.2 }), prior: gaussianPrior({ sigma: 0.3 }) },
    ],
    [
      "alpha per layer",
      {
        posterior: alphaPosterior({ per: "layer", logAlphaInit: -1, muInit: 0.2 }),
        prior: gaussianPrior({ sigma: 0.3 }),
      },
    ],
  ];
  for (const [what, bayes] of cases)
    it(`closed form agrees with Monte-Carlo: ${what}`, () => {
      const closed = once({ ...bayes, kl: "closed" });
      const sampled = once({ ...bayes, kl: "sampled" });
      expect(variance(closed)).toBe(0);
      const se = Math.sqrt(variance(sampled) / sampled.length);
      expect(se).toBeGreaterThan(0);
      expect(Math.abs(mean(sampled) - closed[0])).toBeLessThan(5 * se);
      expect(closed[0]).toBeGreaterThan(0);
    });

  it("has the right direction: a posterior much narrower than the prior costs its log ratio, not its square", () => {
    // sigma = 0.0067, prior 0.1: KL(q||p) = 2.70 per weight with mu = 0; the reversed one would be 218
    const value = once({
      posterior: rhoPosterior({ rhoInit: -5, muInit: 0, rhoSpread: 0 }),
      prior: gaussianPrior(),
    })[0];
    expect(value / 2000).toBeCloseTo(
      Math.log(0.1 / Math.log1p(Math.exp(-5))) + (Math.log1p(Math.exp(-5)) / 0.1) ** 2 / 2 - 0.5,
      4,
    );
  });

  it("is sampled where the prior has no closed form", () => {
    const sampled = once({ posterior: rho, prior: scaleMixturePrior() });
    expect(variance(sampled)).toBeGreaterThan(0);
  });
});

describe("uncertainty of a model", () => {
  const image = (n: number) => ({
    images: Float32Array.from({ length: n * 64 }, random(3)),
    count: n,
    shape: [8, 8, 1] as [number, number, number],
  });
  const tiny = (bayes: BayesOptions) =>
    new Model({
      name: "tiny",
      input: [8, 8, 1],
      likelihood: categorical(4),
      bayes: { posterior: rhoPosterior({ rhoInit: -2 }), ...bayes },
      build: (x) => bayesLinear(flatten(maxPool2d(relu(bayesConv2d(x, 3, 3)), { kernel: 2 })), 4),
      seed: 1,
    });

  for (const estimator of ["local", "weight"] as const)
    it(`${estimator}: epistemic > 0 on a batch of one, and epistemic + aleatoric = p(1-p) per class`, async () => {
      using model = tiny({ estimator });
      const p = await predict(model, image(1), { samples: 16 });
      expect(p.epistemicTotal[0]).toBeGreaterThan(1e-6);
      for (let c = 0; c < 4; c++) {
        const q = p.probabilities[c];
        expect(p.epistemic[c] + p.aleatoric[c]).toBeCloseTo(q * (1 - q), 5);
      }
    });

  it("does not depend on how images are batched", async () => {
    using model = tiny({});
    const { images, ...rest } = image(700);
    const whole = await predict(model, { images, ...rest }, { samples: 3, seed: 5 });
    const first = await predict(
      model,
      { images: images.subarray(0, 64 * 5), count: 5, shape: rest.shape },
      { samples: 3, seed: 5 },
    );
    for (let s = 0; s < 3; s++)
      for (let i = 0; i < 5 * 4; i++) expect(first.logits[s * 20 + i]).toBe(whole.logits[s * 2800 + i]);
  });

  it("has none with mean weights", async () => {
    using model = tiny({});
    const p = await predict(model, image(3), { mode: "mean" });
    expect(p.samples).toBe(1);
    expect(Math.max(...p.epistemicTotal)).toBe(0);
  });
});

// What likelihoods make of Monte-Carlo outputs, against naive float64: moments of the mixture, figures, order.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bernoulli } from "../../lib/likelihoods/bernoulli.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { gaussian } from "../../lib/likelihoods/gaussian.ts";
import { laplace } from "../../lib/likelihoods/laplace.ts";
import type { Likelihood, Prediction, Targets } from "../../lib/likelihoods/shared/likelihood.ts";
import { random } from "../ops/harness.ts";

const softmax = (z: readonly number[]): number[] => {
  const most = Math.max(...z);
  const e = z.map((v) => Math.exp(v - most));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
};
const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));
const mean = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0) / x.length;
const total = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0);

/** One sample's distribution of one target: mean and variance of each value, and the density of a target. */
interface Component {
  readonly mean: readonly number[];
  readonly variance: readonly number[];
  readonly density: (target: readonly number[]) => number;
}

interface Kind {
  readonly name: string;
  readonly likelihood: Likelihood;
  /** Values of a head, and of a target. */
  readonly width: number;
  readonly targetWidth: number;
  /** Head values from numbers between -1 and 1. */
  readonly outputs: (x: readonly number[]) => Record<string, readonly number[]>;
  readonly target: (x: readonly number[]) => readonly number[];
  readonly component: (heads: Record<string, readonly number[]>) => Component;
}

const numbersKind = (name: "gaussian" | "laplace"): Kind => ({
  name,
  likelihood: name === "gaussian" ? gaussian() : laplace(),
  width: 3,
  targetWidth: 3,
  outputs: (x) => ({ mean: x.map((v) => 500 + 20 * v), variance: x.map((v) => 300 + 200 * Math.sin(7 * v)) }),
  target: (x) => x.map((v) => 500 + 40 * v),
  component: ({ mean, variance }) => ({
    mean,
    variance,
    density: (t) =>
      t.reduce((product, v, i) => {
        const b = Math.sqrt(variance[i] / 2);
        return (
          product *
          (name === "gaussian"
            ? Math.exp(-((v - mean[i]) ** 2) / (2 * variance[i])) / Math.sqrt(2 * Math.PI * variance[i])
            : Math.exp(-Math.abs(v - mean[i]) / b) / (2 * b))
        );
      }, 1),
  }),
});

const kinds: readonly Kind[] = [
  {
    name: "categorical",
    likelihood: categorical(3),
    width: 3,
    targetWidth: 1,
    outputs: (x) => ({ logits: x.map((v) => 6 * v) }),
    target: (x) => [Math.floor(1.5 * (x[0] + 0.999))],
    component: ({ logits }) => {
      const p = softmax(logits);
      return { mean: p, variance: p.map((q) => q * (1 - q)), density: ([t]) => p[t] };
    },
  },
  {
    name: "bernoulli",
    likelihood: bernoulli({ labels: 3 }),
    width: 3,
    targetWidth: 3,
    outputs: (x) => ({ logits: x.map((v) => 6 * v) }),
    target: (x) => x.map((v) => Number(v > 0.2)),
    component: ({ logits }) => {
      const p = logits.map(sigmoid);
      return {
        mean: p,
        variance: p.map((q) => q * (1 - q)),
        density: (t) => t.reduce((product, v, i) => product * (v ? p[i] : 1 - p[i]), 1),
      };
    },
  },
  numbersKind("gaussian"),
  numbersKind("laplace"),
];

interface Drawn {
  readonly samples: number;
  readonly count: number;
  readonly prediction: Prediction;
  readonly targets: Targets;
  /** [example][sample] */
  readonly components: readonly (readonly Component[])[];
  readonly target: readonly (readonly number[])[];
}

/** Random outputs, float32 as a network gives them. @param order of the examples, and of the samples */
function drawn(kind: Kind, seed: number, samples: number, count: number, order = { n: 0, s: 0 }): Drawn {
  const next = random(seed);
  const list = (size: number) => Array.from({ length: size }, () => next() * 2 - 1);
  const each = Array.from({ length: count }, () => ({
    target: [...Float32Array.from(kind.target(list(kind.targetWidth)))],
    heads: Array.from({ length: samples }, () =>
      Object.fromEntries(
        Object.entries(kind.outputs(list(kind.width))).map(([name, v]) => [name, [...Float32Array.from(v)]]),
      ),
    ),
  }));
  const rotate = <T>(x: readonly T[], by: number): T[] => x.map((_, i) => x[(i + by) % x.length]);
  const shown = rotate(each, order.n).map(({ target, heads }) => ({ target, heads: rotate(heads, order.s) }));
  const names = Object.keys(shown[0].heads[0]);
  const bySample = (name: string) =>
    Array.from({ length: samples }, (_, s) => shown.map(({ heads }) => heads[s][name]));
  const outputs = Object.fromEntries(names.map((name) => [name, Float32Array.from(bySample(name).flat(2))]));
  const flat = shown.flatMap(({ target }) => target);
  const targets = kind.name === "categorical" ? Int32Array.from(flat) : Float32Array.from(flat);
  return {
    samples,
    count,
    prediction: kind.likelihood.prediction(outputs, samples, count, [kind.width]),
    targets,
    components: shown.map(({ heads }) => heads.map(kind.component)),
    target: shown.map(({ target }) => target),
  };
}

const close = (got: number, want: number, tolerance = 1e-6) =>
  expect(Math.abs(got - want), `${got} for ${want}`).toBeLessThanOrEqual(tolerance * (1 + Math.abs(want)));

const sizes = fc.record({
  seed: fc.integer({ min: 1, max: 1e6 }),
  samples: fc.integer({ min: 1, max: 7 }),
  count: fc.integer({ min: 1, max: 6 }),
});

describe.each(kinds)("$name", (kind) => {
  it("splits the variance of the mixture into epistemic and aleatoric (law of total variance)", () => {
    fc.assert(
      fc.property(sizes, ({ seed, samples, count }) => {
        const { prediction: p, components } = drawn(kind, seed, samples, count);
        for (let n = 0; n < count; n++) {
          let [e, a] = [0, 0];
          for (let d = 0; d < kind.width; d++) {
            const i = n * kind.width + d;
            const means = components[n].map((c) => c.mean[d]);
            const first = mean(means);
            // of the mixture: E y^2 - (E y)^2, with E y^2 = variance + mean^2 of each component, around the common mean
            const variance = mean(components[n].map((c) => c.variance[d] + (c.mean[d] - first) ** 2));
            close(p.mean[i], first);
            close(p.epistemic[i] + p.aleatoric[i], variance);
            close(p.epistemic[i], mean(means.map((m) => (m - first) ** 2)));
            close(p.aleatoric[i], mean(components[n].map((c) => c.variance[d])));
            const { sigma } = p as { sigma?: Float32Array };
            if (sigma) close(sigma[i], Math.sqrt(variance));
            e += p.epistemic[i];
            a += p.aleatoric[i];
          }
          close(p.epistemicTotal[n], e);
          close(p.aleatoricTotal[n], a);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("scores the predictive distribution, -ln of the mean density", () => {
    fc.assert(
      fc.property(sizes, ({ seed, samples, count }) => {
        const { prediction, targets, components, target } = drawn(kind, seed, samples, count);
        const { nll, epistemic, aleatoric } = kind.likelihood.metrics(prediction, targets);
        close(nll, mean(components.map((c, n) => -Math.log(mean(c.map(({ density }) => density(target[n])))))));
        close(epistemic, mean([...prediction.epistemicTotal]));
        close(aleatoric, mean([...prediction.aleatoricTotal]));
      }),
      { numRuns: 60 },
    );
  });

  it("does not mind the order of the examples or of the samples", () => {
    fc.assert(
      fc.property(sizes, fc.nat(9), fc.nat(9), ({ seed, samples, count }, n, s) => {
        const [a, b] = [drawn(kind, seed, samples, count), drawn(kind, seed, samples, count, { n, s })];
        const before = kind.likelihood.metrics(a.prediction, a.targets);
        const after = kind.likelihood.metrics(b.prediction, b.targets);
        // sums in another order: of probabilities 1e-15, of their float32 roundings 1e-7
        for (const [name, value] of Object.entries(before)) if (name !== "adaptiveEce") close(after[name], value);
      }),
      { numRuns: 40 },
    );
  });
});

describe("figures", () => {
  const numbers = kinds[2];
  /** P(Z <= z) of a standard normal by Simpson's rule. */
  const phi = (z: number): number => {
    const [from, n] = [-9, 600];
    if (z <= from) return 0;
    const h = (z - from) / n;
    let sum = 0;
    for (let i = 0; i <= n; i++) sum += (i === 0 || i === n ? 1 : i % 2 ? 4 : 2) * Math.exp(-((from + i * h) ** 2) / 2);
    return (sum * h) / 3 / Math.sqrt(2 * Math.PI);
  };
  it("rmse and mae of numbers are those of the predictive mean, coverage that of the mixture's central 90 %", () => {
    fc.assert(
      fc.property(sizes, ({ seed, samples, count }) => {
        const { prediction, targets, components, target } = drawn(numbers, seed, samples, count);
        const errors: number[] = [];
        const inside: boolean[] = [];
        for (let n = 0; n < count; n++)
          for (let d = 0; d < 3; d++) {
            const m = mean(components[n].map((c) => c.mean[d]));
            errors.push(target[n][d] - m);
            const below = mean(components[n].map((c) => phi((target[n][d] - c.mean[d]) / Math.sqrt(c.variance[d]))));
            inside.push(below >= 0.05 && below <= 0.95);
          }
        const metrics = numbers.likelihood.metrics(prediction, targets);
        // means around 500 are float32: each is off by up to 500 * 2^-25 = 1.5e-5
        close(metrics.rmse, Math.sqrt(mean(errors.map((e) => e * e))), 2e-5);
        close(metrics.mae, mean(errors.map(Math.abs)), 2e-5);
        close(metrics.coverage90, mean(inside.map(Number)));
        expect(metrics.count).toBe(count);
      }),
    );
  });

  it("accuracy, exact match and Brier of labels", () => {
    const labels = kinds[1];
    fc.assert(
      fc.property(sizes, ({ seed, samples, count }) => {
        const { prediction, targets, components, target } = drawn(labels, seed, samples, count);
        const p = components.map((c) => [0, 1, 2].map((d) => mean(c.map((one) => one.mean[d]))));
        const right = p.map((row, n) => row.map((q, d) => q >= 0.5 === (target[n][d] === 1)));
        const metrics = labels.likelihood.metrics(prediction, targets);
        close(metrics.accuracy, mean(right.flat().map(Number)));
        close(metrics.exactMatch, mean(right.map((row) => Number(row.every(Boolean)))));
        close(metrics.brier, mean(p.flatMap((row, n) => row.map((q, d) => (q - target[n][d]) ** 2))));
      }),
    );
  });

  it("accuracy and Brier of classes", () => {
    const classes = kinds[0];
    fc.assert(
      fc.property(sizes, ({ seed, samples, count }) => {
        const { prediction, targets, components, target } = drawn(classes, seed, samples, count);
        const p = components.map((c) => [0, 1, 2].map((d) => mean(c.map((one) => one.mean[d]))));
        const metrics = classes.likelihood.metrics(prediction, targets);
        close(metrics.accuracy, mean(p.map((row, n) => Number(row.indexOf(Math.max(...row)) === target[n][0]))));
        close(metrics.brier, mean(p.map((row, n) => total(row.map((q, c) => (q - Number(c === target[n][0])) ** 2)))));
      }),
    );
  });

  it("an NLL far beyond what a float holds as a probability is exact", () => {
    const logits = Float32Array.of(200, -200, 0, 150, -150, 0); // two samples of one image: -400 and -300
    const p = categorical(3).prediction({ logits }, 2, 1, []);
    expect(categorical(3).metrics(p, Int32Array.of(1)).nll).toBeCloseTo(300 + Math.log(2), 4);
    const one = bernoulli().prediction({ logits: Float32Array.of(400, 300) }, 2, 1, [1]);
    expect(bernoulli().metrics(one, Float32Array.of(0)).nll).toBeCloseTo(300 + Math.log(2), 4);
    const far = gaussian().prediction({ mean: Float32Array.of(0, 10), variance: Float32Array.of(1, 1) }, 2, 1, [1]);
    const half = Math.log(2 * Math.PI) / 2;
    expect(gaussian().metrics(far, Float32Array.of(1000)).nll).toBeCloseTo(990 ** 2 / 2 + half + Math.log(2), 4);
  });

  it("names every figure that it gives", () => {
    for (const kind of kinds) {
      const { prediction, targets } = drawn(kind, 3, 2, 5);
      const metrics = kind.likelihood.metrics(prediction, targets);
      for (const { name } of kind.likelihood.figures) expect(metrics).toHaveProperty(name);
    }
  });
});

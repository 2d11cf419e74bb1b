// What is pruned stays as it is and counts nothing, under every posterior, prior, kind of KL, estimator and optimizer.

import { expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { sigmaOfAlpha, sigmaOfRho } from "../../lib/bayes/formulas.ts";
import { gaussianPrior } from "../../lib/bayes/gaussianPrior.ts";
import { alphaPosterior, type Posterior, rhoPosterior } from "../../lib/bayes/posterior.ts";
import type { Prior } from "../../lib/bayes/prior.ts";
import { scaleMixturePrior } from "../../lib/bayes/scaleMixturePrior.ts";
import type { BayesOptions } from "../../lib/bayes/settings.ts";
import { compile } from "../../lib/graph/compile.ts";
import { constant } from "../../lib/graph/node.ts";
import { bayesConv2d } from "../../lib/layers/conv.ts";
import { bayesLinear } from "../../lib/layers/linear.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { Model } from "../../lib/models/model.ts";
import { add } from "../../lib/ops/add.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { gaussianNoise } from "../../lib/ops/gaussianNoise.ts";
import { mul } from "../../lib/ops/mul.ts";
import { relu } from "../../lib/ops/relu.ts";
import { square } from "../../lib/ops/square.ts";
import { sum } from "../../lib/ops/sum.ts";
import { prune } from "../../lib/prune/prune.ts";
import { adam, adamw, type Optimizer, sgd } from "../../lib/train/optimizers.ts";
import { random } from "../ops/harness.ts";
import { klOf } from "../ops/klGaussian.ts";
import { logNormalOf } from "../ops/logNormalSum.ts";

const WEIGHTS = { "conv/weight": 3 * 3 * 3, "fc/weight": 3 * 3 * 3 * 4 } as const;
const names = Object.keys(WEIGHTS) as (keyof typeof WEIGHTS)[];
const perWeight = (seed: number, low: number, high: number) => {
  const next = random(seed);
  return new Map(names.map((n) => [n, Float32Array.from({ length: WEIGHTS[n] }, () => low + next() * (high - low))]));
};
const means = perWeight(1, -0.3, 0.3);
const sigmas = perWeight(2, 0.1, 0.5);

/** A prior and the same in float64: mean and sigma of weight i of a tensor, if it is Gaussian, and its log density. */
type Moments = (name: keyof typeof WEIGHTS, i: number, mu: number) => readonly [mean: number, sigma: number];
interface Case {
  readonly prior: Prior;
  readonly moments?: Moments;
  readonly density: (w: number, ...of: Parameters<Moments>) => number;
}
const of = (prior: Prior, moments: Moments): Case => ({
  prior,
  moments,
  density: (w, name, i, mu) => logNormalOf(w, ...moments(name, i, mu)),
});
const mixture = (w: number): number => {
  const a = Math.log(0.25) + logNormalOf(w, 0, 1);
  const b = Math.log(0.75) + logNormalOf(w, 0, 0.05);
  return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
};
const priors: Readonly<Record<string, Case>> = {
  "N(0, 0.1^2)": of(gaussianPrior(), () => [0, 0.1]),
  "N(0.2, 0.3^2)": of(gaussianPrior({ mean: 0.2, sigma: 0.3 }), () => [0.2, 0.3]),
  "tied mean": of(gaussianPrior({ mean: "tied", sigma: 0.2 }), (_n, _i, mu) => [mu, 0.2]),
  "given per weight": of(gaussianPrior({ mean: means, sigma: sigmas }), (n, i) => [
    means.get(n)![i],
    sigmas.get(n)![i],
  ]),
  "scale mixture": { prior: scaleMixturePrior({ pi: 0.25, sigma1: 1, sigma2: 0.05 }), density: mixture },
};
const posteriors: Readonly<Record<string, Posterior>> = {
  rho: rhoPosterior({ rhoInit: -2 }),
  alpha: alphaPosterior({ logAlphaInit: -2 }),
  "alpha per layer": alphaPosterior({ per: "layer", logAlphaInit: -2 }),
};
const optimizers: readonly Optimizer[] = [
  adam(),
  adamw({ weightDecay: 0.3 }),
  sgd({ momentum: 0.9, nesterov: true, weightDecay: 0.3 }),
  sgd({ weightDecay: 0.3 }),
];

const make = (bayes: BayesOptions) =>
  new Model({
    name: "small",
    input: [5, 5, 1],
    likelihood: categorical(4),
    build: (x) => bayesLinear(flatten(relu(bayesConv2d(x, 3, 3, { name: "conv" }))), 4, { name: "fc" }),
    bayes: { bias: false, ...bayes },
    seed: 3,
  });

const i32 = (n: number) => ({ shape: [n], dtype: "i32" as const });
const specs = { x: [6, 5, 5, 1], rng: i32(4), rows: i32(6), lr: [], count: i32(1) };
const next = random(4);
const feeds = {
  x: Float32Array.from({ length: 6 * 25 }, () => next()),
  rows: Int32Array.from({ length: 6 }, (_, i) => i),
  lr: 1e-4,
};

/** A step with beta 1 and a penalty that pulls at every parameter: the KL by weight, its gradients without the penalty, and the draw. */
function compileStep(model: Model, optimizer: Optimizer) {
  return compile({ store: model.store }, specs, (t) => {
    const noise = { rng: t.rng, rows: t.rows };
    const { output, kl, klTerms, parameters } = model.apply(t.x, { mode: "sample", noise, training: true });
    const leaves = [...parameters.values()];
    const loss = add(sum(square(output)), kl!);
    const penalty = leaves.map((p) => sum(square(p))).reduce((a, b) => add(a, b));
    optimizer.update(parameters, grad(add(loss, mul(penalty, 0.1)), leaves), t.lr, t.count);
    const bare = grad(loss, leaves);
    const draw = (name: string) => {
      const of = {
        rng: t.rng,
        rows: constant(Int32Array.of(0)),
        stream: model.store.streams.get(name) ?? 0,
        samples: 1,
      };
      return gaussianNoise(of, model.store.slot(`${name}/mu`).shape);
    };
    return Object.fromEntries([
      ...klTerms.map((k) => [`kl ${k.layer}`, k.value] as const),
      ...[...parameters.keys()].map((name, i) => [`d ${name}`, bare[i]] as const),
      ...names.map((name) => [`eps ${name}`, draw(name)] as const),
    ]);
  });
}

type Values = ReadonlyMap<string, Float32Array>;
const snapshot = ({ store }: Model): Values =>
  new Map([...store.slots.keys()].map((name) => [name, store.get(name) as Float32Array]));

/** The KL of the kept weights in float64: in closed form, or ln q - ln p at the draw. */
function klOfKept(values: Values, c: Case, name: keyof typeof WEIGHTS, eps: Float32Array | undefined): number {
  const mu = values.get(`${name}/mu`)!;
  const rho = values.get(`${name}/rho`);
  const sigma = rho ? sigmaOfRho(rho) : sigmaOfAlpha(mu, values.get(`${name}/logAlpha`)!);
  let kl = 0;
  for (const [i, on] of values.get(`mask/${name}`)!.entries()) {
    if (on === 0) continue;
    const [m, s] = [mu[i], sigma[i]];
    if (eps) kl += logNormalOf(s * eps[i], 0, s) - c.density(m + s * eps[i], name, i, m);
    else kl += klOf(m, s, ...c.moments!(name, i, m));
  }
  return kl;
}

for (const [posterior, q] of Object.entries(posteriors))
  for (const [prior, c] of Object.entries(priors))
    for (const kl of ["closed", "sampled"] as const)
      for (const estimator of ["local", "weight"] as const)
        it(`${posterior}, ${prior}, ${kl}, ${estimator}`, () => {
          using model = make({ posterior: q, prior: c.prior, kl, estimator });
          const closed = kl === "closed" && (posterior === "rho" ? c.prior.klRho : c.prior.klAlpha) !== undefined;
          {
            using before = compileStep(model, optimizers[0]); // its moments must not carry a weight on
            before.run({ ...feeds, rng: Int32Array.of(1, 2, 0, 0), count: 1 });
          }
          prune(model, { sparsity: 0.6, score: "magnitude", scope: "layer" });
          const pruned = snapshot(model);
          for (const [k, optimizer] of optimizers.entries()) {
            using program = compileStep(model, optimizer);
            for (let n = 1; n <= 3; n++) {
              const values = snapshot(model);
              const out = program.run({ ...feeds, rng: Int32Array.of(1, 2, 3 * k + n, 0), count: n });
              for (const name of names) {
                const want = klOfKept(values, c, name, closed ? undefined : out[`eps ${name}`]);
                expect(Math.abs(out[`kl ${name}`][0] - want), `KL of ${name}`).toBeLessThan(
                  2e-5 * (1 + Math.abs(want)),
                );
              }
              for (const { name } of model.parameters) {
                const mask = maskFor(pruned, name);
                const largest = out[`d ${name}`].reduce(
                  (most, d, i) => (mask?.[i] === 0 ? Math.max(most, Math.abs(d)) : most),
                  0,
                );
                expect(largest, `gradient of ${name}`).toBe(0);
              }
            }
          }
          for (const { name } of model.parameters) {
            const mask = maskFor(pruned, name);
            const bits = (values: Values) => new Int32Array(values.get(name)!.buffer).filter((_, i) => mask?.[i] === 0);
            const now = snapshot(model);
            expect(bits(now), name).toEqual(bits(pruned));
            expect(now.get(name), `${name}, the kept ones`).not.toEqual(pruned.get(name));
          }
        });

it.each(["closed", "sampled"] as const)("a prior of one's own that does not heed its mask is refused: %s", (kl) => {
  const whole = gaussianPrior();
  const deaf: Prior = {
    ...whole,
    name: "deaf",
    klRho: (mu, rho, weight) => whole.klRho!(mu, rho, weight),
    logDensity: (w, mu, weight) => whole.logDensity!(w, mu, weight),
  };
  using model = make({ prior: deaf, kl });
  const before = snapshot(model);
  const why = /\[conv\/weight\] expected a prior that leaves the pruned weights out, .*, received "deaf"/;
  expect(() => prune(model, { sparsity: 0.5 })).toThrow(why);
  expect(snapshot(model)).toEqual(before);
});

/** The mask of a parameter that has a value for each weight. */
function maskFor(values: Values, parameter: string): Float32Array | undefined {
  const mask = values.get(`mask/${parameter.slice(0, parameter.lastIndexOf("/"))}`)!;
  return mask.length === values.get(parameter)!.length ? mask : undefined;
}

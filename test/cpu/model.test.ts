// Models as a whole: the published architectures, the twins of fused layers, shared layers, running statistics, and the
// debugger against the compiled program.

import { describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { gaussianPrior } from "../../lib/bayes/gaussianPrior.ts";
import { rhoPosterior } from "../../lib/bayes/posterior.ts";
import { compile, type Inputs } from "../../lib/graph/compile.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { f32, i32, type Shape, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { input as inputLeaf, noiseFor, parameter, withTrace } from "../../lib/graph/trace.ts";
import { bayesConv2d, bayesConvTranspose2d } from "../../lib/layers/conv.ts";
import { bayesLinear, linear } from "../../lib/layers/linear.ts";
import { batchNorm2d } from "../../lib/layers/norm.ts";
import { layerContext } from "../../lib/layers/scope.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { createModel } from "../../lib/models/create.ts";
import { Model } from "../../lib/models/model.ts";
import { add } from "../../lib/ops/add.ts";
import { checkFinite } from "../../lib/ops/checkFinite.ts";
import { conv2d as conv2dOp } from "../../lib/ops/conv2d.ts";
import { convTranspose2d as convTransposeOp } from "../../lib/ops/convTranspose2d.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { gaussianNoise } from "../../lib/ops/gaussianNoise.ts";
import { linear as linearOp } from "../../lib/ops/linear.ts";
import { mean } from "../../lib/ops/mean.ts";
import { mul } from "../../lib/ops/mul.ts";
import { reshape } from "../../lib/ops/reshape.ts";
import { sigma2FromRho } from "../../lib/ops/sigma2FromRho.ts";
import { softmaxCrossEntropy } from "../../lib/ops/softmaxCrossEntropy.ts";
import { sqrt } from "../../lib/ops/sqrt.ts";
import { square } from "../../lib/ops/square.ts";
import { sum } from "../../lib/ops/sum.ts";
import { adam } from "../../lib/train/optimizers.ts";
import { testDevice } from "../device.ts";
import { random } from "../ops/harness.ts";

const device = testDevice();
const next = random(17);
const values = (n: number) => Float32Array.from({ length: n }, () => 2 * next() - 1);
const firstRows = (n: number) => Int32Array.from({ length: n }, (_, i) => i);

describe("published architectures", () => {
  // parameters of the frequentist net: weights and biases, counted by hand from the paper's tables; the Bayesian twin
  // has a mean and a rho for each
  const counts: [string, [number, number, number], number, number][] = [
    ["lenet5", [28, 28, 1], 10, 61_706],
    ["lenet5", [32, 32, 3], 10, 62_006],
    ["lenet5", [32, 32, 3], 100, 69_656],
    ["alexnet", [32, 32, 3], 10, 2_175_946],
    ["alexnet-half", [32, 32, 3], 10, 550_378],
    ["alexnet-half", [32, 32, 3], 100, 556_228],
    ["3conv3fc", [32, 32, 3], 10, 1_782_634],
  ];
  for (const [model, input, classes, count] of counts)
    it(`${model} ${input.join("x")}, ${classes} classes: ${count} parameters, twice as many in the Bayesian twin`, () => {
      using plain = createModel({ model, input, classes, bayesian: false });
      using bayes = createModel({ model, input, classes });
      expect([plain.parameterCount, bayes.parameterCount]).toEqual([count, 2 * count]);
      expect([plain.bayesian, bayes.bayesian]).toEqual([false, true]);
      // every weight and bias is in exactly one KL term
      const noise = { rng: inputLeaf("rng", i32([4])), rows: inputLeaf("rows", i32([2])) };
      const { klTerms, output } = bayes.apply(inputLeaf("x", f32([2, ...input])), { mode: "sample", noise });
      expect(output.shape).toEqual([2, classes]);
      const means = [...bayes.store.slots.keys()]
        .filter((name) => name.endsWith("/mu"))
        .map((name) => name.slice(0, -3));
      expect(klTerms.map((k) => k.layer).sort()).toEqual(means.sort());
    });
});

describe("a layer used twice", () => {
  const shared = (estimator: "local" | "weight") =>
    new Model({
      name: "shared",
      input: [1, 1, 6],
      likelihood: categorical(6),
      bayes: { estimator, posterior: rhoPosterior({ rhoInit: -1 }), bias: false },
      build: (x) => bayesLinear(bayesLinear(flatten(x), 6, { name: "same" }), 6, { name: "same", share: true }),
    });

  it("has one set of parameters and counts its KL once", () => {
    using model = shared("local");
    expect(model.parameters.map((s) => s.name)).toEqual(["same/weight/mu", "same/weight/rho"]);
    using p = compile(
      { store: model.store },
      { x: [2, 1, 1, 6], rng: i32([4]), rows: i32([2]) },
      ({ x, rng, rows }) => ({
        kl: model.apply(x, { mode: "sample", noise: { rng, rows } }).kl!,
      }),
    );
    const { kl } = p.run({ x: values(12), rng: Int32Array.of(1, 0, 0, 0), rows: firstRows(2) });
    const [mu, rho] = ["mu", "rho"].map((part) => model.store.get(`same/weight/${part}`));
    const once = Array.from(mu).reduce((total, m, i) => {
      const sigma = Math.log1p(Math.exp(rho[i]));
      return total + Math.log(0.1 / sigma) + (sigma ** 2 + m ** 2) / (2 * 0.1 ** 2) - 0.5;
    }, 0);
    expect(Math.abs(kl[0] / once - 1)).toBeLessThan(1e-5);
  });

  it("draws local noise anew for each use, and weights once for both", () => {
    for (const [estimator, streams] of [
      ["local", { same: 0, "same@1": 1 }],
      ["weight", { "same/weight": 0 }],
    ] as const) {
      using model = shared(estimator);
      expect(Object.fromEntries(model.store.streams)).toEqual(streams);
    }
  });
});

describe("twins of fused layers", () => {
  const sigma = 0.3;
  const rhoOf = (s: number) => Math.log(Math.expm1(s));
  const posterior = rhoPosterior({ muInit: 0.5, rhoInit: rhoOf(sigma), rhoSpread: 0.2 });
  type Plain = (x: Tensor, w: Tensor, b: Tensor) => Tensor;
  const cases: [string, Shape, (x: Tensor) => Tensor, Plain][] = [
    [
      "bayesConv2d",
      [3, 6, 5, 4],
      (x) => bayesConv2d(x, 6, [3, 2], { name: "layer", stride: [2, 1], padding: 1, groups: 2 }),
      (x, w, b) => conv2dOp(x, w, b, { stride: [2, 1], padding: 1, groups: 2 }),
    ],
    [
      "bayesConvTranspose2d",
      [3, 3, 4, 4],
      (x) => bayesConvTranspose2d(x, 6, 3, { name: "layer", stride: 2, padding: 1, outputPadding: 1, groups: 2 }),
      (x, w, b) => convTransposeOp(x, w, b, { stride: 2, padding: 1, outputPadding: 1, groups: 2 }),
    ],
    ["bayesLinear", [3, 11], (x) => bayesLinear(x, 7, { name: "layer" }), (x, w, b) => linearOp(x, w, b)],
  ];
  for (const [name, shape, fused, plain] of cases)
    it(`${name}: forward and every gradient are those of the same maths in plain ops`, () => {
      using store = new Store(device);
      const options = { store, mode: "sample", context: layerContext({ bayes: { posterior } }), seed: 4 } as const;
      const specs = { x: shape, rng: i32([4]), rows: i32([3]) };
      const feed = { x: values(shape.reduce((a, b) => a * b)), rng: Int32Array.of(5, 6, 7, 0), rows: firstRows(3) };
      const names = ["weight/mu", "weight/rho", "bias/mu", "bias/rho"].map((n) => `layer/${n}`);
      const graded = (x: Tensor, y: Tensor, of: readonly Tensor[]) => {
        const loss = sum(mul(square(y), y)); // dL/dy = 3 y^2, another one for each element
        const [dx, ...others] = grad(loss, [x, ...of]);
        return { y, dx, ...Object.fromEntries(others.map((d, i) => [names[i], d])) } as Record<string, Tensor>;
      };
      const run = (layer: (x: Tensor) => Tensor) => {
        using p = compile({ store }, specs, ({ x, rng, rows }) => {
          const { value } = withTrace({ ...options, noise: { rng, rows } }, () => {
            const y = layer(x);
            return graded(
              x,
              y,
              names.map((n) => parameter(n, store.slot(n).shape, () => new Float32Array(0), { share: true })),
            );
          });
          return value;
        });
        return p.run(feed) as Record<string, Float32Array>;
      };
      const ours = run(fused);
      const twin = run((x) => {
        const [mu, rho, biasMu, biasRho] = names.map((n) =>
          parameter(n, store.slot(n).shape, () => new Float32Array(0), { share: true }),
        );
        const m = plain(x, mu, biasMu);
        const v = plain(square(x), sigma2FromRho(rho), sigma2FromRho(biasRho));
        return add(m, mul(sqrt(v), gaussianNoise(noiseFor("layer"), m.shape.slice(1))));
      });
      expect(Object.keys(ours)).toEqual(["y", "dx", ...names]);
      for (const [what, value] of Object.entries(ours)) {
        const largest = twin[what].reduce((a, b) => Math.max(a, Math.abs(b)), 0);
        expect(largest, what).toBeGreaterThan(1e-3);
        value.forEach((v, i) => {
          if (!(Math.abs(v - twin[what][i]) <= 2e-5 * largest)) expect(v, `${what} ${i}`).toBeCloseTo(twin[what][i], 6);
        });
      }
    });
});

describe("batch norm in a model", () => {
  const build = (x: Tensor) => linear(flatten(batchNorm2d(x, { name: "norm", momentum: 0.25 })), 2, { name: "out" });
  const make = () => new Model({ name: "normed", input: [2, 3, 2], likelihood: categorical(2), build });

  it("keeps running statistics as PyTorch does, and predicts by them", () => {
    using model = make();
    const statistics = () => ["mean", "variance"].map((part) => [...model.store.get(`norm/${part}`)]);
    expect(statistics()).toEqual([
      [0, 0],
      [1, 1],
    ]); // making the model ran nothing
    const x = values(4 * 12);
    using train = compile({ store: model.store }, { x: [4, 2, 3, 2] }, (t) => ({
      y: model.apply(t.x, { mode: "mean", training: true }).output,
    }));
    train.run({ x }, 2);
    const expected = [0, 1].map((c) => {
      const channel = Array.from(x).filter((_, i) => i % 2 === c);
      const m = channel.reduce((a, b) => a + b) / channel.length;
      const v = channel.reduce((a, b) => a + (b - m) ** 2, 0) / (channel.length - 1);
      return { m: (1 - 0.75 ** 2) * m, v: 0.75 ** 2 + (1 - 0.75 ** 2) * v };
    });
    const [means, variances] = statistics();
    expected.forEach(({ m, v }, c) => {
      expect(means[c]).toBeCloseTo(m, 5);
      expect(variances[c]).toBeCloseTo(v, 5);
    });
    using test = compile({ store: model.store }, { x: [1, 2, 3, 2] }, (t) => ({
      y: model.apply(t.x, { mode: "mean" }).output,
    }));
    const before = statistics();
    const w = model.store.get("out/weight");
    const { y } = test.run({ x: x.subarray(0, 12) });
    const normed = Array.from(x.subarray(0, 12), (p, i) => (p - means[i % 2]) / Math.sqrt(variances[i % 2] + 1e-5));
    for (const k of [0, 1])
      expect(y[k]).toBeCloseTo(
        normed.reduce((a, h, i) => a + h * w[2 * i + k], 0),
        4,
      );
    expect(statistics()).toEqual(before);
  });
});

it("interpret() does what the compiled program does, updates and statistics included, bit for bit", () => {
  const make = () =>
    new Model({
      name: "small",
      input: [5, 5, 2],
      likelihood: categorical(3),
      seed: 2 ** 40 + 3,
      bayes: { prior: gaussianPrior({ sigma: 0.5 }) },
      build: (x) => bayesLinear(flatten(batchNorm2d(bayesConv2d(x, 4, 3))), 3),
    });
  const specs = { x: [4, 5, 5, 2], labels: i32([4]), rng: i32([4]), rows: i32([4]), lr: [], count: i32([]) };
  const step = (model: Model) => (t: Record<keyof typeof specs, Tensor>) => {
    const { output, kl, parameters } = model.apply(t.x, {
      mode: "sample",
      training: true,
      samples: 2,
      noise: { rng: t.rng, rows: t.rows },
    });
    const loss = add(mean(softmaxCrossEntropy(output, t.labels)), mul(kl!, 1e-3));
    const gradients = grad(loss, [...parameters.values()]);
    checkFinite([loss, ...gradients]);
    adam().update(parameters, gradients, t.lr, t.count);
    const weight = [...parameters.values()][0];
    return { loss, again: loss, gradient: gradients[0], weight, seen: reshape(weight, [weight.size]) };
  };
  const feed: Inputs<keyof typeof specs> = {
    x: values(200),
    labels: Int32Array.of(0, 2, 1, 2),
    rng: Int32Array.of(9, 8, 0, 0),
    rows: firstRows(4),
    lr: 0.01,
    count: 1,
  };
  using one = make();
  using two = make();
  using program = compile({ store: one.store }, specs, step(one));
  const compiled = program.run(feed);
  const ops: string[] = [];
  const interpreted = interpret({ store: two.store }, specs, feed, step(two), ({ node }) => ops.push(node.op.name));
  expect(interpreted).toEqual(compiled);
  expect(compiled.seen).toEqual(compiled.weight); // both as the update left them
  expect(ops.at(-1)).toMatch(/adam/);
  for (const name of one.store.slots.keys()) expect([name, two.store.get(name)]).toEqual([name, one.store.get(name)]);
});

it("one program takes models of its own store only", () => {
  const make = () =>
    new Model({ name: "m", input: [1, 1, 2], likelihood: categorical(2), build: (x) => linear(flatten(x), 2) });
  using one = make();
  using two = make();
  expect(() =>
    compile({ store: one.store }, { x: [1, 1, 1, 2] }, ({ x }) => ({ y: two.apply(x, { mode: "mean" }).output })),
  ).toThrow(/received a model with another store/);
});

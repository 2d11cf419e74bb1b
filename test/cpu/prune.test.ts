import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { klPerWeight, sigmaOfRho } from "../../lib/bayes/formulas.ts";
import { gaussianPrior } from "../../lib/bayes/gaussianPrior.ts";
import { alphaPosterior } from "../../lib/bayes/posterior.ts";
import { scaleMixturePrior } from "../../lib/bayes/scaleMixturePrior.ts";
import type { BayesOptions } from "../../lib/bayes/settings.ts";
import { loadCheckpoint, restore, saveCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import { type Dataset, makeDataset } from "../../lib/data/dataset.ts";
import { compile } from "../../lib/graph/compile.ts";
import { constant, type Tensor } from "../../lib/graph/node.ts";
import { bayesConv2d, conv2d } from "../../lib/layers/conv.ts";
import { bayesLinear, linear } from "../../lib/layers/linear.ts";
import { type Categorical, categorical } from "../../lib/likelihoods/categorical.ts";
import { Model } from "../../lib/models/model.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { relu } from "../../lib/ops/relu.ts";
import { predict } from "../../lib/predict/predict.ts";
import { prune, sparsity } from "../../lib/prune/prune.ts";
import { pruneExperiment } from "../../lib/prune/pruneExperiment.ts";
import { fit } from "../../lib/train/fit.ts";
import { l1Penalty } from "../../lib/train/l1.ts";
import { adamw, sgd } from "../../lib/train/optimizers.ts";

const WEIGHTS = 3 * 3 * 4 + 6 * 6 * 4 * 3;

function bayesian(bayes?: BayesOptions): Model<Categorical> {
  return new Model({
    name: "small",
    input: [8, 8, 1],
    likelihood: categorical(3),
    build: (x) => bayesLinear(flatten(relu(bayesConv2d(x, 4, 3, { name: "conv" }))), 3, { name: "fc" }),
    bayes,
  });
}

function frequentist(): Model<Categorical> {
  return new Model({
    name: "small",
    input: [8, 8, 1],
    likelihood: categorical(3),
    build: (x) => linear(flatten(relu(conv2d(x, 4, 3, { name: "conv" }))), 3, { name: "fc" }),
  });
}

/** Bars across, down and along the diagonal, with noise. */
function bars(count: number, seed: number): Dataset {
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const labels = Array.from({ length: count }, (_, i) => i % 3);
  const images = new Float32Array(count * 64);
  labels.forEach((label, n) => {
    const at = Math.floor(random() * 8);
    for (let y = 0; y < 8; y++)
      for (let x = 0; x < 8; x++) {
        const on = label === 0 ? y === at : label === 1 ? x === at : (x + y) % 8 === at;
        images[n * 64 + y * 8 + x] = (on ? 1 : 0) + 0.2 * (random() - 0.5);
      }
  });
  return makeDataset({ images, labels, shape: [8, 8, 1], classes: 3 });
}

const get = (model: Model, name: string): Float32Array => model.store.get(name) as Float32Array;
const masked = (model: Model, slot: string, fill: (i: number) => number): void => {
  const mask = get(model, `mask/${slot.replace(/\/(mu|rho|logAlpha)$/, "")}`);
  model.store.set(
    slot,
    get(model, slot).map((v, i) => (mask[i] === 0 ? fill(i) : v)),
  );
};

const kinds: readonly (readonly [string, () => Model<Categorical>, readonly string[]])[] = [
  ["rho, local", () => bayesian(), ["mu", "rho"]],
  ["rho, weight noise", () => bayesian({ estimator: "weight" }), ["mu", "rho"]],
  ["rho, scale mixture", () => bayesian({ prior: scaleMixturePrior() }), ["mu", "rho"]],
  ["alpha per weight", () => bayesian({ posterior: alphaPosterior() }), ["mu", "logAlpha"]],
  ["alpha per layer", () => bayesian({ posterior: alphaPosterior({ per: "layer" }) }), ["mu"]],
  ["frequentist", frequentist, []],
];

describe("prune", () => {
  it("reaches the sparsity exactly, over the model and by layer", () => {
    using model = bayesian();
    const all = model.parameterCount;
    const r = prune(model, { sparsity: 0.5, score: "magnitude" });
    expect(r.weights).toBe(WEIGHTS);
    expect(r.kept).toBe(WEIGHTS / 2);
    expect(r.parameters).toEqual({ all, kept: all - WEIGHTS });
    expect(r.layers.map((l) => l.name)).toEqual(["conv/weight", "fc/weight"]);
    const zeros = (name: string) => get(model, `mask/${name}`).filter((m) => m === 0).length;
    expect(zeros("conv/weight") + zeros("fc/weight")).toBe(WEIGHTS / 2);
    expect(r.layers[0].sparsity).not.toBe(0.5); // He's larger weights of the convolution stay more often

    using other = bayesian();
    const byLayer = prune(other, { sparsity: 0.5, scope: "layer" });
    expect(byLayer.layers.map((l) => l.kept)).toEqual([18, 216]);
    expect(byLayer.score).toBe("snr");
    expect(sparsity(other)).toMatchObject({ weights: WEIGHTS, kept: WEIGHTS / 2, sparsity: 0.5 });
    expect(prune(other, { sparsity: 0.75, scope: "layer" }).layers.map((l) => l.kept)).toEqual([9, 108]);
  });

  it("keeps the largest of the chosen score", () => {
    using model = bayesian();
    const [mu, rho] = [get(model, "fc/weight/mu"), get(model, "fc/weight/rho")];
    const kl = klPerWeight(mu, sigmaOfRho(rho), { mean: 0, sigma: 0.1 });
    prune(model, { sparsity: 0.4, score: "kl", scope: "layer" });
    const mask = get(model, "mask/fc/weight");
    const worstKept = Math.min(...kl.filter((_, i) => mask[i] === 1));
    expect(Math.max(...kl.filter((_, i) => mask[i] === 0))).toBeLessThan(worstKept);
    expect(mu.filter((m, i) => mask[i] === 1 && m !== get(model, "fc/weight/mu")[i]).length).toBe(0);
  });

  it.each([
    ["N(0, 0.1^2)", gaussianPrior(), { mean: 0, sigma: 0.1 }],
    ["N(0.2, 0.3^2)", gaussianPrior({ mean: 0.2, sigma: 0.3 }), { mean: 0.2, sigma: 0.3 }],
  ])("leaves pruned weights no KL and no gradient of it under %s", (_, prior, moments) => {
    using model = bayesian({ prior });
    prune(model, { sparsity: 0.7 });
    const names = ["conv/weight", "fc/weight"];
    using program = compile({ store: model.store }, { x: [1, 8, 8, 1] }, ({ x }) => {
      const { klTerms, kl, parameters } = model.apply(x, { mode: "mean" });
      const wrt = names.flatMap((n) => [parameters.get(`${n}/mu`)!, parameters.get(`${n}/rho`)!]);
      const gradients = grad(kl!, wrt);
      const terms = names.map((n) => klTerms.find((t) => t.layer === n)!.value);
      return { k0: terms[0], k1: terms[1], m0: gradients[0], r0: gradients[1], m1: gradients[2], r1: gradients[3] };
    });
    const out = program.run({ x: new Float32Array(64) });
    names.forEach((name, k) => {
      const mask = get(model, `mask/${name}`);
      const each = klPerWeight(get(model, `${name}/mu`), sigmaOfRho(get(model, `${name}/rho`)), moments);
      expect(Math.max(...each.filter((_, i) => mask[i] === 0))).toBeLessThan(1e-9);
      const kept = each.filter((_, i) => mask[i] === 1).reduce((a, b) => a + b, 0);
      expect(out[`k${k}` as "k0"][0] / kept).toBeCloseTo(1, 4);
      const [m, r] = [out[`m${k}` as "m0"], out[`r${k}` as "r0"]];
      for (const [i, on] of mask.entries()) {
        if (on) continue;
        expect(Math.abs(m[i])).toBe(0);
        expect(Math.abs(r[i])).toBe(0);
      }
    });
  });

  it("leaves pruned weights N(mu, alpha mu^2) no gradient of the KL", () => {
    using model = bayesian({ posterior: alphaPosterior() });
    prune(model, { sparsity: 0.9, scope: "layer" });
    using program = compile({ store: model.store }, { x: [1, 8, 8, 1] }, ({ x }) => {
      const { klTerms, parameters } = model.apply(x, { mode: "mean" });
      const kl = klTerms.find((t) => t.layer === "fc/weight")!.value;
      const [mu, logAlpha] = grad(kl, [parameters.get("fc/weight/mu")!, parameters.get("fc/weight/logAlpha")!]);
      return { kl, mu, logAlpha };
    });
    const out = program.run({ x: new Float32Array(64) });
    const mask = get(model, "mask/fc/weight");
    expect(Number.isFinite(out.kl[0])).toBe(true);
    for (const [i, on] of mask.entries()) {
      if (on) continue;
      expect(Math.abs(out.mu[i])).toBe(0);
      expect(Math.abs(out.logAlpha[i])).toBe(0);
    }
  });

  it.each(kinds)("takes pruned weights out of every prediction, whatever they hold: %s", async (_, make, parts) => {
    using model = make();
    const data = bars(5, 3);
    prune(model, { sparsity: 0.6, scope: "layer" }); // untrained alphas are all equal
    for (const mode of ["mean", "sample"] as const) {
      const one = await predict(model, data, { samples: 3, mode });
      for (const weight of ["conv/weight", "fc/weight"])
        if (parts.length === 0) masked(model, weight, (i) => 5 + i);
        else for (const part of parts) masked(model, `${weight}/${part}`, (i) => 0.5 + (i % 3));
      expect((await predict(model, data, { samples: 3, mode })).logits).toEqual(one.logits);
    }
  });

  it.each(kinds)("holds the masks through fine-tuning: %s", async (_, make, parts) => {
    using model = make();
    const train = bars(96, 5);
    // moments from before pruning must not carry a weight back in
    await fit(model, { train }, { epochs: 2, batchSize: 32, optimizer: sgd({ momentum: 0.9 }), learningRate: 0.01 });
    prune(model, { sparsity: 0.8 });
    const before = ["conv/weight", "fc/weight"].map((n) => get(model, `mask/${n}`));
    const free = get(model, parts.length ? "fc/weight/mu" : "fc/weight");
    await fit(
      model,
      { train },
      {
        epochs: 3,
        batchSize: 32,
        optimizer: adamw({ weightDecay: 0.1 }),
        learningRate: 0.01,
        penalty: l1Penalty(1e-3),
      },
    );
    expect(["conv/weight", "fc/weight"].map((n) => get(model, `mask/${n}`))).toEqual(before);
    expect(sparsity(model).sparsity).toBe(1 - Math.floor(0.2 * WEIGHTS) / WEIGHTS);
    const tuned = get(model, parts.length ? "fc/weight/mu" : "fc/weight");
    const moved = tuned.filter((v, i) => before[1][i] === 1 && v !== free[i]).length;
    expect(moved).toBeGreaterThan(0.9 * before[1].filter((m) => m === 1).length);
    expect(tuned.every(Number.isFinite)).toBe(true);
    expect(tuned.filter((v, i) => before[1][i] === 0 && v !== free[i]).length).toBe(0); // nothing drifts behind its mask
    const data = bars(4, 9);
    const one = await predict(model, data, { samples: 2 });
    expect(one.logits.every(Number.isFinite)).toBe(true);
    for (const part of parts) masked(model, `fc/weight/${part}`, () => 0.7);
    if (parts.length === 0) masked(model, "fc/weight", () => 0.7);
    expect((await predict(model, data, { samples: 2 })).logits).toEqual(one.logits);
  });

  it("keeps its masks in checkpoints", async () => {
    const folder = mkdtempSync(join(tmpdir(), "prune-"));
    try {
      using model = bayesian();
      prune(model, { sparsity: 0.8 });
      const path = join(folder, "model.safetensors");
      saveCheckpoint(path, model);
      using fresh = bayesian();
      restore(fresh, loadCheckpoint(path));
      expect(sparsity(fresh)).toEqual(sparsity(model));
      masked(fresh, "fc/weight/mu", () => 3);
      const data = bars(4, 1);
      expect((await predict(fresh, data)).logits).toEqual((await predict(model, data)).logits);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each([
    ["closed KL", undefined],
    ["sampled KL", { posterior: alphaPosterior(), kl: "sampled" }],
  ] as const)("goes on pruned when a fine-tuning is resumed by a fresh model: %s", async (_, bayes) => {
    const folder = mkdtempSync(join(tmpdir(), "prune-"));
    try {
      const train = bars(96, 5);
      const recipe = { batchSize: 32, learningRate: 0.01, seed: 4 };
      using whole = bayesian(bayes);
      prune(whole, { sparsity: 0.8, score: "magnitude" });
      await fit(whole, { train }, { ...recipe, epochs: 4 });
      using first = bayesian(bayes);
      prune(first, { sparsity: 0.8, score: "magnitude" });
      await fit(first, { train }, { ...recipe, epochs: 2, runDir: folder });
      using second = bayesian(bayes); // knows of no masks
      await fit(second, { train }, { ...recipe, epochs: 4, runDir: folder, resume: true });
      expect(sparsity(second)).toEqual(sparsity(first));
      for (const { name } of whole.parameters) expect(get(second, name)).toEqual(get(whole, name));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("refuses in one sentence and changes nothing", () => {
    using model = bayesian();
    const slots = [...model.store.slots.keys()];
    const mu = get(model, "fc/weight/mu");
    expect(() => prune(model, { sparsity: 1 })).toThrow("[prune] expected sparsity in [0, 1), received 1");
    expect(() => prune(model, { sparsity: 0.5, score: "luck" as "snr" })).toThrow('score "magnitude", "snr", "kl"');
    expect(() => prune(model, { threshold: 1e9 })).toThrow(
      "[prune conv/weight] expected at least one of 36 weights to stay",
    );
    using plain = frequentist();
    expect(() => prune(plain, { sparsity: 0.5, score: "kl" })).toThrow(
      '[prune conv/weight] expected score "magnitude"',
    );
    using shared = bayesian({ posterior: alphaPosterior({ per: "layer" }) });
    expect(() => prune(shared, { sparsity: 0.5, score: "snr" })).toThrow("share one alpha");
    expect([...model.store.slots.keys()]).toEqual(slots);
    expect(get(model, "fc/weight/mu")).toEqual(mu);
  });
});

describe("l1Penalty", () => {
  it("is lambda times the sum of |mu| of the weights, with lambda sign(mu) as its gradient", () => {
    using model = bayesian();
    using program = compile({ store: model.store }, {}, () => {
      const { parameters } = model.apply(constant(0, [1, 8, 8, 1]), { mode: "mean" });
      const penalty = l1Penalty(0.5)(parameters);
      return { penalty, d: grad(penalty, [parameters.get("conv/weight/mu") as Tensor])[0] };
    });
    const out = program.run({});
    const mus = [...get(model, "conv/weight/mu"), ...get(model, "fc/weight/mu")];
    expect(out.penalty[0] / (0.5 * mus.reduce((s, m) => s + Math.abs(m), 0))).toBeCloseTo(1, 5);
    expect([...out.d]).toEqual(Array.from(get(model, "conv/weight/mu"), (m) => 0.5 * Math.sign(m)));
    expect(() => l1Penalty(-1)).toThrow("lambda");
  });
});

describe("pruneExperiment", () => {
  it("fills a row of the report's table, in rounds", async () => {
    using model = bayesian();
    const [train, test] = [bars(192, 1), bars(96, 2)];
    const recipe = { epochs: 12, batchSize: 32, learningRate: 0.01, beta: 0.1 };
    await fit(model, { train }, recipe);
    const { row, report } = await pruneExperiment(
      model,
      { train, test },
      { sparsity: 0.75, rounds: 3, fineTune: { ...recipe, epochs: 4 }, predict: { samples: 8 } },
    );
    expect(report.sparsity).toBe(0.75);
    expect(row).toMatchObject({ name: "signal to noise, global", sparsity: 0.75, parameters: WEIGHTS / 4 });
    expect(row.before.accuracy).toBeGreaterThan(0.9);
    expect(row.fineTuned!.accuracy).toBeGreaterThan(row.before.accuracy - 0.1);
    expect(row.fineTuned!.nll).toBeLessThan(row.after.nll);
    expect(row.fineTuned!.ece).toBeGreaterThanOrEqual(0);
  });
});

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { peekCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import { compile } from "../../lib/graph/compile.ts";
import type { Tensor } from "../../lib/graph/node.ts";
import { ops } from "../../lib/graph.ts";
import {
  add,
  batchNorm2d,
  bayesLinear,
  categorical,
  conv2d,
  convTranspose2d,
  createModel,
  embeddedMnist,
  exportOnnx,
  fit,
  flatten,
  gaussian,
  gaussianPrior,
  importWeights,
  linear,
  Model,
  maxPool2d,
  openModel,
  posteriorOf,
  prune,
  relu,
  rhoPosterior,
  saveModel,
  subset,
  type ToBayesianOptions,
  toBayesian,
  toFrequentist,
} from "../../lib/index.ts";
import { contents, logits } from "../import-kit.ts";

const dir = mkdtempSync(join(tmpdir(), "to-bayesian-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const at = (name: string) => join(dir, name);

const all = embeddedMnist();
const train = subset(
  all.train,
  Array.from({ length: 96 }, (_, i) => i),
);
const plain = (seed = 2) => createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, bayesian: false, seed });

/** A function of plain layers of every kind, a norm and a layer that is used twice. */
function own(x: Tensor): Tensor {
  let h = maxPool2d(relu(conv2d(x, 4, 5, { name: "body/conv", stride: 2 })), { kernel: 2 });
  h = relu(batchNorm2d(conv2d(h, 4, 3, { name: "body/deep", padding: 1, bias: false }), { name: "body/norm" }));
  h = relu(convTranspose2d(h, 3, 2, { name: "up", stride: 2 }));
  h = relu(linear(flatten(h), 12, { name: "hidden" }));
  h = relu(add(linear(h, 12, { name: "twice" }), linear(relu(h), 12, { name: "twice", share: true })));
  return linear(h, 10, { name: "head" });
}
const ownModel = (seed = 3) => new Model({ input: [28, 28, 1], likelihood: categorical(10), build: own, seed });
const short = { epochs: 1, batchSize: 32, learningRate: 1e-3 } as const;
const sigma = (rho: ArrayLike<number>) => Array.from(rho, (r) => Math.log1p(Math.exp(r)));

/** Means of a layer's weights, wherever they lie. */
const means = ({ store }: Model, name: string) => store.get(store.slots.has(name) ? name : `${name}/mu`);
const klNames = (model: Model): string[] => {
  let names: string[] = [];
  compile({ store: model.store }, { x: [1, ...model.inputShape] }, ({ x }) => {
    const { output, klTerms } = model.apply(x, { mode: "mean" });
    names = klTerms.map((term) => term.layer);
    return { output };
  }).close();
  return names;
};

describe("toBayesian", () => {
  it("keeps the net as means, spreads by their size, and a prior N(w, 1) around them", () => {
    using net = plain();
    using model = toBayesian(net);
    expect(model.bayesian).toBe(true);
    expect(logits(model, 2)).toEqual(logits(net, 2));
    const w = net.store.get("fc1/weight");
    expect(model.store.get("fc1/weight/prior")).toEqual(w);
    const spread = sigma(model.store.get("fc1/weight/rho"));
    w.forEach((v, i) => {
      if (Math.abs(v) > 0.01) expect(spread[i] / (0.1 * Math.abs(v))).toBeCloseTo(1, 4);
    });
    expect(Math.min(...sigma(model.store.get("fc1/bias/rho")))).toBeGreaterThan(0); // biases are zero at first
    expect(model.parameters.some(({ name }) => name.endsWith("/prior"))).toBe(false);
  });

  it("its KL is that to N(w, 1), and pulls a mean back to w", () => {
    using net = plain();
    using model = toBayesian(net, { delta: 0.2 });
    const w = net.store.get("fc3/weight");
    const moved = (w as Float32Array).map((v, i) => v + (i % 3) * 0.1);
    model.store.set("fc3/weight/mu", moved);
    using program = compile({ store: model.store }, { x: [1, 28, 28, 1] }, ({ x }) => {
      const { kl, parameters, klTerms } = model.apply(x, { mode: "mean" });
      const mu = parameters.get("fc3/weight/mu")!;
      return { kl: kl!, own: klTerms.find((t) => t.layer === "fc3/weight")!.value, mu: grad(kl!, [mu])[0] };
    });
    const out = program.run({ x: new Float32Array(784) }) as Record<string, Float32Array>;
    const expected = sigma(model.store.get("fc3/weight/rho")).map(
      (s, i) => -Math.log(s) + (s * s + (moved[i] - w[i]) ** 2 - 1) / 2,
    );
    expect(out.own[0] / expected.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    for (const [i, g] of out.mu.entries()) expect(g).toBeCloseTo(moved[i] - w[i], 5);
    const posterior = posteriorOf(model).find(({ name }) => name === "fc3/weight")!;
    for (const [i, k] of posterior.kl!.entries()) expect(k).toBeCloseTo(expected[i], 4);
  });

  it("makes any function of plain layers Bayesian, and toFrequentist undoes it bit for bit", async () => {
    using net = ownModel();
    await fit(net, { train }, short);
    using model = toBayesian(net);
    expect(klNames(model).sort()).toEqual(
      ["body/conv", "body/deep", "up", "hidden", "twice", "head"]
        .flatMap((layer) => [`${layer}/weight`, ...(layer === "body/deep" ? [] : [`${layer}/bias`])])
        .sort(),
    );
    expect(logits(model, 2)).toEqual(logits(net, 2));
    using back = toFrequentist(model);
    expect(contents(back)).toEqual(contents(net));
    expect(back.bayesian).toBe(false);
    const { history } = await fit(model, { train }, short);
    expect(history[0].kl).toBeGreaterThan(0);
    expect(means(model, "body/conv/weight")).not.toEqual(means(net, "body/conv/weight"));
  });

  it("of a published architecture goes back to the same net", () => {
    using net = plain();
    using back = toFrequentist(toBayesian(net));
    expect(contents(back)).toEqual(contents(net));
    expect(back.config).toMatchObject({ model: "lenet5", bayesian: false, activation: "relu" });
    using without = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, bias: false });
    using twin = toFrequentist(without);
    expect(logits(twin, 2)).toEqual(logits(without, 2));
    expect(Math.max(...twin.store.get("fc2/bias"))).toBe(0);
  });

  it("carries what predictions need, masks and a learned noise", () => {
    using net = new Model({
      input: [4, 4, 1],
      likelihood: gaussian(),
      preprocess: { scale: [0.5], shift: [0.1] },
      build: (x) => linear(flatten(x), 1, { name: "out" }),
    });
    prune(net, { score: "magnitude", sparsity: 0.5 });
    const noise = [...net.store.slots.keys()].find((name) => name.startsWith("likelihood/"))!;
    net.store.set(noise, new Float32Array(net.store.get(noise).length).fill(0.25));
    using model = toBayesian(net);
    expect(model.preprocess).toEqual(net.preprocess);
    expect(model.store.get(noise)).toEqual(net.store.get(noise));
    expect(model.store.get("mask/out/weight")).toEqual(net.store.get("mask/out/weight"));
    expect(logits(model, 3)).toEqual(logits(net, 3));
  });

  it.each<NonNullable<ToBayesianOptions["prior"]>>([
    "tied",
    { kind: "gaussian", mean: "initial", sigma: 0.05 },
    { kind: "gaussian", sigma: 0.5 },
    { kind: "mixture" },
  ])("takes the prior %j", (prior) => {
    using net = plain();
    using model = toBayesian(net, { prior });
    expect(logits(model, 1)).toEqual(logits(net, 1));
    expect(model.store.slots.has("fc1/weight/prior")).toBe(typeof prior === "object" && "mean" in prior);
  });

  it("draws weights, samples the KL and exports as any Bayesian model", async () => {
    using net = new Model({
      input: [28, 28, 1],
      likelihood: categorical(10),
      build: own,
      bayes: { estimator: "weight", kl: "sampled" },
    });
    using model = toBayesian(net, { bayesian: ["head", "body"] });
    expect(klNames(model)).toEqual([]); // there is no closed form that was asked for
    const { history } = await fit(model, { train }, short);
    expect(Number.isFinite(history[0].kl)).toBe(true);
    expect(exportOnnx(model, { mode: "ensemble", samples: 2 }).length).toBeGreaterThan(1000);
  });

  it("says what it does not take, and leaves nothing behind", () => {
    using net = plain();
    using bayesian = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 });
    expect(() => toBayesian(bayesian)).toThrow(/without Bayesian layers \(toFrequentist/);
    expect(() => toFrequentist(net)).toThrow(/with Bayesian layers, received lenet5 without/);
    for (const [options, message] of [
      [{ prior: "mopped" }, /"moped", "tied"/],
      [{ prior: { kind: "gaussian", sigma: -1 } }, /a prior as createModel takes it/],
      [{ prior: gaussianPrior() }, /as a configuration/],
      [{ delta: 0 }, /delta above 0/],
      [{ delta: Number.NaN }, /delta to be a finite number/],
      [{ freeze: ["conv9"] }, /freeze among the layers conv1, conv2/],
      [{ freeze: "conv1" }, /freeze as object or function/],
      [{ freeze: () => 1 }, /true or false/],
      [{ freeze: () => true }, /a layer that becomes Bayesian/],
      [{ bayesian: ["fc4"] }, /bayesian among the layers/],
      [{ bayesian: ["fc1"], freeze: ["fc1"] }, /Bayesian or frozen, not both, received fc1/],
      [{ layers: ["fc1"] }, /options among/],
    ] as [object, RegExp][])
      expect(() => toBayesian(net, options as never), JSON.stringify(options)).toThrow(message);
    expect(() => toBayesian({} as never)).toThrow(/a Model/);
  });
});

describe("frozen layers", () => {
  const head = (net: Model) => toBayesian(net, { freeze: (layer) => layer !== "head", seed: 7 });

  it("keep every bit, their norms' statistics too, and only what is Bayesian counts in the KL", async () => {
    using net = ownModel();
    using model = head(net);
    expect(klNames(model)).toEqual(["head/weight", "head/bias"]);
    expect(model.frozen).toEqual(["body/conv", "body/deep", "body/norm", "up", "hidden", "twice"]);
    const before = contents(model);
    await fit(model, { train }, { ...short, epochs: 2 });
    const after = contents(model);
    for (const [slot, values] of Object.entries(before))
      if (!slot.startsWith("head/") || slot.endsWith("/prior")) expect(after[slot], slot).toEqual(values);
      else expect(after[slot], slot).not.toEqual(values);
  });

  it("of fit: by names, what is below a name, or a function; and none where fit says so", async () => {
    for (const freeze of [["body", "up"], (layer: string) => layer.startsWith("body") || layer === "up"]) {
      using net = ownModel();
      const before = contents(net);
      await fit(net, { train }, { ...short, freeze });
      const after = contents(net);
      for (const [slot, values] of Object.entries(before))
        expect(JSON.stringify(after[slot]) === JSON.stringify(values), slot).toBe(/^(body|up)\//.test(slot));
    }
    using net = ownModel();
    using model = head(net);
    const before = model.store.get("body/conv/weight");
    await fit(model, { train }, { ...short, freeze: [] });
    expect(model.store.get("body/conv/weight")).not.toEqual(before);
  });

  it("train as if the rest were data: the gradients of what is trained are those of the whole net", async () => {
    using net = ownModel();
    const gradients = (frozen: readonly string[]) => {
      using program = compile({ store: net.store }, { x: [4, 28, 28, 1] }, ({ x }) => {
        const { output, parameters } = net.apply(x, { mode: "mean", frozen });
        const w = parameters.get("head/weight")!;
        return { g: grad(ops.sum(output), [w])[0] };
      });
      return program.run({ x: Float32Array.from({ length: 4 * 784 }, (_, i) => (i % 17) / 17) }).g;
    };
    expect(gradients(["body", "hidden"])).toEqual(gradients([]));
  });

  it("a run that was stopped and resumed ends with the bits of one that was not; another choice is another run", async () => {
    const run = async (name: string, stop: boolean) => {
      using net = ownModel();
      using model = head(net);
      const options = { ...short, epochs: 3, runDir: at(name), chunk: 1 };
      if (stop) {
        const controller = new AbortController();
        const onStep = ({ step }: { step: number }) => step === 3 && controller.abort();
        await fit(model, { train }, { ...options, callbacks: { onStep }, signal: controller.signal });
      }
      const result = await fit(model, { train }, { ...options, resume: stop });
      expect(result.end).toBe("finished");
      return contents(model);
    };
    expect(await run("stopped", true)).toEqual(await run("whole", false));
    using net = ownModel();
    using model = head(net);
    await expect(
      fit(model, { train }, { ...short, epochs: 3, runDir: at("whole"), resume: true, freeze: ["body"] }),
    ).rejects.toThrow(/frozen/);
  });

  it("says what it does not take", async () => {
    using net = ownModel();
    const before = contents(net);
    for (const [freeze, message] of [
      [["bodies"], /freeze among the layers body\/conv/],
      ["body", /freeze as object or function/],
      [() => "yes", /true or false/],
      [() => true, /freeze to leave a layer that is trained/],
    ] as [never, RegExp][])
      await expect(fit(net, { train }, { ...short, freeze })).rejects.toThrow(message);
    expect(contents(net)).toEqual(before);
    const config = { model: "lenet5", input: [28, 28, 1], classes: 10 } as const;
    expect(() => createModel({ ...config, layers: { frozen: ["conv3"] } })).toThrow(/layers\.frozen among the layers/);
    expect(() => createModel({ ...config, layers: { bayesian: ["conv3"] } })).toThrow(/layers\.bayesian among/);
    expect(() => createModel({ ...config, layers: { bayesian: 1 } as never })).toThrow(/layers\.bayesian/);
  });
});

describe("a file of such a model", () => {
  it("of a published architecture has its prior as tensors, and opens by itself", async () => {
    using net = plain();
    using model = toBayesian(net, { freeze: ["conv1"] });
    await fit(model, { train }, short);
    saveModel(model, at("moped.safetensors"));
    expect(JSON.stringify(peekCheckpoint(at("moped.safetensors"))).length).toBeLessThan(4000);
    using opened = openModel(at("moped.safetensors"));
    expect(contents(opened)).toEqual(contents(model));
    expect(opened.frozen).toEqual(["conv1"]);
    expect(opened.config).toEqual(model.config);
    expect(opened.store.get("fc1/weight/prior")).toEqual(net.store.get("fc1/weight"));
    expect(logits(opened, 2)).toEqual(logits(model, 2));
  });

  it("of one's own function opens with that function alone; with a prior object, with it", () => {
    using net = ownModel();
    using model = toBayesian(net, { bayesian: ["head", "hidden"], freeze: ["body"] });
    saveModel(model, at("own.safetensors"));
    using opened = openModel(at("own.safetensors"), { build: own });
    expect(contents(opened)).toEqual(contents(model));
    expect(opened.frozen).toEqual(model.frozen);

    using other = toBayesian(net, { prior: gaussianPrior({ mean: "initial", sigma: 0.3 }) });
    saveModel(other, at("prior.safetensors"));
    expect(() => openModel(at("prior.safetensors"), { build: own })).toThrow(/\/prior/);
    using again = openModel(at("prior.safetensors"), {
      build: own,
      bayes: { prior: gaussianPrior({ mean: "initial", sigma: 0.3 }) },
    });
    expect(contents(again)).toEqual(contents(other));
    using back = toFrequentist(model);
    saveModel(back, at("back.safetensors"));
    using plainAgain = openModel(at("back.safetensors"), { build: own });
    expect(plainAgain.bayesian).toBe(false);
  });
});

describe("layers of a model", () => {
  it("are Bayesian or plain as the option says, whatever they are called", () => {
    const build = (x: Tensor) => bayesLinear(relu(bayesLinear(flatten(x), 4, { name: "a" })), 3, { name: "b" });
    const model = (bayesian?: boolean | string[]) =>
      new Model({ input: [2, 2, 1], likelihood: categorical(3), build, layers: { bayesian } });
    const slots = (bayesian?: boolean | string[]) => {
      using m = model(bayesian);
      return [...m.store.slots.keys()].filter((name) => name.endsWith("/mu"));
    };
    expect(slots()).toEqual(["a/weight/mu", "a/bias/mu", "b/weight/mu", "b/bias/mu"]);
    expect(slots(false)).toEqual([]);
    expect(slots(["b"])).toEqual(["b/weight/mu", "b/bias/mu"]);
  });

  it("a MOPED model takes imported weights as means and as the prior's", () => {
    using net = plain(4);
    using model = toBayesian(net);
    using other = plain(5);
    saveModel(other, at("other.safetensors"));
    importWeights(model, at("other.safetensors"));
    for (const part of ["mu", "prior"])
      expect(model.store.get(`fc2/weight/${part}`)).toEqual(other.store.get("fc2/weight"));
  });

  it("an own posterior whose mean is no parameter is refused by the prior", () => {
    const posterior = {
      name: "shifted",
      weight(name: string, shape: readonly number[], fanIn: number) {
        const w = rhoPosterior().weight(name, shape, fanIn);
        const mu = add(w.mu, w.mu);
        return {
          ...w,
          mu,
          closedKl: (prior: { klRho?: (...a: never[]) => Tensor }) => prior.klRho?.(...([mu, w.mu, name] as never[])),
        };
      },
    };
    const build = (x: Tensor) => bayesLinear(flatten(x), 3, { name: "a" });
    const bayes = { prior: gaussianPrior({ mean: "initial" }), posterior };
    expect(() => new Model({ input: [2, 2, 1], likelihood: categorical(3), build, bayes: bayes as never })).toThrow(
      /whose mean is a parameter/,
    );
  });
});

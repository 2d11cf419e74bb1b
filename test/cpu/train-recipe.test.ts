// What fit does when nothing is said about the recipe: on few images and on many.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { rhoPosterior } from "../../lib/bayes/posterior.ts";
import { makeDataset } from "../../lib/data/dataset.ts";
import { bayesLinear } from "../../lib/layers/linear.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { gaussian } from "../../lib/likelihoods/gaussian.ts";
import { Model } from "../../lib/models/model.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { type FitOptions, fit } from "../../lib/train/fit.ts";
import { random } from "../ops/harness.ts";

const tmp = mkdtempSync(join(tmpdir(), "bayescnn-recipe-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

const dots = (count: number) => {
  const next = random(count);
  const labels = Int32Array.from({ length: count }, (_, i) => i % 2);
  const images = Uint8Array.from({ length: count * 4 }, (_, i) => 100 * labels[Math.floor(i / 4)] + 60 * next());
  return makeDataset({ name: "dots", images, labels, shape: [2, 2, 1], classes: 2 });
};
const model = (posterior?: ReturnType<typeof rhoPosterior>) =>
  new Model({
    name: "dots",
    input: [2, 2, 1],
    likelihood: categorical(2),
    build: (x) => bayesLinear(flatten(x), 2, { name: "fc" }),
    bayes: posterior ? { posterior } : {},
    seed: 5,
  });
const weights = (m: Model) => Object.fromEntries([...m.store.slots.keys()].map((name) => [name, m.store.get(name)]));
const rhoOf = (m: Model) => (m.store.get("fc/weight/rho") as Float32Array).reduce((a, b) => a + b, 0) / 8;

async function trained(count: number, options: FitOptions = {}, posterior?: ReturnType<typeof rhoPosterior>) {
  using m = model(posterior);
  const notes: string[] = [];
  const result = await fit(
    m,
    { train: dots(count) },
    { callbacks: { onNote: (note) => notes.push(note) }, ...options },
  );
  return { weights: weights(m), result, notes, rho: rhoOf(m) };
}

describe("fit with nothing said", () => {
  it("on many images is the recipe of the defaults, bit for bit", async () => {
    const own = await trained(5000);
    const said = await trained(5000, { epochs: 20, batchSize: 128, beta: 0.1, initialSigma: 0 });
    expect(own.weights).toEqual(said.weights);
    expect(own.notes).toEqual([]);
    expect(own.result.recipe).toMatchObject({ epochs: 20, batchSize: 128, beta: 0.1, initialSigma: 0, why: {} });
  });

  it("on few images is the one that suits them, and says so", async () => {
    const own = await trained(100);
    const said = await trained(100, { epochs: 125, batchSize: 32, beta: 0.02, initialSigma: 0.5 });
    expect(own.weights).toEqual(said.weights);
    expect(own.result.steps).toBe(500);
    expect(own.result.recipe).toMatchObject({ epochs: 125, batchSize: 32, beta: 0.02, initialSigma: 0.5 });
    expect(own.notes).toEqual([expect.stringMatching(/^chosen for 100 training images: .*125 epochs/)]);
    expect(said.notes).toEqual([]);
    const narrow = await trained(100, { initialSigma: 0 });
    expect(narrow.rho).toBeLessThan(own.rho - 1);
  });

  it("begins as a model that was made as wide, and leaves one alone that says itself how wide it is", async () => {
    const before = { epochs: 1, learningRate: 0 };
    using fresh = model();
    const mu = fresh.store.get("fc/weight/mu") as Float32Array;
    const rms = Math.sqrt(mu.reduce((sum, m) => sum + m * m, 0) / mu.length);
    const wide = await trained(100, before);
    const made = await trained(100, before, rhoPosterior({ rhoInit: Math.log(Math.expm1(rms / 2)) }));
    expect(wide.weights["fc/weight/rho"]).toEqual(made.weights["fc/weight/rho"]);
    for (const rhoInit of [-5, -2]) {
      const { rho, result } = await trained(100, before, rhoPosterior({ rhoInit }));
      expect(rho).toBeCloseTo(rhoInit, 0);
      expect(result.recipe!.initialSigma).toBe(0);
    }
    await expect(trained(100, { initialSigma: 0.2 }, rhoPosterior({ rhoInit: -5 }))).rejects.toThrow(
      /expected initialSigma with rhoPosterior\(\) and no rhoInit, received "rho\(-5, he\)"/,
    );
  });

  it("of numbers begins narrow, unless asked", async () => {
    const numbers = () =>
      new Model({
        input: [2, 2, 1],
        likelihood: gaussian(),
        build: (x) => bayesLinear(flatten(x), 1, { name: "fc" }),
        seed: 5,
      });
    const { images, shape } = dots(40);
    const train = makeDataset({ name: "numbers", images, shape, targets: new Float32Array(40).map((_, i) => i % 3) });
    for (const [asked, given] of [
      [undefined, 0],
      [0.5, 0.5],
    ]) {
      using m = numbers();
      const { recipe } = await fit(m, { train }, { epochs: 1, ...(asked ? { initialSigma: asked } : {}) });
      expect(recipe!.initialSigma).toBe(given);
      const rho = (m.store.get("fc/weight/rho") as Float32Array)[0];
      expect(rho > -4).toBe(asked !== undefined);
    }
  });

  it("does not widen what has been trained", async () => {
    using m = model();
    await fit(m, { train: dots(100) }, { epochs: 2 });
    const rho = (m.store.get("fc/weight/rho") as Float32Array).slice();
    const again = await fit(m, { train: dots(100) }, { epochs: 1, learningRate: 0 });
    expect(m.store.get("fc/weight/rho")).toEqual(rho);
    expect(again.recipe).toMatchObject({ initialSigma: 0 });
    expect(again.recipe!.why.initialSigma).toBeUndefined();
  });

  it("is the same when it is stopped and gone on with", async () => {
    const whole = await trained(60, { epochs: 4 });
    const stop = new AbortController();
    const options = { epochs: 4, runDir: join(tmp, "run"), chunk: 1 };
    const onStep = ({ step }: { step: number }) => {
      if (step === 2) stop.abort();
    };
    expect((await trained(60, { ...options, signal: stop.signal, callbacks: { onStep } })).result.stopped).toBe(true);
    const rest = await trained(60, { ...options, resume: true });
    const trainedOnes = Object.keys(whole.weights);
    for (const name of trainedOnes) expect(rest.weights[name]).toEqual(whole.weights[name]);
  });
});

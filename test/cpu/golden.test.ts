import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { decodeSafetensors } from "../../lib/checkpoints/safetensors.ts";
import { compile } from "../../lib/graph/compile.ts";
import { constant } from "../../lib/graph/node.ts";
import { createModel } from "../../lib/models/create.ts";
import { add } from "../../lib/ops/add.ts";
import { gaussianNoise } from "../../lib/ops/gaussianNoise.ts";
import { mean } from "../../lib/ops/mean.ts";
import { scale } from "../../lib/ops/scale.ts";
import { softmaxCrossEntropy } from "../../lib/ops/softmaxCrossEntropy.ts";
import { sgd } from "../../lib/train/optimizers.ts";
import { seedKey } from "../../lib/util/philox.ts";

/**
 * Ten training steps of LeNet-5 against PyTorch float64 (test/golden/README.md): noise, logits, loss, KL and the gradient
 * of every tensor, with the parameters put back on the golden trajectory before each step; then ten steps on our own.
 */
const folder = new URL("../golden/", import.meta.url);
const golden = JSON.parse(readFileSync(new URL("lenet5.json", folder), "utf8"));
const { tensors } = decodeSafetensors(gunzipSync(readFileSync(new URL("lenet5.safetensors.gz", folder))), "golden");
const { steps, batch, dataSize, learningRate, priorSigma, beta, seed, noiseCases, layers, scalars } = golden;

// the contract says 1e-4; float32 comes within 1e-6
const TOLERANCE = 1e-5;

const get = (name: string): Float32Array => {
  const tensor = tensors.get(name);
  if (!tensor) throw new Error(`no ${name} in the golden file`);
  return Float32Array.from(tensor.data as Float32Array);
};

const model = createModel({
  model: "lenet5",
  input: [28, 28, 1],
  classes: 10,
  prior: { kind: "gaussian", sigma: priorSigma },
});
const names = model.parameters.map((slot) => slot.name);
const theirs = (name: string) => name.replaceAll("/", ".");
const i32 = (shape: readonly number[]) => ({ shape, dtype: "i32" as const });

function build(update: boolean) {
  return compile(
    { store: model.store },
    { x: [batch, 28, 28, 1], labels: i32([batch]), rng: i32([4]), lr: [] },
    (t) => {
      const rows = constant(Int32Array.from({ length: batch }, (_, row) => row));
      const noise = { rng: t.rng, rows };
      const { output, kl, parameters } = model.apply(t.x, { mode: "sample", training: true, noise });
      const nll = mean(softmaxCrossEntropy(output, t.labels));
      const loss = add(nll, scale(kl!, beta / dataSize, 0));
      const gradients = grad(loss, [...parameters.values()]);
      if (update) sgd().update(parameters, gradients, t.lr, constant(Int32Array.of(1), []));
      const named = [...parameters.keys()].map((name, i) => [name, gradients[i]]);
      return { loss, nll, kl: kl!, logits: output, ...Object.fromEntries(named) };
    },
  );
}

const pixels = get("images").map((byte) => byte / 255);
const feeds = (step: number) => ({
  x: pixels.slice(step * batch * 784, (step + 1) * batch * 784),
  labels: Int32Array.from(get("labels")).slice(step * batch, (step + 1) * batch),
  rng: Int32Array.of(...seedKey(seed), step, 0),
  lr: learningRate,
});
const begin = () => {
  for (const name of names) model.store.set(name, get(`parameter.${theirs(name)}`));
};
const largest = (values: ArrayLike<number>) => Array.from(values).reduce((m, x) => Math.max(m, Math.abs(x)), 0);
const distance = (a: ArrayLike<number>, b: ArrayLike<number>) => largest(Array.from(a, (x, i) => x - b[i]));

afterAll(() => model.close());

describe("the golden LeNet-5", () => {
  it("has our parameters, in our layout and with our streams", () => {
    const stored = [...tensors.keys()].filter((name) => name.startsWith("parameter."));
    expect(names.map((name) => `parameter.${theirs(name)}`).sort()).toEqual(stored.sort());
    for (const slot of model.parameters)
      expect(tensors.get(`parameter.${theirs(slot.name)}`)?.shape).toEqual(slot.shape);
    for (const { name, stream } of layers) expect(model.store.streams.get(name)).toBe(stream);
  });

  it("draws our noise", () => {
    for (const { name, stream } of layers) {
      const { shape, data } = tensors.get(`noise.${name}`)!;
      for (const [i, { step, row }] of noiseCases.entries()) {
        using program = compile({ store: model.store }, { rng: i32([4]), rows: i32([1]) }, ({ rng, rows }) => ({
          eps: gaussianNoise({ rng, rows, stream, samples: 1 }, shape.slice(1)),
        }));
        const { eps } = program.run({ rng: Int32Array.of(...seedKey(seed), step, 0), rows: Int32Array.of(row) });
        const stored = (data as Float64Array).slice(i * eps.length, (i + 1) * eps.length);
        expect(distance(eps, stored)).toBeLessThan(2e-6);
      }
    }
  });

  it("has our logits, losses and gradients at every step of its trajectory", () => {
    using program = build(false);
    begin();
    const logits = get("logits");
    for (let step = 0; step < steps; step++) {
      const out: Record<string, Float32Array> = program.run(feeds(step));
      for (const name of ["loss", "nll", "kl"]) expect(out[name][0] / scalars[step][name], name).toBeCloseTo(1, 5);
      const stored = logits.slice(step * batch * 10, (step + 1) * batch * 10);
      expect(distance(out.logits, stored)).toBeLessThan(1e-4 * largest(stored));
      for (const name of names) {
        const gradient = get(`gradient.${step}.${theirs(name)}`);
        const error = distance(out[name], gradient) / largest(gradient);
        expect(error, `step ${step}, ${name}`).toBeLessThanOrEqual(TOLERANCE);
        const next = model.store.get(name).map((p, i) => Math.fround(p - learningRate * gradient[i]));
        model.store.set(name, next);
      }
    }
  });

  it("has our losses when we run freely from its first parameters", () => {
    using program = build(true);
    begin();
    for (let step = 0; step < steps; step++) {
      const { loss, nll } = program.run(feeds(step)) as Record<string, Float32Array>;
      expect(Math.abs(loss[0] - scalars[step].loss), `step ${step}`).toBeLessThan(1e-3);
      expect(Math.abs(nll[0] - scalars[step].nll), `step ${step}`).toBeLessThan(1e-3);
    }
  });
});

// A run can be stopped after any step, whatever the samples and the last batch, and what it wrote can be read and gone on
// with bit for bit; what could not be read is not written.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadCheckpoint, saveCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import type { TrainingState } from "../../lib/checkpoints/state.ts";
import { bayesLinear } from "../../lib/layers/linear.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { Model } from "../../lib/models/model.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { maxPool2d } from "../../lib/ops/maxPool2d.ts";
import { type FitOptions, fit } from "../../lib/train/fit.ts";
import { constantRate, type LearningRate, plateauRate } from "../../lib/train/schedules.ts";
import { bits, CLASSES, eachRun, head, data as sets, unit, withoutWall } from "./train-kit.ts";

let folder = "";
eachRun((given) => {
  folder = given;
});
const train = head(sets.train, 22); // two batches of 8 and one of 6
const valid = head(sets.valid, 5);
const tiny = (config?: Record<string, unknown>) =>
  new Model({
    name: "tiny",
    input: [12, 12, 1],
    likelihood: categorical(CLASSES),
    preprocess: unit,
    seed: 1,
    build: (x) => bayesLinear(flatten(maxPool2d(x, { kernel: 4 })), CLASSES, { name: "fc" }),
    ...(config ? { config } : {}),
  });
const common: FitOptions = { epochs: 2, batchSize: 8, beta: 1, learningRate: 0.01, seed: 5 };

async function run(options: Partial<FitOptions>, stopAfter?: number, validated = options.evaluate !== undefined) {
  using model = tiny();
  const abort = new AbortController();
  const onStep = ({ step }: { step: number }) => step + 1 === stopAfter && abort.abort();
  const { wall: _, ...result } = await fit(
    model,
    { train, ...(validated ? { valid } : {}) },
    { ...common, chunk: 1, signal: abort.signal, callbacks: { onStep: (r) => void onStep(r) }, ...options },
  );
  return { result, bits: bits(model) };
}
const metrics = () => withoutWall(readFileSync(join(folder, "metrics.jsonl"), "utf8"));

describe("a run stopped after any step", () => {
  it.each([1, 2, 3, 4])("goes on as if it had not been, %i samples", async (samples) => {
    const at = folder;
    folder = `${at}-whole`;
    const whole = { ...(await run({ samples, runDir: folder })), metrics: metrics() };
    expect(whole.result.steps).toBe(6);
    for (let step = 1; step < 6; step++) {
      folder = `${at}-${step}`;
      const stopped = await run({ samples, runDir: folder }, step);
      expect(stopped.result).toMatchObject({ end: "aborted", steps: step });
      const { counts, seen } = loadCheckpoint(join(folder, "checkpoint.safetensors")).training!.sums;
      const right = counts.accuracy ?? 0;
      expect(Number.isInteger(right) && right <= seen * samples).toBe(true);
      const resumed = await run({ samples, runDir: folder, resume: true });
      expect({ ...resumed, metrics: metrics() }, `stopped after ${step}`).toEqual(whole);
    }
  });

  it("also where a validation is due, which is not waited for but made up for", async () => {
    const at = folder;
    folder = `${at}-whole`;
    const whole = { ...(await run({ runDir: folder }, undefined, true)), metrics: metrics() };
    folder = at;
    const stopped = await run({ runDir: folder }, 3, true); // three steps are an epoch
    expect(stopped.result).toMatchObject({ end: "aborted", steps: 3, history: [] });
    const resumed = await run({ runDir: folder, resume: true }, undefined, true);
    expect({ ...resumed, metrics: metrics() }).toEqual(whole);
    expect(whole.result.history).toHaveLength(2);
  });

  it("keeps the best value of a figure that is 0, and a plateau's memory", async () => {
    const options = {
      evaluate: async () => ({ accuracy: -0, nll: 1 }),
      monitor: "accuracy",
      learningRate: plateauRate(0.01, { patience: 1 }),
      epochs: 3,
    };
    const at = folder;
    const whole = await run({ ...options, runDir: `${at}-whole` });
    await run({ ...options, runDir: at }, 4);
    const resumed = await run({ ...options, runDir: at, resume: true });
    expect(resumed).toEqual(whole); // tells 0 from -0
    expect(whole.result.best).toEqual({ value: 0, step: 3 });
  });
});

describe("what a schedule says", () => {
  const broken = (value: unknown): LearningRate => ({
    ...constantRate(0.01),
    name: "broken",
    at: ({ step }) => (step === 1 ? (value as number) : 0.01),
  });
  it.each([Number.NaN, Infinity, undefined, "0.1"])("is refused before the step if it is %s", async (value) => {
    using model = tiny();
    let before: unknown;
    const callbacks = { onStep: () => void (before = bits(model)) };
    const chunk = 1;
    await expect(fit(model, { train }, { ...common, learningRate: broken(value), chunk, callbacks })).rejects.toThrow(
      /\[fit: step 1\] expected the learning rate to be a finite number, received/,
    );
    expect(bits(model)).toEqual(before);
    const beta = { name: "broken", at: () => value as number };
    await expect(fit(model, { train }, { ...common, beta })).rejects.toThrow(
      /\[fit: step 0\] expected beta to be a finite/,
    );
  });

  it("and remembers is refused when it is saved, not when it is read", async () => {
    const learn = () => ({ best: Infinity, waited: 0, drops: 0 });
    const options = {
      evaluate: async () => ({ nll: 1 }),
      learningRate: { ...constantRate(0.01), learn },
      runDir: folder,
    };
    await expect(run(options)).rejects.toThrow(/a state that a checkpoint can hold, received training\.plateau\.best/);
  });
});

describe("a checkpoint", () => {
  const finite = fc.double({ noNaN: true, noDefaultInfinity: true });
  const count = fc.nat();
  const state = (number: fc.Arbitrary<number>, counts: fc.Arbitrary<number>): fc.Arbitrary<TrainingState> =>
    fc.record(
      {
        step: counts,
        epochs: counts,
        sums: fc.record({
          steps: counts,
          loss: number,
          nll: number,
          kl: number,
          counts: fc.dictionary(fc.string(), number),
          seen: counts,
        }),
        history: fc.array(
          fc.record(
            {
              epoch: counts,
              step: counts,
              loss: number,
              nll: number,
              metrics: fc.dictionary(fc.string(), number),
              lr: number,
              kl: number,
              valid: fc.dictionary(fc.string(), number),
            },
            { requiredKeys: ["epoch", "step", "loss", "nll", "metrics", "lr"] },
          ),
          { maxLength: 3 },
        ),
        plateau: fc.record({ best: number, waited: counts, drops: counts }),
        best: fc.record({ value: number, step: counts, waited: counts }),
        ended: fc.boolean(),
        settings: fc.dictionary(fc.string(), fc.jsonValue() as fc.Arbitrary<null>),
      },
      { requiredKeys: ["step", "epochs", "sums", "history", "ended", "settings"] },
    );
  /** As JSON leaves it: without -0. */
  const plain = (value: unknown) => JSON.parse(JSON.stringify(value));

  it("brings back every number of a state that training can be in", () => {
    using model = tiny();
    const path = `${folder}.safetensors`;
    fc.assert(
      fc.property(state(finite, count), (training) => {
        fc.pre(!JSON.stringify(training).includes("__proto__"));
        saveCheckpoint(path, model, training);
        expect(plain(loadCheckpoint(path).training)).toEqual(plain(training));
      }),
      { numRuns: 150 },
    );
  });

  it("is written if it can be read, and refused in one sentence if not, the older one being kept", () => {
    using model = tiny();
    const path = `${folder}.safetensors`;
    saveCheckpoint(path, model);
    const odd = fc.oneof(
      { weight: 30, arbitrary: finite },
      fc.constantFrom(Number.NaN, Infinity, -Infinity, -1, 0.5, 2 ** 60),
    );
    let refused = 0;
    fc.assert(
      fc.property(state(odd, fc.oneof({ weight: 30, arbitrary: count }, odd)), (training) => {
        const before = readFileSync(path);
        try {
          saveCheckpoint(path, model, training);
        } catch (error) {
          refused++;
          expect((error as Error).message).toMatch(/^\[.*\] expected a model and a state .{0,200}$/);
          expect(readFileSync(path).equals(before)).toBe(true);
          return;
        }
        expect(plain(loadCheckpoint(path).training)).toEqual(plain(training));
      }),
      { numRuns: 150 },
    );
    expect(refused).toBeGreaterThan(10);
  });

  it("of a model whose config is no JSON cannot be: there is no such model", () => {
    const loop: Record<string, unknown> = {};
    loop.loop = loop;
    let deep: unknown = 1;
    for (let i = 0; i < 20_000; i++) deep = [deep];
    for (const config of [{ size: 1n }, { make: () => 1 }, { x: Number.NaN }])
      expect(() => tiny(config)).toThrow(/expected config\.(size|make|x) as JSON can hold it, received /);
    for (const config of [loop, { deep }]) expect(() => tiny(config)).toThrow(/nested no deeper than 100/);
  });

  it("of a node whose stream it would lose is refused", () => {
    using model = tiny();
    model.store.setStreams(Object.fromEntries([...model.store.streams, ["__proto__", 7]]));
    expect(() => saveCheckpoint(`${folder}.safetensors`, model)).toThrow(/a name that it cannot/);
  });
});

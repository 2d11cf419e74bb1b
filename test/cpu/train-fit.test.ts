// Training as it should go: what a step computes, the same bits however it is run, and validation.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadCheckpoint, restore } from "../../lib/checkpoints/checkpoint.ts";
import { loadMnist } from "../../lib/data/mnist.ts";
import { createModel } from "../../lib/models/create.ts";
import { setThreads } from "../../lib/native/device.ts";
import { add } from "../../lib/ops/add.ts";
import { scale } from "../../lib/ops/scale.ts";
import { square } from "../../lib/ops/square.ts";
import { sum } from "../../lib/ops/sum.ts";
import { type FitOptions, type FitResult, fit as fitModel, type StepRecord } from "../../lib/train/fit.ts";
import { adam, adamw, sgd } from "../../lib/train/optimizers.ts";
import { plateauRate } from "../../lib/train/schedules.ts";
import { random } from "../ops/harness.ts";
import { bits, common, data, eachRun, head, tinyBayes, tinyPlain, train, unit, withoutWall } from "./train-kit.ts";

let runDir = "";
eachRun((folder) => {
  runDir = folder;
});

const metrics = (folder: string) => withoutWall(readFileSync(join(folder, "metrics.jsonl"), "utf8"));
const reproducible = ({ wall: _, ...rest }: FitResult) => rest;

describe("fit", () => {
  it("learns", async () => {
    const { result } = await train({ epochs: 12, learningRate: 0.02, beta: 0.01 });
    expect(result.end).toBe("finished");
    expect(result.history).toHaveLength(12);
    expect(result.steps).toBe(84);
    expect(result.history[0].loss).toBeGreaterThan(result.history[11].loss);
    expect(result.history[11].valid?.accuracy).toBeGreaterThan(0.9);
  });

  it("trains the twin with plain weights, without a KL term", async () => {
    const { result, steps } = await train({ epochs: 12, learningRate: 0.02 }, tinyPlain);
    expect(result.history[11].valid?.accuracy).toBeGreaterThan(0.9);
    for (const r of [...steps, ...result.history]) {
      expect(r).not.toHaveProperty("kl");
      expect(r).not.toHaveProperty("beta");
    }
    expect(steps[5].loss).toBe(steps[5].nll);
  });

  it("learns in bf16, along nearly the same path", async () => {
    const options = { epochs: 12, learningRate: 0.02, beta: 0.01 };
    for (const make of [tinyBayes, tinyPlain]) {
      const [half, full] = [await train({ ...options, precision: "bf16" }, make), await train(options, make)];
      expect(half.result.history[11].valid?.accuracy).toBeGreaterThan(0.9);
      expect(half.steps[0].nll).not.toBe(full.steps[0].nll);
      expect(half.steps[0].nll).toBeCloseTo(full.steps[0].nll, 2);
      expect(half.bits).not.toEqual(full.bits);
    }
  });

  it("adds (beta / N) KL to the mean NLL, N = the training examples", async () => {
    const { steps } = await train({ beta: 0.5 });
    for (const { loss, nll, kl } of steps) expect(loss).toBeCloseTo(nll + (0.5 / 200) * kl!, 4);
  });

  it("adds a penalty of the parameters", async () => {
    const penalty: FitOptions["penalty"] = (parameters) =>
      [...parameters.values()].map((p) => scale(sum(square(p)), 0.01, 0)).reduce((a, b) => add(a, b));
    const { steps } = await train({ penalty, epochs: 1 }, tinyPlain);
    const plain = await train({ epochs: 1 }, tinyPlain);
    expect(steps[0].nll).toBe(plain.steps[0].nll);
    expect(steps[0].loss).toBeGreaterThan(steps[0].nll);
  });

  it("sees every example once an epoch, and reports accuracy over all samples", async () => {
    const { steps, result } = await train({ samples: 3, epochs: 1 });
    expect(steps).toHaveLength(7);
    for (const { metrics } of steps.slice(0, 6))
      expect(metrics.accuracy * 32 * 3).toBeCloseTo(Math.round(metrics.accuracy * 96), 9);
    expect(steps[6].metrics.accuracy * 24).toBeCloseTo(Math.round(steps[6].metrics.accuracy * 24), 9);
    const mean = steps.reduce((s, r, i) => s + r.nll * (i < 6 ? 32 : 8), 0) / 200;
    expect(result.history[0].nll).toBeCloseTo(mean, 12);
  });

  it("clips by the global norm", async () => {
    const one = { epochs: 1, learningRate: 1, optimizer: sgd() };
    const at = async (clipNorm?: number) => {
      using model = tinyPlain();
      const start = model.parameters.map((p) => Float64Array.from(model.store.get(p.name)));
      await fitModel(model, { train: head(data.train, 32) }, { ...common, ...one, clipNorm, evaluate: undefined });
      const moved = model.parameters.map((p, k) => model.store.get(p.name).map((x, i) => x - start[k][i]));
      return Math.sqrt(moved.flatMap((m) => [...m]).reduce((s, d) => s + d * d, 0));
    };
    const free = await at();
    expect(free).toBeGreaterThan(0.1);
    expect(await at(0.01)).toBeCloseTo(0.01, 5);
    expect(await at(1000)).toBeCloseTo(free, 6);
  });
});

describe("the same bits", () => {
  const opts: Record<string, Partial<FitOptions>> = {
    adam: { optimizer: adam() },
    "three samples, clipped, AdamW": { samples: 3, clipNorm: 1, optimizer: adamw({ weightDecay: 0.01 }) },
    "bf16, two samples": { precision: "bf16", samples: 2 },
    "Nesterov momentum": { optimizer: sgd({ momentum: 0.9, nesterov: true }) },
  };
  for (const [name, options] of Object.entries(opts)) {
    it(`on 1, 2 and 3 threads: ${name}`, async () => {
      const all: { result: FitResult; steps: StepRecord[]; bits: Record<string, string> }[] = [];
      for (const n of [1, 2, 3]) {
        setThreads(n);
        all.push(await train(options, () => tinyBayes({ norm: true })));
      }
      for (const other of all.slice(1)) {
        expect(other.bits).toEqual(all[0].bits);
        expect(other.steps).toEqual(all[0].steps);
        expect(reproducible(other.result)).toEqual(reproducible(all[0].result));
      }
    });
  }

  it("on 1, 2 and 3 threads: LeNet-5 on digits", async () => {
    const digits = loadMnist(join(import.meta.dirname, "../../data/mnist")).train;
    const all: Record<string, string>[] = [];
    for (const n of [1, 2, 3]) {
      setThreads(n);
      using model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, preprocess: unit });
      await fitModel(model, { train: head(digits, 300) }, { epochs: 2, batchSize: 128 });
      all.push(bits(model));
    }
    expect(all[1]).toEqual(all[0]);
    expect(all[2]).toEqual(all[0]);
  });

  it("whatever the length of a chunk and wherever checkpoints fall", async () => {
    const one = await train({ chunk: 1, runDir });
    const others = [{ chunk: 7 }, {}, { chunk: 1000, checkpoint: { steps: 4 } }, { checkpoint: { seconds: 0 } }];
    for (const [i, options] of others.entries()) {
      const folder = `${runDir}-${i}`;
      const other = await train({ ...options, runDir: folder });
      expect(other.bits).toEqual(one.bits);
      expect(other.steps).toEqual(one.steps);
      expect(metrics(folder)).toEqual(metrics(runDir));
    }
  });

  it("stopped at any step and resumed by a fresh model", async () => {
    const whole = await train({ runDir });
    const next = random(5);
    for (let trial = 0; trial < 3; trial++) {
      const folder = `${runDir}-${trial}`;
      const resumeOptions = { ...common, runDir: folder, resume: true };
      let result: FitResult | undefined;
      let calls = 0;
      using model = tinyBayes();
      for (; !result || result.stopped; calls++) {
        const stop = new AbortController();
        const until = (result?.steps ?? 0) + 1 + Math.floor(next() * 8);
        const onStep = ({ step }: StepRecord) => step + 1 >= until && stop.abort();
        using fresh = tinyBayes();
        result = await fitModel(fresh, data, { ...resumeOptions, signal: stop.signal, callbacks: { onStep } });
        if (!result.stopped) restore(model, loadCheckpoint(join(folder, "checkpoint.safetensors")));
        if (!result.stopped) expect(bits(fresh)).toEqual(whole.bits);
      }
      expect(calls).toBeGreaterThan(2);
      expect(reproducible(result)).toEqual(reproducible(whole.result));
      expect(metrics(folder)).toEqual(metrics(runDir));
      const parameters = Object.entries(whole.bits).filter(([name]) => !name.startsWith("optimizer/"));
      expect(bits(model)).toEqual(Object.fromEntries(parameters));
    }
  });

  it("but another seed gives others", async () => {
    const [a, b] = [await train(), await train({ seed: 8 })];
    expect(a.bits).not.toEqual(b.bits);
  });
});

describe("validation", () => {
  it("stops early after `patience` validations without progress, also across a resume", async () => {
    const scripted = (values: number[]) => {
      let call = 0;
      return {
        evaluate: async () => ({ nll: values[call++], accuracy: 0.5 }),
        earlyStopping: { patience: 2 },
        epochs: 9,
      };
    };
    const { result } = await train(scripted([3, 1, 2, 1, 0]));
    expect(result).toMatchObject({ end: "early", stopped: false, steps: 28, best: { value: 1, step: 14 } });

    const stop = new AbortController();
    const onEpoch = ({ epoch }: { epoch: number }) => epoch === 2 && stop.abort();
    await train({
      ...scripted([3, 1, 2]),
      runDir,
      signal: stop.signal,
      callbacks: { onEpoch: (r) => void onEpoch(r) },
    });
    const resumed = await train({ ...scripted([1, 0]), runDir, resume: true });
    expect(reproducible(resumed.result)).toEqual(reproducible(result));
    const again = await train({ ...scripted([]), runDir, resume: true });
    expect(reproducible(again.result)).toEqual(reproducible(result));
  });

  it("goes by the monitored figure, higher accuracy being better, and keeps the best model", async () => {
    const accuracies = [0.5, 0.9, 0.7];
    const seen: Record<string, string>[] = [];
    using model = tinyBayes();
    const result = await fitModel(model, data, {
      ...common,
      runDir,
      monitor: "accuracy",
      evaluate: async (m) => {
        seen.push(bits(m));
        return { accuracy: accuracies[seen.length - 1] };
      },
    });
    expect(result.best).toEqual({ value: 0.9, step: 14 });
    restore(model, loadCheckpoint(join(runDir, "best.safetensors")));
    for (const { name } of model.parameters) expect(bits(model)[name]).toBe(seen[1][name]);
    expect(seen[1]).not.toEqual(seen[2]);
  });

  it("lowers a plateau schedule's rate", async () => {
    const values = [3, 3, 3, 1, 1, 1];
    let call = 0;
    const { result } = await train({
      epochs: 6,
      learningRate: plateauRate(0.01, { factor: 0.5, patience: 2 }),
      evaluate: async () => ({ nll: values[call++] }),
    });
    expect(result.history.map((r) => r.lr)).toEqual([0.01, 0.01, 0.01, 0.005, 0.005, 0.005]);
  });

  it("happens every so many epochs and after the last, before the epoch's callback", async () => {
    const order: string[] = [];
    await train({
      epochs: 5,
      validateEvery: 2,
      callbacks: {
        onValidate: (m, { step }) => void order.push(`valid ${step} ${Object.keys(m)}`),
        onEpoch: async ({ epoch }) => void order.push(`epoch ${epoch}`),
      },
    });
    expect(order).toEqual([
      "epoch 0",
      "valid 14 accuracy,nll",
      "epoch 1",
      "epoch 2",
      "valid 28 accuracy,nll",
      "epoch 3",
      "valid 35 accuracy,nll",
      "epoch 4",
    ]);
  });
});

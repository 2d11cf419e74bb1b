import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import {
  type Checkpoint,
  loadCheckpoint,
  peekCheckpoint,
  restore,
  saveCheckpoint,
} from "../../lib/checkpoints/checkpoint.ts";
import { readSafetensors, type SafeTensor, writeSafetensors } from "../../lib/checkpoints/safetensors.ts";
import { freshState } from "../../lib/checkpoints/state.ts";
import type { Model } from "../../lib/models/model.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { random } from "../ops/harness.ts";
import { bits, spoil, tinyBayes, tinyPlain } from "./train-kit.ts";

const root = mkdtempSync(join(tmpdir(), "bayescnn-checkpoint-"));
afterAll(() => rmSync(root, { recursive: true }));
const path = join(root, "model.safetensors");

const saved = (make: () => Model = tinyBayes): string => {
  using model = make();
  saveCheckpoint(path, model);
  return path;
};
type About = {
  schema?: unknown;
  device?: unknown;
  training?: unknown;
  streams: object;
  model: { name?: string; config: object };
};
const put = (target: object, key: string, value: unknown) => void Object.assign(target, { [key]: value });
const written = (bytes: string) => {
  writeFileSync(path, bytes);
  return path;
};
const other = (metadata: Record<string, string> = {}) => {
  writeSafetensors(path, new Map(), metadata);
  return path;
};
/** Writes the file again with something changed. */
function rewrite(change: (tensors: Map<string, SafeTensor>, about: About) => void): string {
  const { tensors, metadata } = readSafetensors(saved());
  delete metadata.crc32; // as in a file of an earlier version: what is tested here is what comes behind the checksums
  const about = JSON.parse(metadata.checkpoint);
  change(tensors, about);
  writeSafetensors(path, tensors, { ...metadata, checkpoint: JSON.stringify(about) });
  return path;
}

describe("checkpoints", () => {
  it("bring back every bit, the noise streams and the training state", () => {
    using model = tinyBayes({ norm: true });
    model.store.define("optimizer/adam/m/conv1/weight/mu", [3, 3, 1, 4], {
      init: () => new Float32Array(36).fill(0.5),
    });
    model.store.define("data/train/labels", [3], { dtype: "i32" });
    const state = { ...freshState({ seed: 1 }, 3), step: 12, best: { value: 0.25, step: 8, waited: 1 } };
    saveCheckpoint(path, model, state);
    const checkpoint = loadCheckpoint(path);
    expect(checkpoint.training).toEqual(state);
    expect(checkpoint.device).toBe(model.store.device.name);
    expect(checkpoint.tensors.has("data/train/labels")).toBe(false);
    expect(checkpoint.streams).toEqual({ conv1: 0, fc1: 1 });

    using other = tinyBayes({ norm: true, seed: 99 });
    expect(bits(other)).not.toEqual(bits(model));
    restore(other, checkpoint);
    const parameters = Object.entries(bits(model)).filter(([name]) => !name.startsWith("optimizer/"));
    expect(bits(other)).toEqual(Object.fromEntries(parameters));
    other.store.define("optimizer/adam/m/conv1/weight/mu", [3, 3, 1, 4]);
    restore(other, checkpoint, { moments: true });
    expect(bits(other)).toEqual(bits(model));
  });

  it("are the same bytes for the same model, and leave no temporary file", () => {
    const first = readFileSync(saved());
    expect(readFileSync(saved()).equals(first)).toBe(true);
    expect(readdirSync(root)).toEqual(["model.safetensors"]);
  });

  it("without a training state have no moments", () => {
    using model = tinyPlain();
    model.store.define("optimizer/sgd/velocity/fc1/bias", [4]);
    saveCheckpoint(path, model);
    expect([...loadCheckpoint(path).tensors.keys()]).toEqual(["conv1/bias", "conv1/weight", "fc1/bias", "fc1/weight"]);
  });

  it("bring pruning masks along", () => {
    using model = tinyPlain();
    model.store.define("mask/fc1/weight", [36, 4], { init: () => new Float32Array(144).fill(1) });
    saveCheckpoint(path, model);
    using other = tinyPlain({ seed: 8 });
    restore(other, loadCheckpoint(path));
    expect(bits(other)).toEqual(bits(model));
  });

  it("of a broken model are not written", () => {
    const before = readFileSync(saved());
    using model = tinyBayes();
    spoil(model, "fc1/bias/mu");
    expect(() => saveCheckpoint(path, model)).toThrow(/fc1\/bias\/mu.*finite/);
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it("do not load with a single bit changed, but for a file of an earlier version, without checksums", () => {
    const whole = readFileSync(saved());
    const start = 8 + Number(whole.readBigUInt64LE(0));
    const next = random(5);
    for (let i = 0; i < 60; i++) {
      const place = i < 40 ? start + Math.floor(next() * (whole.length - start)) : Math.floor(next() * start);
      const damaged = Buffer.from(whole);
      damaged[place] ^= 1 << Math.floor(next() * 8);
      writeFileSync(path, damaged);
      using model = tinyBayes({ seed: 9 });
      const before = bits(model);
      let told = "";
      try {
        restore(model, loadCheckpoint(path)); // what is spelt differently in the header may mean the same
      } catch (error) {
        expect(error).toBeInstanceOf(BayesError);
        told = (error as Error).message;
        expect(bits(model)).toEqual(before);
      }
      if (place >= start) expect(told).toMatch(/the bytes that were written|expected finite values/);
    }
    const { tensors, metadata } = readSafetensors(saved());
    delete metadata.crc32;
    writeSafetensors(path, tensors, metadata);
    expect(loadCheckpoint(path).tensors).toEqual(tensors);
    writeSafetensors(path, tensors, { ...metadata, crc32: "[]" });
    expect(() => loadCheckpoint(path)).toThrow(/checksums by name/);
  });

  it("are looked at without their tensors", () => {
    const { tensors, ...about } = loadCheckpoint(saved());
    expect(peekCheckpoint(path)).toEqual(about);
    expect(tensors.size).toBeGreaterThan(0);
  });

  it("with a variance below zero are refused", () => {
    using model = tinyBayes({ norm: true });
    model.store.define("optimizer/adam/v/fc1/bias/mu", [4], { values: "not negative" });
    for (const name of ["norm1/variance", "optimizer/adam/v/fc1/bias/mu"]) {
      saveCheckpoint(path, model, freshState({}, 1));
      const { tensors, metadata } = readSafetensors(path);
      tensors.get(name)!.data[2] = -1e-9;
      delete metadata.crc32;
      writeSafetensors(path, tensors, metadata);
      const attempt = () => restore(model, loadCheckpoint(path), { moments: true });
      expect(attempt).toThrow(/expected finite values of at least 0, received -9\.99\d*e-10 at 2/);
      expect(attempt).toThrow(expect.objectContaining({ code: "ERR_BAYES_FILE" }));
    }
  });

  it("say in one sentence what is wrong with a file", () => {
    const name = "fc1/bias/mu";
    const cases: [() => string, RegExp][] = [
      [
        () => rewrite((t) => t.delete(name)),
        /model\.safetensors: fc1\/bias\/mu\] expected F32\[4\], received a file without it/,
      ],
      [() => rewrite((t) => t.set("extra", t.get(name)!)), /: extra\] expected only tensors that the model has/],
      [
        () => rewrite((t) => t.set(name, { dtype: "F32", shape: [2, 2], data: new Float32Array(4) })),
        /expected F32\[4\], received F32\[2, 2\]/,
      ],
      [
        () => rewrite((t) => t.set(name, { dtype: "I32", shape: [4], data: new Int32Array(4) })),
        /expected F32\[4\], received I32\[4\]/,
      ],
      [
        () => rewrite((t) => t.set(name, { dtype: "F32", shape: [4], data: Float32Array.of(0, 0, Number.NaN, 0) })),
        /fc1\/bias\/mu\] expected finite values, received NaN at 2/,
      ],
      [
        () => rewrite((t) => t.set("mask/none", t.get(name)!)),
        /: mask\/none\] expected only tensors that the model has/,
      ],
      [() => rewrite((_, a) => put(a, "schema", 1)), /schema 2, received 1/],
      [
        () => rewrite((_, a) => put(a.model, "likelihood", { kind: "gaussian", noise: 1 })),
        /a model of likelihood {"kind":"categorical","classes":4}, received {"kind":"gaussian"/,
      ],
      [
        () => rewrite((_, a) => put(a.model, "likelihood", { kind: "categorical", classes: ["a", "a", "b", "c"] })),
        /classes of different names, for they are told by name, received "a"/,
      ],
      [
        () => rewrite((_, a) => put(a.model, "preprocess", { scale: [2], shift: [0] })),
        /a model with preprocess {"scale":\[0\.0039.*received {"scale":\[2\]/,
      ],
      [() => rewrite((_, a) => put(a.model, "preprocess", { scale: [2, 2], shift: [0] })), /received {"scale":\[2,2\]/],
      [() => rewrite((_, a) => put(a.model, "name", "other")), /checkpoint of model tiny-bayes, received "other"/],
      [() => rewrite((_, a) => put(a.model.config, "norm", true)), /a model with norm false, received true/],
      [() => rewrite((_, a) => put(a.streams, "conv1", -1)), /streams\.conv1/],
      [() => rewrite((_, a) => put(a.streams, "fc1", 0)), /streams: a stream of its own for every node/],
      [() => rewrite((_, a) => put(a, "training", { step: "x" })), /training/],
      [() => rewrite((_, a) => put(a, "device", undefined)), /device/],
      [() => saved(tinyPlain), /tiny-bayes, received "tiny-plain"/],
      [() => other(), /a checkpoint of this library/],
      [() => other({ format: "bayescnn", checkpoint: "{" }), /to be JSON/],
      [() => written("hello"), /safetensors/],
      [() => join(root, "missing"), /cannot read .*no such file/],
    ];
    for (const [make, message] of cases) {
      using model = tinyBayes();
      const start = bits(model);
      const attempt = () => restore(model, loadCheckpoint(make()));
      expect(attempt, String(message)).toThrow(message);
      expect(attempt).toThrow(expect.objectContaining({ name: "BayesError" }));
      expect(bits(model)).toEqual(start);
    }
  });

  it("damaged anywhere are refused or still whole, never a crash", () => {
    const bytes = readFileSync(saved());
    const file = join(root, "damaged");
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, flip, cut) => {
        const damaged = Buffer.from(bytes);
        damaged[at] ^= flip;
        writeFileSync(file, cut ? damaged.subarray(0, at) : damaged);
        let checkpoint: Checkpoint;
        try {
          checkpoint = loadCheckpoint(file);
        } catch (error) {
          expect((error as Error).name).toBe("BayesError");
          return;
        }
        expect(cut).toBe(false);
        for (const { data } of checkpoint.tensors.values())
          expect(Array.from(data as Float32Array).every(Number.isFinite)).toBe(true);
      }),
      { numRuns: 200 },
    );
    rmSync(file, { force: true });
  });
});

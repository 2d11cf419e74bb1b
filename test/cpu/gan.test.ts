// The paper's GAN: sizes of its nets, two optimizers that go on bit for bit, and the distance between made and real pictures.
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { subset } from "../../lib/data/dataset.ts";
import { eigen, frechetDistance, gaussianOf } from "../../lib/experiments/gan/frechet.ts";
import { Gan } from "../../lib/experiments/gan/net.ts";
import { standIn } from "../../lib/experiments/shared/standIn.ts";
import { compile } from "../../lib/graph/compile.ts";
import { f32, i32 } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { input, withTrace } from "../../lib/graph/trace.ts";
import { dcganDiscriminator, dcganGenerator } from "../../lib/models/dcgan.ts";
import { gaussians } from "../../lib/native/gaussians.ts";
import { temporaryFolder } from "../cli-capture.ts";

const folder = temporaryFolder();

/** Values of the slots that a net makes, by the ends of their names. */
function sizes(build: () => unknown): Record<string, number> {
  const store = new Store("cpu");
  const noise = { rng: input("rng", i32([4])), rows: input("rows", i32([2])) };
  withTrace({ store, mode: "sample", training: true, noise }, build);
  const all: Record<string, number> = {};
  for (const { name, shape } of store.slots.values()) {
    const end = name.split("/").at(-1)!;
    all[end] = (all[end] ?? 0) + shape.reduce((a, b) => a * b, 1);
  }
  store.close();
  return all;
}

describe("DCGAN", () => {
  it("has the paper's numbers of weights", () => {
    expect(sizes(() => dcganGenerator(input("z", f32([2, 100])))).weight).toBe(3_574_784);
    const d = sizes(() => dcganDiscriminator(input("x", f32([2, 64, 64, 3]))));
    expect([d.mu, d.rho]).toEqual([2_763_776, 2_763_776]);
    expect(sizes(() => dcganDiscriminator(input("x", f32([2, 64, 64, 3])), { bayesian: false })).weight).toBe(
      2_763_776,
    );
  });

  it("makes pictures of 32 and 64, and a Bayesian generator has a spread for each weight", () => {
    const store = new Store("cpu");
    for (const size of [32, 64] as const) {
      using program = compile({ store }, { z: [3, 7] }, (t) => ({
        y: withTrace({ store }, () => dcganGenerator(t.z, { size, width: 4, name: `g${size}` })).value,
      }));
      const { y } = program.run({ z: Float32Array.from(gaussians(21, 1, 1)) });
      expect(program.outputs.get("y")!.shape).toEqual([3, size, size, 3]);
      expect(Math.max(...Array.from(y, Math.abs))).toBeLessThanOrEqual(1);
    }
    store.close();
    const s = sizes(() => dcganGenerator(input("z", f32([2, 10])), { width: 4, bayesian: true }));
    expect(s.rho).toBe(s.mu);
  });

  it.each([
    [() => dcganGenerator(input("z", f32([2, 10])), { size: 48 as never }), /size 32 or 64, received 48/],
    [() => dcganGenerator(input("z", f32([2, 10, 1]))), /codes of shape \[batch, codes\]/],
    [() => dcganDiscriminator(input("x", f32([2, 28, 28, 1]))), /square pictures with a side of 8, 16, 32/],
  ])("refuses what it cannot make (%#)", (build, message) => {
    expect(() => sizes(build)).toThrow(message);
  });
});

describe("its training", () => {
  const data = subset(
    standIn("cifar-10").train,
    Array.from({ length: 40 }, (_, i) => i),
  );
  const of = (bayesian: boolean) => ({
    bayesian,
    width: 4,
    codes: 8,
    batchSize: 8,
    learningRate: 1e-3,
    beta: 0.1,
    seed: 3,
  });
  const bits = (net: Gan) =>
    [...net.store.slots.keys()]
      .sort()
      .map((name) => [name, Buffer.from(net.store.get(name).slice().buffer).toString("hex")]);

  it.each([true, false])("goes on from its saved state bit for bit (bayesian: %s)", async (bayesian) => {
    using whole = new Gan(of(bayesian), data.count);
    for (let i = 0; i < 6; i++) await whole.train(data);
    using first = new Gan(of(bayesian), data.count);
    for (let i = 0; i < 3; i++) await first.train(data);
    const path = join(folder, `gan-${bayesian}.safetensors`);
    first.save(path, { note: "half" });
    using second = new Gan(of(bayesian), data.count);
    expect(second.restore(path)).toMatchObject({ note: "half" });
    for (let i = 0; i < 3; i++) await second.train(data);
    expect(bits(second)).toEqual(bits(whole));
    const samples = second.logits(second.pictures(second.codes(9, 5)), 4);
    expect(samples).toHaveLength(bayesian ? 20 : 5);
    const ofFirst = Array.from(samples).filter((_, k) => k % 5 === 0);
    expect(new Set(ofFirst).size).toBe(ofFirst.length);
  });
});

describe("the Frechet distance", () => {
  it("is that of the closed form for diagonal Gaussians, and none between equal ones", () => {
    const of = (mean: number[], variance: number[]) => ({
      mean: Float64Array.from(mean),
      covariance: Float64Array.from({ length: 9 }, (_, i) => (i % 4 === 0 ? variance[i / 4] : 0)),
    });
    const [a, b] = [of([0, 1, 2], [1, 4, 9]), of([1, 1, 0], [4, 4, 1])];
    expect(frechetDistance(a, b)).toBeCloseTo(1 + 4 + 1 + 0 + 4, 10);
    expect(frechetDistance(a, a)).toBeCloseTo(0, 10);
  });

  it("does not depend on the axes: a rotation of both clouds changes nothing", () => {
    const rows = (seed: number, scale: number) =>
      Float32Array.from(gaussians(600, seed, 5), (v, i) => v * (1 + (i % 3)) * scale);
    const turned = (r: Float32Array) =>
      r.map((_, i) => {
        const [x, y, z] = r.subarray(3 * Math.floor(i / 3), 3 * Math.floor(i / 3) + 3);
        return [0.6 * x - 0.8 * y, 0.8 * x + 0.6 * y, z][i % 3];
      });
    const [a, b] = [rows(1, 1), rows(2, 1.5)];
    const straight = frechetDistance(gaussianOf(a, 3), gaussianOf(b, 3));
    expect(frechetDistance(gaussianOf(turned(a), 3), gaussianOf(turned(b), 3))).toBeCloseTo(straight, 4);
    expect(straight).toBeGreaterThan(0.1);
  });

  it("rests on eigenvalues that give the matrix back", () => {
    const d = 12;
    const half = gaussians(d * d, 4, 5);
    const matrix = Float64Array.from({ length: d * d }, (_, i) => half[i] + half[(i % d) * d + Math.floor(i / d)]);
    const { values, vectors } = eigen(matrix, d);
    for (let i = 0; i < d; i++)
      for (let j = 0; j < d; j++) {
        let sum = 0;
        for (let k = 0; k < d; k++) sum += vectors[i * d + k] * values[k] * vectors[j * d + k];
        expect(sum).toBeCloseTo(matrix[i * d + j], 9);
      }
  });
});

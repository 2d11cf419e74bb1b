// A model's posterior as plain numbers, and as NumPy files.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { alphaPosterior } from "../../lib/bayes/posterior.ts";
import { scaleMixturePrior } from "../../lib/bayes/scaleMixturePrior.ts";
import { compile } from "../../lib/graph/compile.ts";
import type { Tensor } from "../../lib/graph/node.ts";
import { linear } from "../../lib/layers/linear.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { Model } from "../../lib/models/model.ts";
import { exportPosterior, npy, posteriorOf } from "../../lib/models/posterior.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { prune } from "../../lib/prune/prune.ts";
import { tinyBayes, tinyPlain } from "./train-kit.ts";

const tmp = mkdtempSync(join(tmpdir(), "bayescnn-posterior-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));
const sum = (x: Float32Array) => x.reduce((a, b) => a + b, 0);

describe("posteriorOf", () => {
  it.each([
    ["rho", {}],
    ["alpha", { posterior: alphaPosterior() }],
  ])("adds up to the model's KL, also when pruned: %s", (_, bayes) => {
    using model = tinyBayes({ bayes });
    for (const pruned of [false, true]) {
      if (pruned) prune(model, { sparsity: 0.5, score: "magnitude" });
      using program = compile({ store: model.store }, { x: [1, 12, 12, 1] }, ({ x }) => ({
        kl: model.apply(x, { mode: "mean" }).kl!,
      }));
      const kl = program.run({ x: new Float32Array(144) }).kl[0];
      const weights = posteriorOf(model);
      expect(weights.map((w) => w.name)).toEqual(["conv1/weight", "conv1/bias", "fc1/weight", "fc1/bias"]);
      const total = weights.reduce((all, w) => all + sum(w.kl!), 0);
      expect(Math.abs(total - kl) / kl).toBeLessThan(1e-5);
      for (const { mean, sigma, shape } of weights) {
        expect(mean.length).toBe(shape.reduce((a, b) => a * b, 1));
        expect(sigma!.every((s, i) => s > 0 || (pruned && s === 0 && mean[i] === 0) || mean[i] === 0)).toBe(true);
      }
    }
  });

  it("says what there is of plain weights, and of a prior without moments", () => {
    using plain = tinyPlain();
    expect(posteriorOf(plain).every((w) => w.sigma === undefined && w.kl === undefined)).toBe(true);
    using mixture = tinyBayes({ bayes: { prior: scaleMixturePrior() } });
    for (const w of posteriorOf(mixture)) expect([w.sigma !== undefined, w.kl]).toEqual([true, undefined]);
  });
});

describe("NumPy files", () => {
  it("hold the arrays, one file each", () => {
    using model = tinyBayes();
    const files = exportPosterior(model, join(tmp, "weights"));
    expect(readdirSync(join(tmp, "weights"))).toHaveLength(12);
    expect(files[0]).toBe(join(tmp, "weights", "conv1.weight.mean.npy"));
    const bytes = readFileSync(files[0]);
    const length = bytes.readUInt16LE(8);
    expect((10 + length) % 64).toBe(0);
    expect(bytes.toString("latin1", 10, 10 + length)).toMatch(/'descr': '<f4'.*'shape': \(3, 3, 1, 4\), \} *\n$/);
    const data = new Float32Array(Uint8Array.from(bytes.subarray(10 + length)).buffer);
    expect(data).toEqual(posteriorOf(model)[0].mean);
  });

  it("of layers whose names would give one file, or none, are refused before the first is written; no name leads out", () => {
    const named = (...names: string[]) => {
      const build = (x: Tensor) => names.reduce<Tensor>((h, name) => linear(h, 2, { name }), flatten(x));
      return new Model({ name: "m", input: [2, 2, 1], likelihood: categorical(2), build });
    };
    for (const names of [["a/b", "a.b"], ["n".repeat(300)], ["a\0", "a_"]]) {
      using model = named(...names);
      expect(() => exportPosterior(model, join(tmp, "refused"))).toThrow(/names of layers that give file names/);
    }
    expect(existsSync(join(tmp, "refused"))).toBe(false);
    using model = named("..", "../../x", "/y", "c\0d");
    for (const file of exportPosterior(model, join(tmp, "kept"))) expect(dirname(file)).toBe(join(tmp, "kept"));
    expect(readdirSync(join(tmp, "kept"))).toHaveLength(8);
  });

  const numpy = spawnSync("python3", ["-c", "import numpy"]).status === 0;
  if (!numpy) console.log("skipped: numpy reads the files (python3-numpy is not installed)");
  it.skipIf(!numpy)("are read by numpy", () => {
    using model = tinyBayes();
    const [file] = exportPosterior(model, join(tmp, "again"));
    const code = `import numpy; a = numpy.load(${JSON.stringify(file)}); print(a.shape, a.dtype, float(a.sum()))`;
    const [, total] = /^\(3, 3, 1, 4\) float32 (\S+)/.exec(
      execFileSync("python3", ["-c", code], { encoding: "utf8" }),
    )!;
    expect(Number(total)).toBeCloseTo(sum(posteriorOf(model)[0].mean), 4);
    expect(npy(new Float32Array(2), [2]).length % 64).toBe(8);
  });
});

// The bits that the kernels give: a hash of every op row, of every layer of the product tests, of training steps and of
// predictions, as JSON in the file that BITS names. scripts/bits.mjs runs it on every instruction set and compares.
import { createHash } from "node:crypto";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { compile } from "../../lib/graph/compile.ts";
import { Store } from "../../lib/graph/store.ts";

import { gaussian } from "../../lib/likelihoods/gaussian.ts";
import { createModel } from "../../lib/models/create.ts";
import type { Model } from "../../lib/models/model.ts";
import { cpu, type Precision } from "../../lib/native/device.ts";
import { forwardProgram, madeModel, stepProgram } from "../../lib/speed/made.ts";
import { adam } from "../../lib/train/optimizers.ts";
import { type Layer, layers, narrowSums, patches } from "../cpu/products-kit.ts";
import { layerPrograms, mixed, programsOf } from "../cpu/programs-kit.ts";
import { type OpCase, uniform } from "../ops/harness.ts";

const file = process.env.BITS;
const found: Record<string, string> = {};
const device = cpu();
const precisions = ["fp32", "bf16"] as const;
const i32 = (...shape: number[]) => ({ shape, dtype: "i32" as const });

function record(name: string, values: Readonly<Record<string, Float32Array>>): void {
  for (const [key, { buffer, byteOffset, byteLength }] of Object.entries(values)) {
    expect(found).not.toHaveProperty([`${name}: ${key}`]);
    found[`${name}: ${key}`] = createHash("sha256")
      .update(new Uint8Array(buffer, byteOffset, byteLength))
      .digest("hex")
      .slice(0, 16);
  }
}
function opRow(name: string, c: OpCase, precision: Precision): void {
  for (const { specs, feeds, build } of programsOf(c)) {
    using store = new Store(device);
    using program = compile({ store, precision }, specs, build);
    record(name, program.run(feeds));
  }
}

function product(layer: Layer, precision: Precision, samples: number): void {
  for (const { first, specs, feeds, build } of layerPrograms(layer, samples)) {
    using store = new Store(device);
    using program = compile({ store, precision }, specs, build);
    record(`${layer.name}, ${precision}, samples ${samples}${first ? ", first" : ""}`, program.run(feeds));
  }
}

/** The values of all slots, as one output. */
const slots = ({ store }: Model) =>
  Object.fromEntries([...store.slots.keys()].map((name) => [name, store.get(name) as Float32Array]));

function training(name: string, bayesian: boolean, batch: number, precision: Precision): void {
  using model = madeModel({ name, bayesian });
  using made = stepProgram(model, batch, adam(), precision);
  const outputs = made.program.run(made.feeds, 2);
  const title = `train ${name}${bayesian ? "" : ", frequentist"}, batch ${batch}, ${precision}`;
  record(title, outputs);
  record(title, slots(model));
}

function prediction(name: string, bayesian: boolean, batch: number, samples: number, precision: Precision): void {
  using model = madeModel({ name, bayesian });
  using made = forwardProgram(model, batch, samples, precision);
  const title = `predict ${name}${bayesian ? "" : ", frequentist"}, batch ${batch}, samples ${samples}, ${precision}`;
  record(title, made.program.run(made.feeds));
}

function superResolution(batch: number, precision: Precision): void {
  const shape = [17, 19, 1] as const;
  using model = createModel({ model: "espcn", input: shape, likelihood: gaussian({ noise: 1 }), seed: 1 });
  using program = compile(
    { store: model.store, precision },
    { x: [batch, ...shape], rng: i32(4), rows: i32(batch) },
    ({ x, rng, rows }) => {
      const { output, parameters } = model.apply(x, { mode: "sample", training: true, noise: { rng, rows } });
      const gradients = grad(mixed(output), [...parameters.values()]);
      return { y: output, ...Object.fromEntries([...parameters.keys()].map((name, i) => [name, gradients[i]])) };
    },
  );
  const x = Float32Array.from(uniform([batch, ...shape], 5).data);
  const rows = Int32Array.from({ length: batch }, (_, i) => i);
  record(`espcn, batch ${batch}, ${precision}`, program.run({ x, rows, rng: Int32Array.of(1, 2, 3, 0) }));
}

const folder = join(import.meta.dirname, "../ops");
it.skipIf(!file)("are written down (skipped: BITS names no file)", { timeout: 600_000 }, async () => {
  for (const name of readdirSync(folder).filter((f) => f.endsWith(".ts") && f !== "harness.ts")) {
    const { cases } = (await import(join(folder, name))) as { cases: OpCase[] };
    const op = name.slice(0, -3);
    for (const [i, c] of cases.entries()) {
      opRow(`${op} ${i}, ${c.name}`, c, "fp32");
      if (/conv|linear/i.test(op)) opRow(`${op} ${i}, ${c.name}, bf16`, c, "bf16");
    }
  }
  for (const precision of precisions) {
    for (const [i, layer] of [...layers, ...patches, ...narrowSums].entries())
      for (const samples of [0, 1, 2]) product({ ...layer, name: `${layer.name} (${i})` }, precision, samples);
    for (const name of ["lenet5", "lenet5-caffe", "alexnet-slim", "3conv3fc", "resnet20"])
      for (const bayesian of [true, false]) {
        for (const batch of [1, 5, 33]) training(name, bayesian, batch, precision);
        for (const [batch, samples] of bayesian
          ? [
              [5, 3],
              [33, 2],
            ]
          : [
              [1, 1],
              [33, 1],
            ])
          prediction(name, bayesian, batch, samples, precision);
      }
    for (const batch of [1, 5, 33]) superResolution(batch, precision);
  }
  writeFileSync(file!, JSON.stringify(found, null, 1));
  expect(Object.keys(found).length).toBeGreaterThan(3000);
});

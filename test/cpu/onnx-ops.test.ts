// Every row of test/ops/*.ts as a tiny ONNX model in ONNX Runtime against the row's float64 reference, twice: with all
// inputs but the first as constants (how layers use an op), and with every float input fed at run time.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { afterAll, describe, expect, it } from "vitest";
import { compile } from "../../lib/graph/compile.ts";
import { constant, type Node, sizeOf, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { input, withTrace } from "../../lib/graph/trace.ts";
import { topo } from "../../lib/graph/walk.ts";
import { Lowering } from "../../lib/onnx/lower.ts";
import { permuted } from "../../lib/onnx/model.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { testDevice } from "../device.ts";
import type { OpCase, Value } from "../ops/harness.ts";

const device = testDevice();
const folder = join(import.meta.dirname, "../ops");
const files = readdirSync(folder).filter((f) => f.endsWith(".ts") && f !== "harness.ts");
const only = process.env.OPS?.split(",");
const skipped = new Map<string, number>();
afterAll(() => {
  const rows = [...skipped].map(([op, count]) => `${op} (${count})`);
  if (rows.length)
    console.log(
      `skipped: rows that say they have no ONNX form (training, or values it does not define): ${rows.join(", ")}`,
    );
});

const list = <T>(x: T | readonly T[]): readonly T[] => (Array.isArray(x) ? (x as readonly T[]) : [x as T]);
const isFloat = (v: Value) => (v.dtype ?? "f32") === "f32";
const array = (v: Value) =>
  v.dtype === "i32" ? Int32Array.from(v.data) : v.dtype === "u8" ? Uint8Array.from(v.data) : Float32Array.from(v.data);

function hasForm(store: Store, output: Tensor, leaves: ReadonlyMap<Tensor, string>): boolean {
  const dry = new Lowering(store, { noiseMode: "inputs" });
  for (const name of leaves.values()) if (name) dry.input(name, []);
  try {
    dry.lower([output], leaves);
    return true;
  } catch (error) {
    if (error instanceof BayesError && /no ONNX form of its output/.test(error.message)) return false;
    throw error;
  }
}

/** The standard normals of a stochastic node, drawn by the library. */
async function drawNoise(node: Node, inputs: OpCase["inputs"], store: Store): Promise<Map<number, Float32Array>> {
  const { gaussianNoise } = await import("../../lib/ops/gaussianNoise.ts");
  const name = (t: Tensor) => (t.node.leaf?.kind === "input" ? t.node.leaf.name : "");
  const [rng, rows] = node.inputs.slice(-2);
  const specs = Object.fromEntries([rng, rows].map((t) => [name(t), { shape: t.shape, dtype: t.dtype }]));
  const shape = node.outputs[0].shape;
  const samples = shape[0] / rows.shape[0];
  using p = compile({ store }, specs, (t) => ({
    y: gaussianNoise(
      { rng: t[name(rng)], rows: t[name(rows)], stream: node.attrs.stream as number, samples },
      shape.slice(1),
    ),
  }));
  const feeds = Object.fromEntries([rng, rows].map((t) => [name(t), array(inputs[name(t)]) as Int32Array]));
  return new Map([[node.attrs.stream as number, p.run(feeds).y]]);
}

async function check(c: OpCase, fed: (name: string, v: Value) => boolean): Promise<void> {
  using store = new Store(device);
  const onnx = new Lowering(store, { noiseMode: "inputs" });
  const leaves = new Map<Tensor, string>();
  const feeds: Record<string, ort.Tensor> = {};
  const build = () => {
    const tensors = Object.entries(c.inputs).map(([name, v]): [string, Tensor] => {
      if (isFloat(v) && !fed(name, v)) return [name, constant(Float32Array.from(v.data), v.shape)];
      const t = input(name, { shape: v.shape, dtype: v.dtype ?? "f32" });
      if (!isFloat(v)) leaves.set(t, "");
      else {
        const perm = onnx.layout.toOnnx(v.shape.length);
        const data = Float32Array.from(v.data);
        const at = perm ? permuted(data, v.shape, perm) : { data, dims: [...v.shape] };
        leaves.set(t, onnx.input(name, v.shape.length ? onnx.layout.dims(v.shape) : []));
        feeds[name] = new ort.Tensor("float32", at.data, at.dims);
      }
      return [name, t];
    });
    return list(c.build(Object.fromEntries(tensors)));
  };
  const outputs = withTrace({ store }, build).value;
  const want = list(c.reference(c.inputs));
  // residues for backward (where in its window a maximum lies, say) have no ONNX form: compare the others
  const compared = outputs.map((_, i) => i).filter((i) => i === 0 || hasForm(store, outputs[i], leaves));
  const names = onnx.lower(compared.map((i) => outputs[i]), leaves); // biome-ignore format: short
  for (const [k, i] of compared.entries())
    onnx.output(
      `y${i}`,
      names[k],
      outputs[i].shape.map((_, d) => `y${i}.${d}`),
    );
  for (const source of onnx.noiseSources) {
    const node = topo(outputs).find((n) => n.attrs.stream === source.stream)!;
    const data = (await drawNoise(node, c.inputs, store)).get(source.stream)!;
    const shape = node.outputs[0].shape;
    const perm = onnx.layout.toOnnx(shape.length);
    const at = perm ? permuted(data, shape, perm) : { data, dims: [...shape] };
    feeds[source.name] = new ort.Tensor("float32", at.data, at.dims);
  }
  const session = await ort.InferenceSession.create(onnx.encode(), { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const results = await session.run(feeds);
  await session.release();
  for (const index of compared) {
    const { shape, data } = want[index];
    const perm = onnx.layout.toOnnx(shape.length);
    const expected = perm ? permuted(Float32Array.from(data), shape, perm) : { data, dims: shape };
    const got = results[`y${index}`];
    expect(got.dims, `shape of output ${index}`).toEqual(expected.dims);
    let worst = 0;
    let at = -1;
    for (let i = 0; i < sizeOf(shape); i++) {
      const [a, b] = [Number(got.data[i]), expected.data[i]];
      if (Object.is(a, b) || a === b) continue;
      const error = Math.abs(a - b) / (1 + Math.abs(b));
      if (!(error <= worst)) [worst, at] = [error, i];
      if (Number.isNaN(error)) break;
    }
    expect(worst, `output ${index} at ${at}: ${got.data[at]} instead of ${expected.data[at]}`).toBeLessThanOrEqual(
      Math.max(1e-4, c.tolerance ?? 0),
    );
  }
}

for (const file of files) {
  const op = file.slice(0, -3);
  if (only && !only.includes(op)) continue;
  const { cases } = (await import(join(folder, file))) as { cases: OpCase[] };
  describe(`${op} in ONNX Runtime`, () => {
    for (const c of cases) {
      if (c.onnx === false) {
        skipped.set(op, (skipped.get(op) ?? 0) + 1);
        it.skip(c.name, () => {});
        continue;
      }
      const floats = Object.keys(c.inputs).filter((k) => isFloat(c.inputs[k]));
      it(`${c.name}: parameters as constants`, async () => {
        await check(c, (name) => name === floats[0]);
      });
      if (floats.length < 2) continue;
      it(`${c.name}: every input fed`, async (context) => {
        await check(c, () => true).catch((error) => {
          // a lowering may insist on constant parameters, if it says so
          if (!(error instanceof BayesError && error.message.includes("expected constants"))) throw error;
          context.skip(error.message);
        });
      });
    }
  });
}

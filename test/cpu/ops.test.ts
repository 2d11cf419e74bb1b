import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { compile, type Program } from "../../lib/graph/compile.ts";
import { constant, sizeOf, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { setThreads, threads } from "../../lib/native/device.ts";
import { add } from "../../lib/ops/add.ts";
import { mul } from "../../lib/ops/mul.ts";
import { sum } from "../../lib/ops/sum.ts";
import { testDevice, threadCounts } from "../device.ts";
import { type OpCase, random, type Value } from "../ops/harness.ts";

const device = testDevice();
const folder = join(import.meta.dirname, "../ops");
const files = readdirSync(folder).filter((f) => f.endsWith(".ts") && f !== "harness.ts");
// sanitizers look at what kernels do, not at what they give: no central differences, which take most of the time
const differences = process.env.DIFFERENCES !== "no";
const only = process.env.OPS?.split(","); // OPS=conv2d,relu npx vitest run test/cpu/ops.test.ts
const before = threads();
afterAll(() => setThreads(before));

const list = <T>(x: T | readonly T[]): readonly T[] => (Array.isArray(x) ? (x as readonly T[]) : [x as T]);
const spec = (v: Value) => ({ shape: v.shape, dtype: v.dtype ?? ("f32" as const) });
const feed = (v: Value) =>
  v.dtype === "i32" ? Int32Array.from(v.data) : v.dtype === "u8" ? Uint8Array.from(v.data) : Float32Array.from(v.data);
const feeds = (c: OpCase) => Object.fromEntries(Object.entries(c.inputs).map(([k, v]) => [k, feed(v)]));
const specs = (c: OpCase) => Object.fromEntries(Object.entries(c.inputs).map(([k, v]) => [k, spec(v)]));

function expectClose(what: string, got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number): void {
  expect(got.length, `${what}: number of values`).toBe(want.length);
  let worst = 0;
  let at = -1;
  for (let i = 0; i < got.length; i++) {
    if (Object.is(got[i], want[i]) || got[i] === want[i]) continue;
    const error = Math.abs(got[i] - want[i]) / (1 + Math.abs(want[i]));
    if (!(error <= worst)) [worst, at] = [error, i];
    if (Number.isNaN(error)) break;
  }
  expect(worst, `${what}: at ${at}, ${got[at]} instead of ${want[at]}`).toBeLessThanOrEqual(tolerance);
}

/** Bits on 1, 2 and 3 threads are the same; returns them. */
function runOnThreads<I extends string, O extends string>(
  p: Program<I, O>,
  inputs: Record<I, ReturnType<typeof feed>>,
) {
  const runs = threadCounts().map((n) => {
    setThreads(n);
    return p.run(inputs);
  });
  for (const other of runs.slice(1))
    for (const key of Object.keys(runs[0]) as O[])
      expect(
        Buffer.from(other[key].buffer).equals(Buffer.from(runs[0][key].buffer)),
        `${key}: same bits on any number of threads`,
      ).toBe(true);
  return runs[0];
}

for (const file of files) {
  const op = file.slice(0, -3);
  if (only && !only.includes(op)) continue;
  const { cases } = (await import(join(folder, file))) as { cases: OpCase[] };
  describe(`${op} on ${device.name}`, () => {
    for (const c of cases) {
      it(`forward: ${c.name}`, () => {
        const want = list(c.reference(c.inputs));
        using store = new Store(device);
        using p = compile({ store }, specs(c), (t) => {
          const outputs = list(c.build(t));
          for (const [i, o] of outputs.entries())
            if (want[i]) expect(o.shape, `shape of output ${i}`).toEqual(want[i].shape);
          return Object.fromEntries(outputs.map((o, i) => [`y${i}`, o]));
        });
        const got = runOnThreads(p, feeds(c));
        want.forEach((w, i) => {
          expectClose(`output ${i}`, got[`y${i}`], w.data, c.tolerance ?? 1e-5);
        });
      });

      const wrt = c.wrt ?? Object.keys(c.inputs).filter((k) => (c.inputs[k].dtype ?? "f32") === "f32");
      if (wrt.length === 0) continue;
      it(`gradient: ${c.name}`, () => {
        const used = c.gradOutputs ?? [0];
        const next = random(99);
        const cotangents = list(c.reference(c.inputs)).map((o) =>
          Float64Array.from(o.data, () => Math.fround(next() * 2 - 1)),
        );
        using store = new Store(device);
        using p = compile({ store }, specs(c), (t) => {
          const outputs = list(c.build(t));
          const parts = used.map((k) =>
            sum(mul(outputs[k], constant(Float32Array.from(cotangents[k]), outputs[k].shape))),
          );
          const loss = parts.reduce((a: Tensor, b: Tensor) => add(a, b));
          const gs = grad(
            loss,
            wrt.map((k) => t[k]),
          );
          return Object.fromEntries(gs.map((g, i) => [wrt[i], g]));
        });
        const got = runOnThreads(p, feeds(c));
        if (!differences) return;
        const scalar = (inputs: Record<string, Value>): number =>
          list(c.reference(inputs)).reduce(
            (s, o, k) => (used.includes(k) ? s + o.data.reduce((a, v, i) => a + v * cotangents[k][i], 0) : s),
            0,
          );
        for (const name of wrt) {
          const x = c.inputs[name];
          const n = sizeOf(x.shape);
          const picks =
            n <= 48 ? Array.from({ length: n }, (_, i) => i) : Array.from({ length: 48 }, () => Math.floor(next() * n));
          const h = c.epsilon ?? 1e-4;
          const numeric = picks.map((i) => {
            const at = (d: number) => {
              const data = Float64Array.from(x.data);
              data[i] += d;
              return scalar({ ...c.inputs, [name]: { ...x, data } });
            };
            return (at(h) - at(-h)) / (2 * h);
          });
          expectClose(
            `d/d${name}`,
            picks.map((i) => got[name][i]),
            numeric,
            c.gradTolerance ?? 2e-3,
          );
        }
      });
    }
  });
}

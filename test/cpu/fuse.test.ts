// A layer that applies its activation itself against the same two ops apart: asking for the sums before the activation,
// and for their gradient, keeps them apart.
import { describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { compile } from "../../lib/graph/compile.ts";
import { constant, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";

import type { Precision } from "../../lib/native/device.ts";
import { conv2d as conv2dOf } from "../../lib/ops/conv2d.ts";
import { maxPool2d } from "../../lib/ops/maxPool2d.ts";
import { mul } from "../../lib/ops/mul.ts";
import { softplus } from "../../lib/ops/softplus.ts";
import { sum } from "../../lib/ops/sum.ts";
import { testDevice } from "../device.ts";
import { layers as batchNorm2d } from "../ops/batchNorm2d.ts";
import { cases as bayesConv2d } from "../ops/bayesConv2d.ts";
import { cases as bayesLinear } from "../ops/bayesLinear.ts";
import { cases as conv2d } from "../ops/conv2d.ts";
import { activations, type OpCase, random, uniform, type Value } from "../ops/harness.ts";
import { cases as linear } from "../ops/linear.ts";

const device = testDevice();
const feed = ({ dtype, data }: Value) => (dtype === "i32" ? Int32Array.from(data) : Float32Array.from(data));
const plain = (cases: readonly OpCase[]) => cases.filter((c) => !/then |pooled/.test(c.name));

function run(
  c: OpCase,
  activate: (z: Tensor) => Tensor,
  apart: boolean,
  { dx = true, precision = "fp32" as Precision } = {},
) {
  using store = new Store(device);
  const specs = Object.fromEntries(
    Object.entries(c.inputs).map(([k, v]) => [k, { shape: v.shape, dtype: v.dtype ?? ("f32" as const) }]),
  );
  const wrt = (c.wrt ?? Object.keys(specs).filter((k) => specs[k].dtype === "f32")).filter((k) => dx || k !== "x");
  using p = compile<string, string>({ store, precision }, specs, (t) => {
    const z = c.build(t) as Tensor;
    const y = activate(z);
    const next = random(5);
    const dy = constant(
      Float32Array.from({ length: y.size }, () => 2 * next() - 1),
      y.shape,
    );
    const [dz, ...ds] = grad(sum(mul(y, dy)), [z, ...wrt.map((k) => t[k])]);
    return { y, ...Object.fromEntries(ds.map((d, i) => [`d${wrt[i]}`, d])), ...(apart && { z, dz }) };
  });
  const ops = p.planned.steps.map((s) => s.op);
  return { ops, results: p.run(Object.fromEntries(Object.entries(c.inputs).map(([k, v]) => [k, feed(v)]))) };
}

/** The largest difference, of the largest value. */
function difference(got: Float32Array, want: Float32Array): number {
  const largest = want.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-30);
  return got.reduce((a, v, i) => Math.max(a, Math.abs(v - want[i])), 0) / largest;
}

for (const [op, rows] of Object.entries({ conv2d, linear, bayesConv2d, bayesLinear, batchNorm2d }))
  describe(`${op} with its activation`, () => {
    for (const [name, activate] of activations)
      it(`${name}: the values of the two ops, bit for bit, and their gradients`, () => {
        for (const c of plain(rows)) {
          const fused = run(c, activate, false);
          const apart = run(c, activate, true);
          expect(fused.ops.some((o) => /relu|softplus/i.test(o))).toBe(false);
          expect(apart.ops.filter((o) => /relu|softplus/i.test(o)).length).toBe(2);
          expect(Buffer.from(fused.results.y.buffer).equals(Buffer.from(apart.results.y.buffer)), `${c.name}: y`).toBe(
            true,
          );
          for (const [what, values] of Object.entries(fused.results)) {
            expect(difference(values, apart.results[what]), `${c.name}: ${what}`).toBeLessThanOrEqual(1e-6);
          }
        }
      });
  });

describe("an activation that max pooling overtakes", () => {
  const shape = [3, 7, 9, 5];
  const next = random(11);
  const data = Float32Array.from({ length: 945 }, () => Math.round(40 * next() - 20) / 8); // with many ties
  const results = (activate: (z: Tensor) => Tensor, apart: boolean) => {
    using store = new Store(device);
    using p = compile<string, string>({ store }, { x: shape }, ({ x }) => {
      const y = activate(x);
      const pooled = maxPool2d(y, { kernel: 3, stride: 2, padding: 1 });
      const weights = random(12);
      const dy = constant(
        Float32Array.from({ length: pooled.size }, () => 2 * weights() - 1),
        pooled.shape,
      );
      return { pooled, dx: grad(sum(mul(pooled, dy)), [x])[0], ...(apart && { y }) };
    });
    return { ops: p.planned.steps.map((s) => s.op), ...p.run({ x: data }) } as unknown as {
      ops: string[];
      pooled: Float32Array;
      dx: Float32Array;
    };
  };
  for (const [name, activate] of activations)
    it(`${name}: the same values and gradients`, () => {
      const after = results(activate, false);
      const before = results(activate, true);
      const alone = (ops: string[]) => ops.filter((op) => /^(leakyRelu|relu|softplus)$/.test(op)).length;
      expect([alone(after.ops), alone(before.ops)]).toEqual([0, 1]);
      for (const what of ["pooled", "dx"] as const)
        after[what].forEach((v, i) => {
          expect(Math.abs(v - before[what][i])).toBeLessThanOrEqual(1e-6 * Math.abs(before[what][i]) + 1e-7);
        });
    });
});

describe("max pooling in a layer", () => {
  // rows and columns left over; several bands of an image; samples; what runs in the lanes and what does not
  const more: OpCase[] = [
    { x: [5, 21, 23, 16], w: [3, 3, 16, 24] },
    { x: [18, 12, 11, 3], w: [3, 3, 3, 8] },
    { x: [2, 30, 9, 5], w: [5, 2, 5, 40] },
  ].map(({ x, w }, i) => ({
    name: `${x} by ${w}`,
    inputs: { x: uniform(x, i), w: uniform(w, i + 9) },
    build: (t) => conv2dOf(t.x, t.w, undefined, { padding: 1 }),
    reference: () => [],
  }));
  const kernels = [
    [2, 2],
    [3, 2],
    [1, 3],
  ] as const;
  const rows = { conv2d: [...plain(conv2d), ...more], bayesConv2d: plain(bayesConv2d) };
  for (const [op, cases] of Object.entries(rows))
    it(`${op}: the values of the two ops apart, bit for bit, and their gradients`, () => {
      let compared = 0;
      for (const c of cases)
        for (const kernel of kernels) {
          let fits = true;
          const pool = (z: Tensor) => {
            fits = z.shape[1] >= kernel[0] && z.shape[2] >= kernel[1];
            return fits ? maxPool2d(softplus(z), { kernel }) : softplus(z);
          };
          for (const how of [{}, { dx: false }, { precision: "bf16" as const }]) {
            const joined = run(c, pool, false, how);
            if (!fits) break;
            const apart = run(c, pool, true, how);
            compared++;
            expect(joined.ops.filter((o) => /pool|softplus/i.test(o))).toEqual([]);
            expect(apart.ops.filter((o) => /pool/i.test(o)).length).toBe(2);
            for (const [what, values] of Object.entries(joined.results)) {
              const most = what === "y" ? 0 : how.precision ? 2e-3 : 2e-6; // bf16: a last bit can round the other way
              expect(difference(values, apart.results[what]), `${c.name}: ${what}`).toBeLessThanOrEqual(most);
            }
          }
        }
      expect(compared).toBeGreaterThan(20);
    });
});

// The products of layers, forward and backward, against naive float64 sums: in bf16 of operands that are rounded where
// the library says it rounds them (docs/kernels.md), and in float32 where a layer takes Winograd's patches. BAYESCNN_BF16=
// pairs and =rounded run it in both encodings of the kernels; scripts/test.mjs does.
import { afterAll, describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { compile } from "../../lib/graph/compile.ts";
import { constant, type Shape, sizeOf, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { withTrace } from "../../lib/graph/trace.ts";
import { type Precision, setThreads, threads } from "../../lib/native/device.ts";
import { leakyRelu } from "../../lib/ops/leakyRelu.ts";
import { linear } from "../../lib/ops/linear.ts";
import { mul } from "../../lib/ops/mul.ts";
import { softplus } from "../../lib/ops/softplus.ts";
import { sum } from "../../lib/ops/sum.ts";
import { testDevice, threadCounts } from "../device.ts";
import { bf16, uniform } from "../ops/harness.ts";
import { deep, grouped, type Layer, layers, narrowSums, patches } from "./products-kit.ts";

const device = testDevice();
const before = threads();
afterAll(() => setThreads(before));

const { fround } = Math;

const activate = { leaky: (z: Tensor) => leakyRelu(z, 0.3), softplus };

/** A layer and its gradients for some dL/dy, computed on 1, 2 and 3 threads: the same bits. */
function compute(
  { x, w, channels, activation, ...layer }: Layer,
  precision: Precision,
  bayes: boolean,
  samples: number,
  first = 0, // of the images
) {
  const shapes: Record<string, Shape> = bayes
    ? { x, mu: w, sigma2: w, biasMu: [channels], biasSigma2: [channels] }
    : { x, w, b: [channels] };
  const names = Object.keys(shapes);
  const inputs = Object.fromEntries(
    names.map((name, i) => [name, uniform(shapes[name], i, /sigma2/i.test(name) ? 0.05 : -1).data]),
  );
  inputs.x = uniform([first + x[0], ...x.slice(1)], 0).data.slice((first * sizeOf(x)) / x[0]);
  const i32 = (...shape: number[]) => ({ shape, dtype: "i32" as const });
  using store = new Store(device);
  using program = compile({ store, precision }, { ...shapes, rng: i32(4), rows: i32(x[0]) }, (given) => {
    const t = given as Record<string, Tensor>;
    const { mu, sigma2, biasMu, biasSigma2, rng, rows } = t;
    const z = bayes
      ? layer.bayes(t.x, { mu, sigma2, biasMu, biasSigma2 }, { rng, rows, stream: 3, samples })
      : layer.plain(t.x, t.w, t.b);
    const y = activation ? activate[activation](z) : z;
    const dy = constant(Float32Array.from(uniform(y.shape, 99).data), y.shape);
    const wrt = names.map((name) => t[name]);
    const gradients = grad(sum(mul(y, dy)), wrt);
    const residue: Record<string, Tensor> = bayes ? { r: z.node.outputs[1] } : {};
    return { y, dy, ...residue, ...Object.fromEntries(gradients.map((g, i) => [`d${names[i]}`, g])) };
  });
  const feeds = {
    ...Object.fromEntries(names.map((name) => [name, Float32Array.from(inputs[name])])),
    rng: Int32Array.of(1, 2, 3, 0),
    rows: Int32Array.from({ length: x[0] }, (_, i) => 3 * (first + i)),
  };
  const runs = threadCounts().map((n) => {
    setThreads(n);
    return program.run(feeds) as Record<string, Float32Array>;
  });
  for (const other of runs.slice(1))
    for (const [name, values] of Object.entries(runs[0]))
      expect(Buffer.from(other[name].buffer).equals(Buffer.from(values.buffer)), `${name} on other threads`).toBe(true);
  return { precision, inputs, got: runs[0], shape: program.outputs.get("y")!.shape };
}

/** The same in float64, from the noise that was drawn (in r) and the y that an activation's derivative is made of. */
function expected(
  layer: Layer,
  { precision, inputs, got, shape }: ReturnType<typeof compute>,
): Record<string, Float64Array> {
  const { x, mu, sigma2 } = inputs;
  const w = inputs.w ?? mu;
  const { dy, y, r } = got;
  const images = layer.x[0];
  const one = [images, ...shape.slice(1)];
  const [size, copies] = [sizeOf(one), shape[0] / images];
  const product = (n: number, f: (into: Float64Array, i: number, j: number, o: number) => void) => {
    const into = new Float64Array(n);
    layer.visit(one, (i, j, o) => f(into, i, j, o));
    return into;
  };
  const rounded = (v: Float64Array) => (precision === "bf16" ? v.map(bf16) : v);
  const square = rounded(x.map((v) => fround(v * v)));

  const slope = { leaky: (v: number) => (v > 0 ? 1 : fround(0.3)), softplus: (v: number) => -Math.expm1(-v) };
  const dz = Float64Array.from(dy, (d, o) => (layer.activation ? fround(d * slope[layer.activation](y[o])) : d));
  const total = (of: (o: number) => number) => {
    const g = new Float64Array(size);
    for (let o = 0; o < size * copies; o++) g[o % size] = fround(g[o % size] + of(o));
    return g;
  };
  const g = total((o) => dz[o]);
  const h = r && total((o) => fround(dz[o] * r[o]));
  const perChannel = (v: Float64Array) => {
    const into = new Float64Array(layer.channels);
    for (const [o, d] of v.entries()) into[o % layer.channels] += d;
    return into;
  };

  const [X, W, G] = [rounded(x), rounded(w), rounded(g)];
  const mean = product(size, (into, i, j, o) => (into[o] += X[i] * W[j]));
  const dx = product(x.length, (into, i, j, o) => (into[i] += G[o] * W[j]));
  const dw = product(w.length, (into, i, j, o) => (into[j] += X[i] * G[o]));
  if (!r) {
    const z = mean.map((m, o) => m + inputs.b[o % layer.channels]);
    return { y: activated(layer, z), dx, dw, db: perChannel(G) };
  }
  const [S, H] = [rounded(sigma2), rounded(h)];
  const variance = product(size, (into, i, j, o) => (into[o] += square[i] * S[j]));
  const dsquare = product(x.length, (into, i, j, o) => (into[i] += H[o] * S[j]));
  const z = Float64Array.from(r, (v, at) => {
    const o = at % size; // r = eps / (2 sqrt(v)), so sqrt(v) eps = 2 v r
    const c = o % layer.channels;
    return mean[o] + inputs.biasMu[c] + 2 * (variance[o] + inputs.biasSigma2[c]) * v;
  });
  return {
    y: activated(layer, z),
    dx: dx.map((d, i) => d + 2 * x[i] * dsquare[i]),
    dmu: dw,
    dsigma2: product(w.length, (into, i, j, o) => (into[j] += square[i] * H[o])),
    dbiasMu: perChannel(G),
    dbiasSigma2: perChannel(H),
  };
}
function activated({ activation }: Layer, z: Float64Array): Float64Array {
  if (activation === "leaky") return z.map((v) => (v > 0 ? v : 0.3 * v));
  return activation ? z.map((v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))) : z;
}

const kinds = [
  ["plain", false, 1],
  ["Bayesian", true, 1],
  ["Bayesian, 2 samples", true, 2],
] as const;
const rms = (v: Float64Array) => Math.sqrt(v.reduce((a, b) => a + b * b, 0) / v.length);

// errors of a sum are relative to itself; in patches, to what else is in the patch
describe.each([
  ["bf16", "sums", layers],
  ["bf16", "patches", [...patches, ...narrowSums, ...deep]],
  ["fp32", "patches", [...patches, ...narrowSums]],
] as const)(`products in %s on ${device.name}, %s`, (precision, how, all) => {
  describe.each(all)("$name", (layer) => {
    it.each(kinds)("%s", (_, bayes, samples) => {
      const done = compute(layer, precision, bayes, samples);
      for (const [name, want] of Object.entries(expected(layer, done))) {
        const got = done.got[name];
        expect(got.length).toBe(want.length);
        const scale = how === "patches" ? rms(want) : 1;
        const errors = want.map((v, i) => Math.abs(got[i] - v) / (scale + Math.abs(v)));
        const worst = errors.reduce((a, b) => Math.max(a, b)); // NaN where there is one
        // softplus' derivative has float32's error, so one in some thousand dL/dz rounds to the other neighbour
        const loose = precision === "bf16" && layer.activation === "softplus" && name !== "y";
        const most = loose ? 2e-2 : how === "patches" ? 5e-5 : 2e-5;
        expect(worst, `${name}, the worst at ${errors.indexOf(worst)}`).toBeLessThan(most);
        if (loose) expect(errors.reduce((a, b) => a + b) / errors.length, name).toBeLessThan(2e-4);
      }
    });
  });
});

// single images take other forms of the second route than batches
describe.each(
  [...patches, ...narrowSums, ...deep, ...grouped()].filter(
    ({ transposed, x, activation }) => !transposed && x[0] > 1 && !activation,
  ),
)(`batches on ${device.name}: $name`, (layer) => {
  it("do not change a bit", () => {
    const whole = compute(layer, "fp32", true, 1);
    const size = sizeOf(whole.shape) / layer.x[0];
    for (const n of [0, layer.x[0] - 1]) {
      const one = compute({ ...layer, x: [1, ...layer.x.slice(1)] }, "fp32", true, 1, n);
      expect(one.got.y).toEqual(whole.got.y.subarray(n * size, (n + 1) * size));
    }
  });
});

describe(`bf16 on ${device.name}`, () => {
  const values = [
    ...[1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20, 1 + 2 ** -8 - 2 ** -20, -1 - 2 ** -8, -1 - 3 * 2 ** -8],
    ...[3, -0.1, 1e-30, 2 ** -126, 0, 1e30, 3.38e38, -3.4e38, 3.4e38, 2 - 2 ** -9, Infinity, -Infinity, NaN],
  ].map(fround);
  const nearest = [1, 1 + 2 ** -6, 1 + 2 ** -7, 1, -1, -1 - 2 ** -6];
  it.each([1, 3, 4, 5])(
    "rounds both operands, ties to even, NaN to NaN, what is too large to infinity: batch %d",
    (n) => {
      const size = 20;
      using store = new Store(device);
      const at = (precision: "fp32" | "bf16", x: Float32Array, w: Float32Array) => {
        using program = compile({ store, precision }, { x: [n, size], w: [size, size] }, (t) => ({
          y: linear(t.x, t.w),
        }));
        return program.run({ x, w }).y;
      };
      for (const [i, value] of values.entries()) {
        const one = Float32Array.from({ length: n * size }, (_, j) => (j % size === i ? 1 : 0));
        const weight = (v: number) => Float32Array.from({ length: size ** 2 }, (_, j) => (j === i * size + 7 ? v : 0));
        for (const [x, w] of [
          [one.map((v) => (v ? value : 0)), weight(1)],
          [one, weight(value)],
        ]) {
          const exact = at("fp32", x, w);
          const got = at("bf16", x, w);
          for (let b = 0; b < n; b++) {
            expect(exact[b * size + 7]).toBe(value);
            expect(got[b * size + 7], String(value)).toBe(nearest[i] ?? bf16(value));
          }
        }
      }
    },
  );

  it("is asked for by a program, which every trace inside it joins", () => {
    using store = new Store(device);
    const x = Float32Array.of(1 + 2 ** -8);
    const square = (precision?: Precision, inner?: Precision) => {
      using program = compile(
        { store, precision },
        { x: [1, 1] },
        (t) => withTrace({ store, precision: inner }, () => ({ y: linear(t.x, t.x) })).value,
      );
      return program.run({ x }).y[0];
    };
    expect([square(), square("fp32"), square("bf16")]).toEqual([x[0] ** 2, x[0] ** 2, 1].map(fround));
    expect([square("bf16", "fp32"), square("fp32", "bf16")]).toEqual([x[0] ** 2, 1].map(fround));
    for (const bad of ["fp16", "BF16", 16, null])
      expect(() => square(bad as never)).toThrow(
        /^\[compile\] expected precision (as string|"fp32" or "bf16"), received /,
      );
  });
});

import type { Tensor } from "../../lib/graph/node.ts";
import { bayesConv2d } from "../../lib/ops/bayesConv2d.ts";
import { addBias, conv, geometries, geometry, pools } from "./conv2d.ts";
import { normals, seed } from "./gaussianNoise.ts";
import { activated, given, ints, map, type OpCase, uniform, type Value } from "./harness.ts";
import { pooled } from "./maxPool2d.ts";

/** y of the local reparameterization in float64, the moments repeated for every sample. */
export function lrt(mean: Value, variance: Value, rng: Value, rows: Value, stream: number, samples: number): Value {
  const eps = normals(rng, rows, stream, samples, mean.shape.slice(1));
  const n = mean.data.length;
  const data = eps.data.map(
    (e, i) => mean.data[i % n] + (variance.data[i % n] > 1e-16 ? Math.sqrt(variance.data[i % n]) * e : 0),
  );
  return { shape: eps.shape, data };
}

/** Inputs common to the Bayesian ops: x of B (or samples * B) rows, weights, and biases of a kind (0 none, 1, 2). */
export const bayesInputs = (
  x: readonly number[],
  w: readonly number[],
  channels: number,
  bias: number,
  at: number,
  samples: number,
  apart: boolean,
) => ({
  x: uniform(apart ? [x[0] * samples, ...x.slice(1)] : x, at),
  mu: uniform(w, at + 1),
  sigma2: uniform(w, at + 2, 0.05, 0.5),
  ...(bias > 0 && { biasMu: uniform([channels], at + 3) }),
  ...(bias > 1 && { biasSigma2: uniform([channels], at + 4, 0.05, 0.5) }),
  rng: seed,
  rows: ints(
    [x[0]],
    Array.from({ length: x[0] }, (_, i) => (i * 7 + 3) % 11),
  ),
});

export const weights = (t: Readonly<Record<string, Tensor>>) => ({
  mu: t.mu,
  sigma2: t.sigma2,
  biasMu: t.biasMu,
  biasSigma2: t.biasSigma2,
});
export const square = (v: Value): Value => map(v, (a) => a * a);

const row = (
  [name, x, w, options]: (typeof geometries)[number],
  i: number,
  {
    bias = i % 3,
    samples = 1,
    apart = false,
    stream = i,
    inputs = {} as Record<string, Value>,
    more = {} as Partial<OpCase>,
  } = {},
): OpCase => ({
  name: `${name}${samples > 1 ? `, ${samples} samples ${apart ? "of their own inputs" : "of one input"}` : ""}`,
  inputs: { ...bayesInputs(x, w, w[3], bias, 10 * i, samples, apart), ...inputs },
  build: (t) => bayesConv2d(t.x, weights(t), { rng: t.rng, rows: t.rows, stream, samples }, options),
  reference: (v) =>
    lrt(
      addBias(conv(v.x, v.mu, options), v.biasMu),
      addBias(conv(square(v.x), v.sigma2, options), v.biasSigma2),
      v.rng,
      v.rows,
      stream,
      apart ? 1 : samples,
    ),
  ...(name === "LeNet's second layer" && { tolerance: 2e-5 }), // by patches: relative to the largest results
  ...more,
});
const withSamples = (r: OpCase, samples: number, stream: number, options: object): OpCase => ({
  ...r, // rows of sample s are those of launch rows s * B ...
  reference: (v) => {
    const mean = addBias(conv(v.x, v.mu, options), v.biasMu);
    const variance = addBias(conv(square(v.x), v.sigma2, options), v.biasSigma2);
    const eps = normals(v.rng, v.rows, stream, samples, mean.shape.slice(1));
    return { shape: mean.shape, data: eps.data.map((e, i) => mean.data[i] + Math.sqrt(variance.data[i]) * e) };
  },
});

const zeros = (shape: readonly number[]): Value => given(shape, new Array(shape.reduce((a, b) => a * b)).fill(0));

export const cases: OpCase[] = [
  ...geometries.map((g, i) => row(g, i)),
  row(geometry("LeNet's first layer"), 20, { samples: 3, bias: 2 }),
  row(geometry("3x3 same, a block and a bit of channels"), 21, { samples: 2, bias: 1 }),
  withSamples(
    row(geometry("LeNet's second layer"), 22, { samples: 2, apart: true, bias: 2 }),
    2,
    22,
    geometry("LeNet's second layer")[3],
  ),
  row(geometry("images in lanes"), 26, { samples: 2, bias: 2 }),
  // here images of two samples lie in one vector
  withSamples(
    row(geometry("images in lanes"), 27, { samples: 3, apart: true, bias: 2 }),
    3,
    27,
    geometry("images in lanes")[3],
  ),
  // v = 0: y is the mean, and no gradient is NaN
  row(["all-zero patches", [2, 5, 5, 3], [3, 3, 3, 5], { padding: 1 }], 23, {
    bias: 1,
    inputs: { x: zeros([2, 5, 5, 3]) },
    more: { wrt: ["mu", "biasMu"] },
  }),
  row(["variances of zero", [2, 4, 4, 2], [3, 3, 2, 9], {}], 24, {
    bias: 2,
    inputs: { sigma2: zeros([3, 3, 2, 9]), biasSigma2: zeros([9]) },
    more: { wrt: ["x", "mu", "biasMu"] },
  }),
  row(["variances of 1e4", [1, 4, 4, 2], [3, 3, 2, 3], {}], 25, {
    bias: 0,
    inputs: { sigma2: uniform([3, 3, 2, 3], 1, 9e3, 1e4) },
    more: { wrt: ["x", "mu"], tolerance: 1e-4 },
  }),
  ...activated([
    row(geometry("LeNet's first layer"), 30, { bias: 0 }),
    row(geometry("LeNet's second layer"), 31, { bias: 1 }),
    row(geometry("oblong kernel, uneven padding"), 32, { bias: 2 }),
    row(geometry("groups"), 33, { bias: 2 }),
    row(geometry("depthwise, many channels"), 37, { bias: 1, samples: 2 }),
    row(geometry("LeNet's first layer"), 34, { bias: 2, samples: 3 }),
    row(geometry("1x1"), 35, { bias: 1, samples: 2 }),
    withSamples(
      row(geometry("LeNet's second layer"), 36, { samples: 2, apart: true, bias: 2 }),
      2,
      36,
      geometry("LeNet's second layer")[3],
    ),
  ]),
  ...pools.map(([name, kernel], at) => pooled(row(geometry(name), 40 + at, { bias: at % 3 }), kernel)),
  pooled(row(geometry("images in lanes"), 60, { samples: 3, bias: 2 }), [2, 2]),
  pooled(row(geometry("stride"), 61, { samples: 2, bias: 2 }), [2, 2]),
  ...activated([row(geometry("images in lanes"), 62, { bias: 2 })]).map((c) => pooled(c, [2, 2])),
];

import { bayesLinear } from "../../lib/ops/bayesLinear.ts";
import { bayesInputs, lrt, square, weights } from "./bayesConv2d.ts";
import { addBias } from "./conv2d.ts";
import { activated, type OpCase } from "./harness.ts";
import { matmul, sizes } from "./linear.ts";

const row = ([name, x, w]: (typeof sizes)[number], i: number, bias: number, samples = 1): OpCase => ({
  name: samples > 1 ? `${name}, ${samples} samples of one input` : name,
  inputs: bayesInputs(x, w, w[1], bias, 10 * i, samples, false),
  build: (t) => bayesLinear(t.x, weights(t), { rng: t.rng, rows: t.rows, stream: i, samples }),
  reference: (v) =>
    lrt(
      addBias(matmul(v.x, v.mu), v.biasMu),
      addBias(matmul(square(v.x), v.sigma2), v.biasSigma2),
      v.rng,
      v.rows,
      i,
      samples,
    ),
  ...(x[1] > 1000 && { wrt: ["sigma2"], tolerance: 5e-5 }),
});

export const cases: OpCase[] = [
  ...sizes.map((s, i) => row(s, i, i % 3)),
  row(sizes[1], 10, 2, 4),
  row(sizes[3], 11, 0, 2),
  ...activated([row(sizes[0], 12, 0), row(sizes[1], 13, 1), row(sizes[3], 14, 2), row(sizes[1], 15, 2, 3)]),
];

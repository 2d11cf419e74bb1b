import { bayesConvTranspose2d } from "../../lib/ops/bayesConvTranspose2d.ts";
import { bayesInputs, lrt, square, weights } from "./bayesConv2d.ts";
import { addBias } from "./conv2d.ts";
import { geometries, reference } from "./convTranspose2d.ts";
import type { OpCase } from "./harness.ts";

const row = ([name, x, w, options]: (typeof geometries)[number], i: number, bias: number, samples = 1): OpCase => ({
  name: samples > 1 ? `${name}, ${samples} samples of one input` : name,
  inputs: bayesInputs(x, w, w[2] * (options.groups ?? 1), bias, 10 * i, samples, false),
  build: (t) => bayesConvTranspose2d(t.x, weights(t), { rng: t.rng, rows: t.rows, stream: i, samples }, options),
  reference: (v) =>
    lrt(
      addBias(reference(v.x, v.mu, options), v.biasMu),
      addBias(reference(square(v.x), v.sigma2, options), v.biasSigma2),
      v.rng,
      v.rows,
      i,
      samples,
    ),
});

export const cases: OpCase[] = [
  // a bias variance where the stride leaves pixels that no tap reaches: sqrt(v) has no derivative at v = 0
  ...geometries.map((g, i) => row(g, i, g[0].startsWith("stride larger") ? 2 : i % 3)),
  row(geometries[0], 10, 2, 3),
];

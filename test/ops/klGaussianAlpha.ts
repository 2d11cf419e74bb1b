import { klGaussianAlpha } from "../../lib/ops/klGaussianAlpha.ts";
import { awayFromZero, bits, given, type OpCase, uniform } from "./harness.ts";
import { klOf } from "./klGaussian.ts";

const row = (name: string, n: number, shared: boolean, tied = false, masked = false): OpCase => ({
  name,
  inputs: {
    mu: awayFromZero([n], 1, 0.1),
    logAlpha: uniform([shared ? 1 : n], 2, -5, 1),
    ...(masked ? { mask: bits(n) } : {}),
  },
  build: ({ mu, logAlpha, mask }) =>
    klGaussianAlpha(mu, logAlpha, { priorMean: tied ? "tied" : 0.2, priorSigma: 0.5, mask }),
  wrt: ["mu", "logAlpha"],
  reference: ({ mu, logAlpha, mask }) => {
    const kl = mu.data.reduce((sum, m, i) => {
      if (mask?.data[i] === 0) return sum;
      const sigma2 = Math.max(Math.exp(logAlpha.data[i % logAlpha.data.length]) * m * m, 1e-20);
      return sum + klOf(tied ? 0 : m, Math.sqrt(sigma2), tied ? 0 : 0.2, 0.5);
    }, 0);
    return { shape: [], data: Float64Array.of(kl) };
  },
  onnx: false,
});

export const cases: OpCase[] = [
  row("one weight", 1, false),
  row("per weight", 17, false),
  row("per layer", 1000, true),
  row("tied mean", 33, true, true),
  { ...row("several chunks", 20011, true), wrt: ["logAlpha"] },
  row("masked, per weight", 600, false, false, true),
  row("masked, per layer", 600, true, true, true),
  {
    ...row("a weight of zero", 3, false),
    inputs: { mu: given([3], [0, 0.5, -0.5]), logAlpha: given([3], [-1, -50, 2]) },
    wrt: ["logAlpha"],
  },
];

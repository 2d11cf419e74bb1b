import { sigma2FromLogAlpha } from "../../lib/ops/sigma2FromLogAlpha.ts";
import { given, type OpCase, uniform } from "./harness.ts";

const row = (name: string, shape: readonly number[], shared: boolean): OpCase => ({
  name,
  inputs: { mu: uniform(shape, 1), logAlpha: uniform(shared ? [1] : shape, 2, -5, 1) },
  build: ({ mu, logAlpha }) => sigma2FromLogAlpha(mu, logAlpha),
  reference: ({ mu, logAlpha }) => ({
    shape: mu.shape,
    data: mu.data.map((m, i) => Math.exp(logAlpha.data[i % logAlpha.data.length]) * m * m),
  }),
});

export const cases: OpCase[] = [
  row("one weight", [1], false),
  row("per weight", [3, 3, 2, 5], false),
  row("per layer", [3, 3, 2, 5], true),
  row("per layer, several chunks", [20011], true),
  {
    ...row("weights of zero", [3], false),
    inputs: { mu: given([3], [0, 0, 1e-30]), logAlpha: given([3], [-50, 50, 0]) },
    wrt: [],
  },
];

import { constant } from "../../lib/graph/node.ts";
import { clipByGlobalNorm, globalNorm } from "../../lib/ops/clipByGlobalNorm.ts";
import { map, type OpCase, uniform } from "./harness.ts";

const row = (name: string, maxNorm: number): OpCase => ({
  name,
  inputs: { a: uniform([3, 17], 1), b: uniform([1], 2), c: uniform([20011], 3) },
  build: ({ a, b, c }) => [
    ...clipByGlobalNorm([a, b, c], maxNorm === 7 ? constant(7) : maxNorm),
    globalNorm([a, b, c]),
  ],
  reference: ({ a, b, c }) => {
    const norm = Math.sqrt([a, b, c].reduce((s, v) => s + v.data.reduce((t, x) => t + x * x, 0), 0));
    const k = Math.min(1, maxNorm / (norm + 1e-6));
    return [...[a, b, c].map((v) => map(v, (x) => k * x)), { shape: [], data: Float64Array.of(norm) }];
  },
  wrt: [],
  onnx: false,
});

export const cases: OpCase[] = [row("clipped", 1), row("as it is", 1e6), row("a limit that is a tensor", 7)];

// A variance that is made of plain ops, conv(x^2, sigma^2): with `exact` every result is a plain sum of terms that are not
// negative. Without it kernels of 3 and 5 may be Winograd's, whose errors are relative to the largest values in a patch.
import { describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { compile } from "../../lib/graph/compile.ts";
import { constant, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";

import type { Precision } from "../../lib/native/device.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { convTranspose2d } from "../../lib/ops/convTranspose2d.ts";
import { mul } from "../../lib/ops/mul.ts";
import { square } from "../../lib/ops/square.ts";
import { sum } from "../../lib/ops/sum.ts";
import { testDevice } from "../device.ts";
import { uniform } from "../ops/harness.ts";

const device = testDevice();
const shape = [4, 16, 16, 20] as const;
const [filters, size] = [20, 4 * 16 * 16 * 20];

/** Few large values among many that are nearly nothing, as behind a ReLU. */
const input = Float32Array.from(uniform(shape, 1).data, (v, i) => (i % 1480 === 0 ? 100 * v : i % 5 ? 0 : 1e-4 * v));
const sigma2 = Float32Array.from(uniform([5, 5, 20, filters], 2, 1e-6, 1e-4).data);

function variance(op: typeof conv2d | typeof convTranspose2d, exact: boolean, precision: Precision) {
  using store = new Store(device);
  using program = compile({ store, precision }, { x: shape }, ({ x }) => {
    const w = constant(sigma2, [5, 5, 20, filters]);
    const options = { padding: 2, ...(exact && { exact }) };
    const y = (op as typeof conv2d)(square(x), w, undefined, options);
    const dy = constant(new Float32Array(size).fill(1), shape);
    return { y, dx: grad(sum(mul(y, dy)), [x])[0] };
  });
  const algorithms = program.report().steps.flatMap((s) => s.algorithm ?? []);
  return { y: program.run({ x: input }).y, algorithms };
}
const negative = (values: Float32Array) => values.filter((v) => v < 0).length;

describe.each([
  ["a convolution", conv2d],
  ["a transposed convolution", convTranspose2d],
] as const)("a variance of plain ops, %s", (_, op) => {
  it.each(["fp32", "bf16"] as const)("is not negative with exact sums, %s", (precision) => {
    const { y, algorithms } = variance(op, true, precision);
    expect(y).toHaveLength(size);
    expect(negative(y)).toBe(0);
    expect(algorithms).toHaveLength(2); // the gradient's too
    expect(algorithms.join()).not.toContain("winograd");
  });

  it("may be without", () => {
    const { y, algorithms } = variance(op, false, "fp32");
    expect(algorithms.join()).toContain("winograd");
    expect(negative(y)).toBeGreaterThan(0);
  });
});

it("takes true or false", () => {
  using store = new Store(device);
  const build = (exact: unknown) => () =>
    compile({ store }, { x: shape }, ({ x }: { x: Tensor }) => ({
      y: conv2d(x, constant(sigma2, [5, 5, 20, filters]), undefined, { exact } as never),
    })).close();
  expect(build(1)).toThrow("[conv2d] expected exact as true or false, received 1");
  expect(build(false)).not.toThrow();
});

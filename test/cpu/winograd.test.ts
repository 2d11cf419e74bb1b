// Which products are Winograd's: what the plan says (native/conv/choose.h), and what is seen from outside, where something
// that is not finite spreads to its whole patch. A variance never is: what a patch adds to a neighbour could be more than
// all it has.
import { describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { compile } from "../../lib/graph/compile.ts";
import { constant, type Shape, sizeOf, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { cpu } from "../../lib/native/device.ts";
import { mul } from "../../lib/ops/mul.ts";
import { sum } from "../../lib/ops/sum.ts";
import { uniform } from "../ops/harness.ts";
import { type Layer, patches } from "./products-kit.ts";

const device = cpu();
const weights = ({ w }: Layer) => constant(Float32Array.from(uniform(w, 1, 0.01).data), w);
const count = (values: Float32Array, found: (v: number, i: number) => boolean) => values.filter(found).length;
/** Zeros but for one element. */
const one = (shape: Shape, at: number, value: number) => new Float32Array(sizeOf(shape)).fill(value, at, at + 1);

/** The elements of y that element `at` of x has a part in, or ("dx") those of x that have one in that of y. */
function reach(layer: Layer, y: Shape, what: "y" | "dx", at: number): Set<number> {
  const found = new Set<number>();
  layer.visit(y, (i, _, o) => {
    if ((what === "y" ? i : o) === at) found.add(what === "y" ? o : i);
  });
  return found;
}

// a corner, and a pixel inside a patch: where the windows of one hold its whole patch, those of the other do not
const places = [() => 0, ([, , w, c]: Shape) => (w + 1) * c];

/** Whether y, and dx, are not finite where the one element of x, or of dy, that is not has no part; and what the plan says. */
function spreads(layer: Layer) {
  using store = new Store(device);
  let algorithms: readonly (string | undefined)[] = [];
  const found = places.map((place) => {
    using program = compile({ store }, { x: layer.x }, ({ x }) => {
      const y = layer.plain(x, weights(layer), constant(new Float32Array(layer.channels), [layer.channels]));
      const dy = constant(one(y.shape, place(y.shape), Infinity), y.shape);
      return { y, dx: grad(sum(mul(y, dy)), [x])[0] };
    });
    algorithms = program.report().steps.flatMap((s) => s.algorithm ?? []);
    const { shape } = program.outputs.get("y")!;
    const values = program.run({ x: one(layer.x, place(layer.x), Infinity) });
    const beyond = (what: "y" | "dx", from: Shape) => {
      const own = reach(layer, shape, what, place(from));
      return count(values[what], (v, i) => !Number.isFinite(v) && !own.has(i)) > 0;
    };
    return { y: beyond("y", layer.x), dx: beyond("dx", shape) };
  });
  const [y, dx] = algorithms.map((a) => a?.includes("winograd"));
  return { seen: { y: found.some((f) => f.y), dx: found.some((f) => f.dx) }, said: { y, dx } };
}

describe.each(patches.filter((t) => !t.activation))(`Winograd's patches on ${device.name}: $name`, (layer) => {
  it("are seen where the plan says so, and in every plain result", () => {
    const { seen, said } = spreads(layer);
    expect(seen).toEqual(said);
    expect(seen.y).toBe(true);
  });

  it.each(["fp32", "bf16"] as const)("are not taken by the variance, %s", (precision) => {
    using store = new Store(device);
    const i32 = (...shape: number[]) => ({ shape, dtype: "i32" as const });
    const inputs = { x: layer.x, rng: i32(4), rows: i32(layer.x[0]) };
    using program = compile({ store, precision }, inputs, (given) => {
      const { x, rng, rows } = given as Record<string, Tensor>;
      const w = weights(layer);
      const y = layer.bayes(x, { mu: w, sigma2: w }, { rng, rows, stream: 3, samples: 1 });
      return { y, r: y.node.outputs[1] }; // r = 0 where there is no variance
    });
    expect(program.report().steps[0].algorithm).toMatch(/^mean winograd\/\w+, variance (?!winograd)/);
    const { shape } = program.outputs.get("y")!;
    for (const at of places.map((place) => place(layer.x))) {
      const feeds = { x: one(layer.x, at, 1), rng: Int32Array.of(1, 2, 3, 0), rows: new Int32Array(layer.x[0]) };
      const own = reach(layer, shape, "y", at);
      expect(count(program.run(feeds).r, (v, i) => (v !== 0) !== own.has(i))).toBe(0);
    }
  });
});

it("some data gradients have other forms", () => {
  const said = patches.filter((t) => !t.activation).map((layer) => spreads(layer).said.dx);
  expect(new Set(said)).toEqual(new Set([true, false]));
});

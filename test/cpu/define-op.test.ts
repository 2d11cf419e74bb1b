// Ops of the user's own, made of ours: values, gradients, plans, training and export, and what is refused.
import { describe, expect, it } from "vitest";
import { interpret } from "../../lib/graph/interpret.ts";
import type { Tensor } from "../../lib/graph/node.ts";
import { compile, constant, defineOp, grad, ops, parameter, Store } from "../../lib/graph.ts";
import { bayesLinear, categorical, conv2d, fit, flatten, linear, Model, maxPool2d, relu } from "../../lib/index.ts";
import { exportOnnx, verifyOnnx } from "../../lib/onnx/index.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { eachRun, head, squares } from "./train-kit.ts";

eachRun(() => {});
const x6 = Float32Array.of(-2, -0.5, -0.1, 0.2, 1, 3);
const w6 = Float32Array.of(1, 2, 3, 4, 5, 6);

/** y = f(x) and the gradient of sum(w y) for x. */
function both(f: (x: Tensor) => Tensor, values = x6) {
  using store = new Store("cpu");
  using p = compile({ store }, { x: [6] }, ({ x }) => {
    const y = f(x);
    const [dx] = grad(ops.sum(ops.mul(y, constant(w6))), [x]);
    return { y, dx };
  });
  const { y, dx } = p.run({ x: values });
  return { y, dx, plan: p.toString() };
}
const message = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(BayesError);
    return (error as Error).message;
  }
  throw new Error("nothing was thrown");
};

const swish = (x: Tensor) => ops.mul(x, ops.sigmoid(x));
const binarize = defineOp({
  name: "binarize",
  forward: (x: Tensor) => ops.greaterEqual(x, ops.scale(x, 0)),
  grad: (dy) => [dy],
});
const reversal = (strength: number) =>
  defineOp({ name: "reversal", forward: (x: Tensor) => x, grad: (dy) => [ops.scale(dy, -strength)] });

describe("an op of other ops", () => {
  it("has the program and the gradients of those, bit for bit", () => {
    const inline = both(swish);
    const defined = both(defineOp({ name: "swish", forward: swish }));
    expect(defined.y).toEqual(inline.y);
    expect(defined.dx).toEqual(inline.dx);
    expect(defined.plan.replaceAll("  # swish", "")).toBe(inline.plan);
  });

  it("with a gradient of its own has that, which central differences confirm where it is right", () => {
    const exact = defineOp({
      name: "swish",
      forward: swish,
      grad: (dy, x, y) => {
        const s = ops.sigmoid(x);
        return [ops.mul(dy, ops.add(y, ops.mul(s, ops.scale(y, -1, 1))))]; // y + s (1 - y)
      },
    });
    const { y, dx } = both(exact);
    const inline = both(swish);
    expect(y).toEqual(inline.y);
    const h = 1e-2;
    for (let i = 0; i < 6; i++) {
      expect(dx[i]).toBeCloseTo(inline.dx[i], 5);
      const at = (d: number) =>
        both(
          exact,
          x6.map((v, k) => (k === i ? v + d : v)),
        ).y[i] * w6[i];
      expect(dx[i]).toBeCloseTo((at(h) - at(-h)) / (2 * h), 2);
    }
  });

  it("may let gradients through steps, or turn them around", () => {
    const straight = both(binarize);
    expect(straight.y).toEqual(Float32Array.of(0, 0, 0, 1, 1, 1));
    expect(straight.dx).toEqual(w6);
    const turned = both(reversal(0.5));
    expect(turned.y).toEqual(x6);
    expect(turned.dx).toEqual(w6.map((w) => -0.5 * w));
    // inside other ops, twice, and added to what reaches the input otherwise
    const inside = both((x) => ops.add(ops.square(x), ops.scale(binarize(reversal(2)(ops.scale(x, 3))), 10)));
    expect(inside.dx).toEqual(w6.map((w, i) => Math.fround(2 * x6[i]) * w - 60 * w));
  });

  it("of several inputs gives each its gradient, or none", () => {
    using store = new Store("cpu");
    const first = defineOp({
      name: "first",
      forward: (a: Tensor, b: Tensor) => ops.mul(a, b),
      grad: (dy, _a, b) => [ops.mul(dy, b), undefined],
    });
    using p = compile({ store }, { a: [3], b: [3] }, ({ a, b }) => {
      const [da, db] = grad(ops.sum(ops.add(first(a, b), ops.scale(b, 7))), [a, b]);
      return { da, db };
    });
    const { da, db } = p.run({ a: Float32Array.of(1, 2, 3), b: Float32Array.of(4, 5, 6) });
    expect([...da, ...db]).toEqual([4, 5, 6, 7, 7, 7]);
    expect(
      message(() => compile({ store }, { a: [3], b: [3] }, ({ a, b }) => ({ db: grad(ops.sum(first(a, b)), [b])[0] }))),
    ).toMatch(/expected a loss that depends on b/);
  });

  it("is nothing to the planner: activations and pooling join the layers as without it", () => {
    const own = defineOp({ name: "own", forward: (x: Tensor) => relu(x), grad: (dy) => [dy] });
    const steps = (act: (x: Tensor) => Tensor) => {
      using store = new Store("cpu");
      using p = compile({ store }, { x: [2, 8, 8, 1] }, ({ x }) => ({
        y: maxPool2d(act(conv2d(x, 4, 3, { name: "c" })), { kernel: 2 }),
      }));
      return p.toString().replaceAll(/ {2}# \S+/g, "");
    };
    expect(steps(own)).toBe(steps(relu));
  });

  it("is watched by the interpreter as the ops it is made of", () => {
    using store = new Store("cpu");
    const seen: string[] = [];
    const out = interpret(
      { store },
      { x: [6] },
      { x: x6 },
      ({ x }) => ({ y: binarize(x) }),
      ({ node }) => seen.push(`${node.describe().split(" ")[0]} of ${node.layer}`),
    );
    expect(out.y).toEqual(Float32Array.of(0, 0, 0, 1, 1, 1));
    expect(seen).toEqual(["scale of binarize", "greaterEqual of binarize"]);
  });
});

describe("in a model", () => {
  /** A hidden layer of zeros and ones. */
  const binary = (step: (x: Tensor) => Tensor) =>
    new Model({
      input: [12, 12, 1],
      likelihood: categorical(4),
      seed: 2,
      build: (x) => bayesLinear(step(linear(flatten(x), 12, { name: "hidden" })), 4, { name: "out" }),
    });

  it("trains what lies before a step that has no slope", async () => {
    const data = head(squares(200), 128);
    const options = { epochs: 12, batchSize: 32, learningRate: 0.02, beta: 0.01 };
    using model = binary(binarize);
    const before = model.store.get("hidden/weight");
    const { history } = await fit(model, { train: data }, options);
    expect(model.store.get("hidden/weight")).not.toEqual(before);
    expect(history.at(-1)!.metrics.accuracy).toBeGreaterThan(0.9);
    // the same step without a gradient of its own trains nothing before it, and that is said
    using flat = binary((x) => ops.greaterEqual(x, ops.scale(x, 0)));
    await expect(fit(flat, { train: data }, options)).rejects.toThrow(/a loss that depends on hidden\/weight/);
  });

  it.each(["mean", "noise", "ensemble"] as const)("is exported, mode %s", async (mode) => {
    const act = defineOp({ name: "swish", forward: swish, grad: (dy) => [dy] });
    using model = binary((x) => reversal(1)(act(x)));
    const images = Float32Array.from({ length: 2 * 144 }, (_, i) => Math.sin(i));
    const { agrees } = await verifyOnnx(model, exportOnnx(model, { mode, samples: 4 }), images);
    expect(agrees).toBe(true);
  });
});

describe("what is refused, in a sentence that names the op", () => {
  const traced = (build: (x: Tensor) => Tensor) =>
    message(() => {
      using store = new Store("cpu");
      compile({ store }, { x: [2, 3] }, ({ x }) => ({ y: build(x) })).close();
    });
  const slope = (op: (x: Tensor) => Tensor) => traced((x) => grad(ops.sum(op(x)), [x])[0]);
  const same = (x: Tensor) => x;
  const pass = (dy: Tensor) => [dy];

  it("definitions that are none", () => {
    for (const [wrong, expected] of [
      [undefined, "options as an object"],
      [{ forward: same }, "a name without spaces"],
      [{ name: "a b", forward: same }, "a name without spaces"],
      [{ name: "a" }, "forward, a function"],
      [{ name: "a", forward: 3 }, "forward as function"],
      [{ name: "a", forward: same, grad: 1 }, "grad as function"],
      [{ name: "a", forward: same, gradient: pass }, "options among name, forward, grad"],
    ] as const)
      expect(message(() => defineOp(wrong as never))).toContain(expected);
  });

  it("arguments and results that are no tensors", () => {
    const two = defineOp({ name: "two", forward: (a: Tensor, b: Tensor) => ops.add(a, b), grad: (dy) => [dy, dy] });
    expect(traced((x) => (two as (a: Tensor) => Tensor)(x))).toBe("[two] expected 2 traced tensors, received 1");
    expect(traced((x) => two(x, 3 as never))).toBe("[two] expected input 1 to be a traced tensor, received 3");
    expect(traced(defineOp({ name: "none", forward: () => 1 as never }))).toContain(
      "[none] expected forward to return",
    );
  });

  it("gradients that do not fit", () => {
    const define = (g: unknown) => defineOp({ name: "bad", forward: (x: Tensor) => ops.scale(x, 2), grad: g as never });
    expect(slope(define((dy: Tensor) => dy))).toContain("[bad] expected grad to return a list of 1 gradients");
    expect(slope(define(() => []))).toContain("a list of 1 gradients");
    expect(slope(define(() => [1]))).toContain(
      "[bad] expected grad to return f32[2,3] (or undefined) for input 0, received 1",
    );
    expect(slope(define((dy: Tensor) => [ops.sum(dy)]))).toContain('received "f32[]"');
  });

  it("a gradient of one's own beside tensors that are closed over, which it would not reach", () => {
    const closed = (make: () => Tensor) =>
      traced((x) => {
        const outside = make();
        return defineOp({ name: "closed", forward: (a: Tensor) => ops.mul(a, outside), grad: pass })(x);
      });
    const weight = () => parameter("w", [2, 3], () => new Float32Array(6));
    const expected = "[closed] expected everything that forward depends on among its inputs";
    expect(closed(weight)).toBe(`${expected}, because it has a gradient of its own, received "w"`);
    expect(closed(() => ops.scale(constant(new Float32Array(6), [2, 3]), 2))).toContain(expected);
    expect(traced(defineOp({ name: "closed", forward: (a: Tensor) => ops.mul(a, weight()), grad: pass }))).toContain(
      expected,
    );
    // constants and what is stopped have no gradient to lose
    using store = new Store("cpu");
    compile({ store }, { x: [2, 3] }, ({ x }) => {
      const outside = ops.scale(x, 2);
      const one = constant(new Float32Array(6), [2, 3]);
      const forward = (a: Tensor) => ops.mul(ops.add(a, one), ops.stopGradient(outside));
      return { y: defineOp({ name: "open", forward, grad: pass })(x) };
    }).close();
  });

  it("and errors inside of it say where they are", () => {
    const inner = defineOp({ name: "inner", forward: (x: Tensor) => ops.reshape(x, [5]) });
    const outer = defineOp({ name: "outer", forward: (x: Tensor) => inner(x), grad: pass });
    expect(traced(outer)).toMatch(/\[reshape\] expected .* \(layer outer\/inner, at .*define-op\.test\.ts:\d+\)/);
  });
});

// What is put together before planning: which nodes, in what order, and at what cost. test/cpu/group.test.ts looks at the bits.
import { describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { compile, type Program } from "../../lib/graph/compile.ts";
import { inLayer, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { parameter } from "../../lib/graph/trace.ts";
import { add } from "../../lib/ops/add.ts";
import { exp } from "../../lib/ops/exp.ts";
import { klGaussian } from "../../lib/ops/klGaussian.ts";
import { mul } from "../../lib/ops/mul.ts";
import { sigma2FromRho } from "../../lib/ops/sigma2FromRho.ts";
import { square } from "../../lib/ops/square.ts";
import { sum } from "../../lib/ops/sum.ts";
import { madeModel, stepProgram } from "../../lib/speed/made.ts";
import { adam } from "../../lib/train/optimizers.ts";
import { nullDevice } from "../null-device.ts";

type Named = Readonly<Record<string, Tensor>>;
const program = (shapes: Record<string, readonly number[]>, build: (t: Named) => Named): Program<string, string> =>
  compile<string, string>({ store: new Store(nullDevice()) }, shapes, build);
const steps = (p: Program<string, string>): string[] =>
  p.planned.native.steps.map(({ op, inputs, outputs }) => `${op} ${inputs.length} ${outputs.length}`);

describe("a training step", () => {
  // the bounds are those of the roadmap of the device, for which every step is a launch
  it.each([
    ["lenet5", 35],
    ["alexnet", 40],
    ["3conv3fc", 45],
    ["resnet20", 160],
  ])("of Bayesian %s has at most %i steps", (name, most) => {
    using model = madeModel({ name, bayesian: true });
    using made = stepProgram(model, 32, adam());
    const { steps } = made.program.planned;
    const count = (op: string) => steps.filter((s) => s.op === op).length;
    expect(steps.length).toBeLessThanOrEqual(most);
    for (const op of ["sigma2FromRho", "sigma2FromRhoGrad", "klGaussian", "klGaussianGrad"]) expect(count(op)).toBe(1);
  });
});

describe("nodes of one op", () => {
  it("become a list, before the first of them is read", () => {
    const p = program({ a: [3], b: [5] }, ({ a, b }) => ({ y: mul(sum(exp(a)), sum(exp(b))) }));
    expect(steps(p)).toEqual(["exp 2 2", "sum 1 1", "sum 1 1", "mul 2 1"]);
  });
  it("become a list, behind the last that one of them reads", () => {
    const p = program({ a: [3] }, ({ a }) => ({ x: exp(a), y: exp(square(a)) }));
    expect(steps(p)).toEqual(["square 1 1", "exp 2 2"]);
  });
  it("stay apart where one waits for another, through other nodes too", () => {
    expect(steps(program({ a: [3] }, ({ a }) => ({ y: exp(exp(a)) })))).toEqual(["exp 1 1", "exp 1 1"]);
    const through = program({ a: [3] }, ({ a }) => ({ y: exp(square(exp(a))) }));
    expect(steps(through)).toEqual(["exp 1 1", "square 1 1", "exp 1 1"]);
    // either pair could be a list, but not both: a list waits for all of its members
    const crossed = program({ a: [3], b: [3] }, ({ a, b }) => ({ x: exp(square(a)), y: square(exp(b)) }));
    expect(steps(crossed)).toEqual(["square 1 1", "exp 2 2", "square 1 1"]);
  });
  it("stay apart with other attributes, or where they broadcast", () => {
    const shapes = { a: [3], b: [5], s: [] };
    const p = program(shapes, ({ a, b, s }) => ({ x: mul(a, s), y: mul(b, s), z: add(a, 1), u: add(b, 2) }));
    expect(steps(p).length).toBe(4);
  });
  it("stay apart where the arena would grow: small ones become a list even then", () => {
    const n = 100_000; // of large tensors, each exists by itself: a list would have all of them at once
    const shapes = { a: [n], b: [n], c: [7], d: [7] };
    const parts = (t: Named) => ["a", "b", "c", "d"].map((k) => sum(exp(t[k])));
    const p = program(shapes, (t) => ({ y: parts(t).reduce((x, y) => add(x, y)) }));
    expect(
      steps(p)
        .filter((s) => s.startsWith("exp"))
        .toSorted(),
    ).toEqual(["exp 1 1", "exp 1 1", "exp 2 2"]);
    expect(p.planned.native.arenaBytes).toBeLessThan(4 * n + 4096);
  });
  it("have the layers and flops of all, and results in the places of their own inputs alone", () => {
    const store = new Store(nullDevice());
    const p = compile<string, string>({ store }, {}, () => {
      const layer = (name: string, n: number) =>
        inLayer(name, () => sum(square(sigma2FromRho(parameter(`${name}/rho`, [n], () => new Float32Array(n))))));
      return { y: add(layer("one", 7), layer("two", 5)) };
    });
    const [first, second] = p.report().steps;
    expect([first.op, first.layer, first.flops]).toEqual(["sigma2FromRho", "one, two", 20 * 12]);
    expect(p.planned.steps[0].node?.describe()).toMatch(
      /^sigma2FromRho \(layers one, two, at .*group\.test\.ts:\d+\)$/,
    );
    expect(second.op).toBe("square");
    const [, { inputs, outputs }] = p.planned.native.steps;
    expect(outputs.map((t) => t.offset)).toEqual(inputs.map((t) => t.offset));
  });
  it("do not take the place of what another member still reads", () => {
    const p = program({ a: [3], b: [3], c: [3] }, (t) => {
      const x = exp(t.a);
      return { y: sum(add(sum(mul(x, t.b)), sum(mul(x, t.c)))) };
    });
    const list = p.planned.native.steps.find((s) => s.op === "mul")!;
    expect(list.inputs.length).toBe(4);
    expect(list.outputs.map((t) => t.offset)).not.toContain(list.inputs[0].offset);
  });
});

describe("sums", () => {
  it("of sums of small tensors are one, from left to right, where nothing else reads what is in between", () => {
    const shapes = { a: [3], b: [3], c: [3], d: [3] };
    const chain = program(shapes, ({ a, b, c, d }) => ({ y: add(d, add(add(a, b), c)) }));
    expect(steps(chain)).toEqual(["add 4 1"]);
    expect(chain.planned.native.steps[0].inputs.map((t) => t.index)).toEqual([0, 1, 2, 3]);
    const read = program(shapes, ({ a, b, c }) => {
      const x = add(a, b);
      return { x, y: add(x, c) };
    });
    expect(steps(read)).toEqual(["add 2 1", "add 2 1"]);
  });
  it("of large tensors stay apart: all would be needed at once", () => {
    const n = 10_000;
    const p = program({ a: [n], b: [n], c: [n] }, ({ a, b, c }) => ({ y: add(add(a, b), c) }));
    expect(steps(p)).toEqual(["add 2 1", "add 2 1"]);
  });
});

describe("a gradient that can be added to another", () => {
  const kl = (more: (mu: Tensor, rho: Tensor) => Tensor) =>
    program({ mu: [3], rho: [3] }, ({ mu, rho }) => {
      const [dmu, drho] = grad(add(klGaussian(mu, rho), more(mu, rho)), [mu, rho]);
      return { dmu, drho };
    });
  const last = (p: Program<string, string>) => p.planned.native.steps.at(-1)!;
  it("is, in the place of the sum", () => {
    const p = kl((mu, rho) => sum(mul(mu, sigma2FromRho(rho))));
    expect(last(p).op).toBe("klGaussianGrad");
    expect(last(p).attrs.onto).toEqual([1]);
    expect(steps(p).filter((s) => s.startsWith("add"))).toEqual([]);
  });
  it("is not where only one of them is added", () => {
    const p = kl((mu) => sum(square(mu)));
    expect(p.planned.native.steps.some((s) => s.attrs.onto)).toBe(false);
  });
});

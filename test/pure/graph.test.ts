import { describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { compile } from "../../lib/graph/compile.ts";
import { constant, inLayer, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { effect, parameter, trace } from "../../lib/graph/trace.ts";
import { topo } from "../../lib/graph/walk.ts";
import { add } from "../../lib/ops/add.ts";
import { mul } from "../../lib/ops/mul.ts";
import { relu } from "../../lib/ops/relu.ts";
import { reshape } from "../../lib/ops/reshape.ts";
import { stopGradient } from "../../lib/ops/stopGradient.ts";
import { sum } from "../../lib/ops/sum.ts";
import { nullDevice } from "../null-device.ts";

const fresh = () => ({ store: new Store(nullDevice()) });
const net = ({ x }: { x: Tensor }) => {
  const w = parameter("w", [3], () => Float32Array.of(1, 2, 3));
  const y = sum(relu(mul(x, w)));
  return { y, dw: grad(y, [w])[0] };
};

describe("tracing", () => {
  it("gives the same program each time", () => {
    const texts = [1, 2].map(() => compile(fresh(), { x: [4, 3] }, net).toString());
    expect(texts[0]).toBe(texts[1]);
  });

  it("freezes a number that the function closes over; what is to change must be an input", () => {
    const program = (k: number) => compile(fresh(), { x: [3] }, ({ x }) => ({ y: mul(x, constant(k)) }));
    expect(program(2).planned.constants).not.toEqual(program(3).planned.constants);
    expect(program(2).toString()).toBe(program(3).toString());
  });

  it("finds a parameter by its name and makes it once", () => {
    const options = fresh();
    for (let i = 0; i < 2; i++) compile(options, { x: [4, 3] }, net);
    expect([...options.store.slots.keys()]).toEqual(["w"]);
    expect(options.store.get("w")).toEqual(Float32Array.of(1, 2, 3));
  });

  it("refuses the same name with another shape", () => {
    const options = fresh();
    compile(options, { x: [4, 3] }, net);
    expect(() => compile(options, { x: [2] }, () => ({ y: parameter("w", [2], () => new Float32Array(2)) }))).toThrow(
      /\[store w\] expected f32\[3\] as it was first defined, received f32\[2\]/,
    );
  });

  it("knows the user's line and the layer", () => {
    let node = "";
    compile(fresh(), { x: [3] }, ({ x }) => {
      const y = inLayer("first", () => relu(x));
      node = y.node.describe();
      return { y };
    });
    expect(node).toMatch(/^relu \(layer first, at test\/pure\/graph\.test\.ts:\d+\)$/);
  });

  it("cannot be used outside of compile()", () => {
    expect(() => trace()).toThrow(/inside a model function or compile\(\)/);
  });
});

describe("gradient", () => {
  it("needs a scalar that depends on the parameter", () => {
    expect(() => compile(fresh(), { x: [3] }, ({ x }) => ({ y: grad(x, [x])[0] }))).toThrow(/scalar loss/);
    expect(() => compile(fresh(), { x: [3], z: [3] }, ({ x, z }) => ({ y: grad(sum(x), [z])[0] }))).toThrow(
      /expected a loss that depends on z/,
    );
  });

  it("ends at stopGradient, which costs nothing", () => {
    const p = compile(fresh(), { x: [3] }, ({ x }) => ({ g: grad(sum(mul(x, stopGradient(x))), [x])[0] }));
    expect(p.planned.native.steps.map((s) => s.op)).not.toContain("stopGradient");
    expect(p.planned.native.steps.filter((s) => s.op === "add")).toEqual([]); // one path only
    expect(() => compile(fresh(), { x: [3] }, ({ x }) => ({ g: grad(sum(stopGradient(x)), [x])[0] }))).toThrow(
      /expected a loss that depends on x/,
    );
  });

  it("adds up over several uses, and only walks what the parameter reaches", () => {
    compile(fresh(), { x: [3], z: [3] }, ({ x, z }) => {
      const g = grad(sum(add(mul(x, z), mul(relu(z), z))), [x])[0];
      expect(topo([g]).some((n) => n.op.name === "reluGrad")).toBe(false);
      return { g };
    });
  });
});

describe("plan", () => {
  it("writes elementwise results over inputs that nobody needs any more, and results straight into place", () => {
    const p = compile(fresh(), { x: [1000] }, ({ x }) => ({ y: relu(add(relu(mul(x, x)), x)) }));
    expect(p.planned.native.arenaBytes).toBe(4032); // one buffer for all three intermediates
    expect(p.planned.native.steps.at(-1)!.outputs[0].space).toBe(3);
  });

  it("never writes over an input that is still needed", () => {
    const p = compile(fresh(), { x: [1000] }, ({ x }) => {
      const a = mul(x, x);
      return { y: add(relu(a), a) };
    });
    const [m, r] = p.planned.native.steps;
    expect(r.outputs[0].offset).not.toBe(m.outputs[0].offset);
  });

  it("copies an output that is an input, a view or asked for twice", () => {
    const p = compile(fresh(), { x: [2, 3] }, ({ x }) => {
      const y = relu(x);
      return { x, y, again: y, view: reshape(y, [6]) };
    });
    expect(p.planned.native.steps.map((s) => s.op)).toEqual(["relu", "copy", "copy", "copy"]);
  });

  it("marks outputs that nobody reads and drops nodes that nobody needs", () => {
    const p = compile(fresh(), { x: [3] }, ({ x }) => {
      relu(relu(x));
      return { y: mul(x, x) };
    });
    expect(p.planned.native.steps.length).toBe(1);
  });

  it("runs effects last, and refuses a reader of their results", () => {
    const bump = { name: "bump", infer: () => [], mutates: () => [0] };
    const p = compile(fresh(), { x: [3] }, ({ x }) => {
      const w = parameter("w", [3], () => new Float32Array(3));
      effect(bump, [w, relu(x)], {});
      return { y: sum(mul(w, x)) };
    });
    expect(p.planned.native.steps.at(-1)!.op).toBe("bump");
    expect(p.planned.native.steps.at(-1)!.commits).toBe(true);
  });
});

describe("run", () => {
  const p = compile(fresh(), { x: [2, 3], k: [] }, ({ x, k }) => ({ y: mul(x, k) }));
  it("says what is wrong with an input", () => {
    expect(() => p.run({ x: new Float32Array(5), k: 1 })).toThrow(
      /\[run: input x\] expected 6 values for f32\[2,3\], received Float32Array\(5\)/,
    );
    expect(() => p.run({ x: new Int32Array(6), k: 1 })).toThrow(
      /f32\[2,3\] as a Float32Array .*received Int32Array\(6\)/,
    );
    expect(() => p.run({ x: new Float32Array(6) } as never)).toThrow(/\[run: input k\]/);
    expect(() => p.run({ x: new Float32Array(7), k: 1 }, 2)).toThrow(/6 values or 12 for 2 steps/);
  });
  it("cannot be run after close", () => {
    p.close();
    p.close();
    expect(() => p.run({ x: new Float32Array(6), k: 1 })).toThrow(/closed/);
  });
  it("refuses impossible input shapes", () => {
    for (const bad of [[0], [-1], [1.5], [Number.NaN]])
      expect(() => compile(fresh(), { x: bad }, ({ x }) => ({ x }))).toThrow(/every dimension to be an integer >= 1/);
  });
});

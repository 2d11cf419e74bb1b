import { describe, expect, it } from "vitest";
import { compile } from "../../lib/graph/compile.ts";
import type { Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { parameter } from "../../lib/graph/trace.ts";
import { adam, adamw, type Optimizer, sgd } from "../../lib/train/optimizers.ts";
import { testDevice } from "../device.ts";
import { random } from "../ops/harness.ts";

const SIZES = { "a/mu": 37, "a/rho": 37, b: 5, "likelihood/logScale": 3 };
const NAMES = Object.keys(SIZES) as (keyof typeof SIZES)[];
type State = { p: number[]; m: number[]; v: number[] };
type Rule = (s: State, i: number, g: number, lr: number, t: number, decays: boolean) => void;

// PyTorch's definitions, in double
const sgdRule =
  (momentum: number, nesterov: boolean, decay: number): Rule =>
  (s, i, gradient, lr, _t, decays) => {
    const g = gradient + (decays ? decay : 0) * s.p[i];
    s.m[i] = momentum * s.m[i] + g;
    s.p[i] -= lr * (nesterov ? g + momentum * s.m[i] : momentum ? s.m[i] : g);
  };
const adamRule =
  (b1: number, b2: number, epsilon: number, decay = 0): Rule =>
  (s, i, g, lr, t, decays) => {
    if (decays) s.p[i] -= lr * decay * s.p[i];
    s.m[i] = b1 * s.m[i] + (1 - b1) * g;
    s.v[i] = b2 * s.v[i] + (1 - b2) * g * g;
    s.p[i] -= (lr * (s.m[i] / (1 - b1 ** t))) / (Math.sqrt(s.v[i] / (1 - b2 ** t)) + epsilon);
  };

const cases: [Optimizer, Rule, number][] = [
  [sgd(), sgdRule(0, false, 0), 0],
  [sgd({ weightDecay: 0.1 }), sgdRule(0, false, 0.1), 0],
  [sgd({ momentum: 0.9 }), sgdRule(0.9, false, 0), 1],
  [sgd({ momentum: 0.9, nesterov: true, weightDecay: 0.02 }), sgdRule(0.9, true, 0.02), 1],
  [adam(), adamRule(0.9, 0.999, 1e-8), 2],
  [adam({ beta1: 0.5, beta2: 0.9, epsilon: 1e-3 }), adamRule(0.5, 0.9, 1e-3), 2],
  [adamw({ weightDecay: 0.2 }), adamRule(0.9, 0.999, 1e-8, 0.2), 2],
];

describe("optimizers", () => {
  for (const [optimizer, rule, moments] of cases) {
    it(`${optimizer.name} follows its definition for 50 steps; rho and a learned scale do not decay`, () => {
      using store = new Store(testDevice());
      const next = random(11);
      const draw = (n: number) => Float32Array.from({ length: n }, () => next() * 4 - 2);
      const start = Object.fromEntries(NAMES.map((name) => [name, draw(SIZES[name])]));
      const specs = Object.fromEntries(NAMES.map((name) => [name, [SIZES[name]]]));
      using step = compile(
        { store },
        { ...specs, lr: [], count: { shape: [], dtype: "i32" } },
        (t: Record<string, Tensor>) => {
          const parameters = new Map(NAMES.map((name) => [name, parameter(name, [SIZES[name]], () => start[name])]));
          optimizer.update(
            parameters,
            NAMES.map((name) => t[name]),
            t.lr,
            t.count,
          );
          return { done: t.lr };
        },
      );
      const state = {} as Record<string, State>;
      for (const name of NAMES)
        state[name] = { p: [...start[name]], m: Array(SIZES[name]).fill(0), v: Array(SIZES[name]).fill(0) };
      for (let t = 1; t <= 50; t++) {
        const lr = 0.05 / t;
        const gradients = Object.fromEntries(NAMES.map((name) => [name, draw(SIZES[name])]));
        step.run({ ...gradients, lr, count: t } as never);
        for (const name of NAMES)
          for (const [i, g] of gradients[name].entries())
            rule(state[name], i, g, Math.fround(lr), t, !/\/(rho|logScale)$/.test(name));
      }
      for (const name of NAMES)
        for (const [i, p] of store.get(name).entries())
          expect(Math.abs(p - state[name].p[i]), `${name} ${i}`).toBeLessThan(2e-5);
      const slots = [...store.slots.values()].filter((slot) => slot.name.startsWith("optimizer/"));
      expect(slots).toHaveLength(moments * NAMES.length);
      for (const slot of slots) expect(slot.trainable).toBe(false);
    });
  }

  it("refuse what makes no sense", () => {
    expect(() => sgd({ momentum: 1 })).toThrow(/momentum/);
    expect(() => sgd({ nesterov: true })).toThrow(/momentum above 0 for nesterov/);
    expect(() => sgd({ weightDecay: -1 })).toThrow(/weightDecay/);
    expect(() => adam({ beta1: 1 })).toThrow(/beta1/);
    expect(() => adam({ beta2: Number.NaN })).toThrow(/beta2/);
    expect(() => adam({ epsilon: 0 })).toThrow(/epsilon/);
    expect(() => adamw({ weightDecay: Number.POSITIVE_INFINITY })).toThrow(/weightDecay/);
    using store = new Store(testDevice());
    const run = () =>
      compile({ store }, { lr: [], count: { shape: [], dtype: "i32" } }, ({ lr, count }) => {
        sgd().update(new Map([["p", parameter("p", [2], () => new Float32Array(2))]]), [], lr, count);
        return { lr };
      });
    expect(run).toThrow(/1 gradient, one a parameter, received 0/);
  });
});

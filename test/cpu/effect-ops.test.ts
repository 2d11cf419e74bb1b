import { describe, expect, it } from "vitest";
import { compile, RunError } from "../../lib/graph/compile.ts";
import { constant, type Shape } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { parameter } from "../../lib/graph/trace.ts";
import { setThreads, threads } from "../../lib/native/device.ts";
import { type AdamAttrs, adamUpdate } from "../../lib/ops/adam.ts";
import { add } from "../../lib/ops/add.ts";
import { checkFinite } from "../../lib/ops/checkFinite.ts";
import { clip } from "../../lib/ops/clip.ts";
import { clipByGlobalNorm } from "../../lib/ops/clipByGlobalNorm.ts";
import { klGaussian } from "../../lib/ops/klGaussian.ts";
import { klGaussianAlpha } from "../../lib/ops/klGaussianAlpha.ts";
import { log } from "../../lib/ops/log.ts";
import { logScaleMixtureSum } from "../../lib/ops/logScaleMixtureSum.ts";
import { relu } from "../../lib/ops/relu.ts";
import { scale } from "../../lib/ops/scale.ts";
import { type SgdAttrs, sgdUpdate } from "../../lib/ops/sgd.ts";
import { softmax } from "../../lib/ops/softmax.ts";
import { softmaxCrossEntropy } from "../../lib/ops/softmaxCrossEntropy.ts";
import { square } from "../../lib/ops/square.ts";
import { sum } from "../../lib/ops/sum.ts";
import { testDevice, threadCounts } from "../device.ts";
import { random } from "../ops/harness.ts";

const SIZES = [1, 7, 20_011]; // the last one takes two tasks
const next = random(3);
const draw = (n: number) => Float32Array.from({ length: n }, () => next() * 2 - 1);
const i32 = (shape: Shape) => ({ shape, dtype: "i32" as const });

/** Five updates of three parameters on `n` threads; returns everything that was written. */
function updates(
  n: number,
  rule: { sgd: Partial<SgdAttrs> } | { adam: Partial<AdamAttrs> },
  start: Float32Array[],
  grads: Float32Array[][],
  masks?: Float32Array[],
) {
  setThreads(n);
  using store = new Store(testDevice());
  const slot = (name: string, k: number, init: () => Float32Array) => parameter(`${name}${k}`, [SIZES[k]], init);
  const names = "sgd" in rule ? (rule.sgd.momentum ? ["p", "m"] : ["p"]) : ["p", "m", "v"];
  using step = compile({ store }, { g0: [SIZES[0]], g1: [SIZES[1]], g2: [SIZES[2]], lr: [], step: i32([]) }, (t) => {
    const slots = [t.g0, t.g1, t.g2].map((grad, k) => {
      const zeros = () => new Float32Array(SIZES[k]);
      const param = slot("p", k, () => start[k]);
      const [m, v] = names.slice(1).map((name) => slot(name, k, zeros));
      return { param, grad, m, v, velocity: m, mask: masks && constant(masks[k]) };
    });
    if ("sgd" in rule) sgdUpdate(t.lr, slots, rule.sgd);
    else adamUpdate(t.lr, t.step, slots, rule.adam);
    return { lr: t.lr };
  });
  grads.forEach(([g0, g1, g2], i) => {
    step.run({ g0, g1, g2, lr: 0.1 / (i + 1), step: i + 1 });
  });
  return SIZES.map((_, k) => names.map((name) => store.get(`${name}${k}`) as Float32Array));
}

function reference(
  rule: { sgd: Partial<SgdAttrs> } | { adam: Partial<AdamAttrs> },
  start: Float32Array[],
  grads: Float32Array[][],
) {
  return SIZES.map((n, k) =>
    Array.from({ length: n }, (_, i) => {
      let [p, m, v] = [start[k][i], 0, 0];
      grads.forEach((gs, s) => {
        const lr = Math.fround(0.1 / (s + 1));
        let g = gs[k][i];
        if ("sgd" in rule) {
          const { momentum = 0, nesterov = false, weightDecay = 0 } = rule.sgd;
          g += weightDecay * p;
          m = momentum * m + g;
          p -= lr * (nesterov ? g + momentum * m : momentum ? m : g);
        } else {
          const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0, decoupled = false } = rule.adam;
          if (decoupled) p -= lr * weightDecay * p;
          else g += weightDecay * p;
          m = beta1 * m + (1 - beta1) * g;
          v = beta2 * v + (1 - beta2) * g * g;
          p -= ((lr / (1 - beta1 ** (s + 1))) * m) / (Math.sqrt(v) / Math.sqrt(1 - beta2 ** (s + 1)) + epsilon);
        }
      });
      return p;
    }),
  );
}

describe("optimizer kernels", () => {
  const start = SIZES.map(draw);
  const grads = Array.from({ length: 5 }, () => SIZES.map(draw));
  const rules = [
    { sgd: {} },
    { sgd: { momentum: 0.9, weightDecay: 0.1 } },
    { sgd: { momentum: 0.9, nesterov: true } },
    { adam: {} },
    { adam: { beta1: 0.5, beta2: 0.9, epsilon: 1e-3, weightDecay: 0.1 } },
    { adam: { weightDecay: 0.1, decoupled: true } },
  ];
  for (const rule of rules)
    it(`${JSON.stringify(rule)}: PyTorch's definition, the same bits on any number of threads`, () => {
      const before = threads();
      const [one, ...others] = threadCounts().map((n) => updates(n, rule, start, grads));
      setThreads(before);
      const bits = (run: Float32Array[][]) =>
        Buffer.concat(run.flat().map((a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength)));
      expect(others.every((run) => bits(run).equals(bits(one)))).toBe(true);
      const worst = Math.max(
        ...reference(rule, start, grads).map((want, k) =>
          want.reduce((most, p, i) => Math.max(most, Math.abs(one[k][0][i] - p)), 0),
        ),
      );
      expect(worst).toBeLessThan(2e-6);
    });

  it.each(rules)("%j with a mask: leaves every bit where it is 0, and changes none where it is 1", (rule) => {
    const before = threads();
    const masks = SIZES.map((size) => draw(size).map((x) => (x < 0 ? 0 : 1)));
    const free = updates(1, rule, start, grads);
    const held = updates(2, rule, start, grads, masks);
    setThreads(before);
    masks.forEach((mask, k) => {
      expect(held[k][0]).toEqual(free[k][0].map((p, i) => (mask[i] ? p : start[k][i])));
    });
  });
});

describe("guards", () => {
  it("checkFinite names the op that made the first NaN, and nothing has been committed", () => {
    using store = new Store(testDevice());
    using step = compile({ store }, { x: [20_011], lr: [] }, (t) => {
      const w = parameter("w", [20_011], () => new Float32Array(20_011).fill(1));
      const y = add(log(t.x), square(w));
      checkFinite([sum(y), y]);
      sgdUpdate(t.lr, [{ param: w, grad: y }]);
      return { y: sum(y) };
    });
    const x = new Float32Array(20_011).fill(1);
    step.run({ x, lr: 1 });
    expect(store.get("w")[20_010]).toBe(0);
    for (const bad of [-1, 0, Infinity, NaN]) {
      x[20_010] = bad;
      expect(() => step.run({ x, lr: 1 })).toThrow(RunError);
      expect(() => step.run({ x, lr: 1 })).toThrow(/log/);
    }
    expect(store.get("w").every((v) => v === 0)).toBe(true);
  });

  it("a label outside [0, classes) is an error, not a read past the end", () => {
    using store = new Store(testDevice());
    using p = compile({ store }, { x: [4, 3], y: i32([2]) }, (t) => ({ loss: softmaxCrossEntropy(t.x, t.y) }));
    const x = new Float32Array(12);
    for (const bad of [3, -1, 2 ** 31 - 1, -(2 ** 31)])
      expect(() => p.run({ x, y: Int32Array.of(0, bad) })).toThrow(
        /softmaxCrossEntropy: a label is outside \[0, classes\)/,
      );
    expect(p.run({ x, y: Int32Array.of(0, 2) }).loss[0]).toBeCloseTo(Math.log(3), 6);
  });
});

describe("bad input is one clear sentence", () => {
  const x = constant(new Float32Array(6), [2, 3]);
  const labels = constant(Int32Array.of(0, 1));
  const rows: [string, () => unknown, RegExp][] = [
    [
      "shapes that do not broadcast",
      () => add(x, constant(new Float32Array(2))),
      /\[add\] expected shapes that broadcast/,
    ],
    ["integers", () => log(labels), /\[log\] expected float32 inputs, received "i32\[2\]"/],
    ["integers for a ReLU", () => relu(labels), /\[relu\] expected float32 inputs, received "i32\[2\]"/],
    ["an axis that is not there", () => sum(x, 2), /\[sum\] expected axes from -2 to 1, received 2/],
    ["an axis twice", () => sum(x, [0, -2]), /\[sum\] expected every axis once/],
    ["a factor of NaN", () => scale(x, NaN), /\[scale\] expected the factor to be a finite number/],
    ["max below min", () => clip(x, 1, 0), /\[clip\] expected max/],
    ["softmax of a scalar", () => softmax(constant(1)), /\[softmax\] expected at least one axis/],
    [
      "labels for another batch",
      () => softmaxCrossEntropy(x, constant(Int32Array.of(0, 1, 2, 0))),
      /\[softmaxCrossEntropy\] expected labels/,
    ],
    [
      "float labels",
      () => softmaxCrossEntropy(x, constant(new Float32Array(2))),
      /\[softmaxCrossEntropy\] expected labels i32/,
    ],
    [
      "rho of another shape",
      () => klGaussian(x, constant(new Float32Array(6))),
      /\[klGaussian\] expected inputs of one shape/,
    ],
    ["a prior without width", () => klGaussian(x, x, { priorSigma: 0 }), /\[klGaussian\] expected the prior's sigma/],
    [
      "alpha of another shape",
      () => klGaussianAlpha(x, constant(new Float32Array(2))),
      /\[klGaussianAlpha\] expected logAlpha/,
    ],
    [
      "a share above 1",
      () => logScaleMixtureSum(x, { pi: 1.5, sigma1: 1, sigma2: 1 }),
      /\[logScaleMixtureSum\] expected pi/,
    ],
    ["a limit that is no scalar", () => clipByGlobalNorm([x], x), /\[clipByGlobalNorm\] expected maxNorm/],
  ];
  for (const [name, call, message] of rows) it(name, () => expect(call).toThrow(message));
});

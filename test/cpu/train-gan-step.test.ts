import { afterAll, describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { compile } from "../../lib/graph/compile.ts";
import type { Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { trace } from "../../lib/graph/trace.ts";
import { linear } from "../../lib/layers/linear.ts";
import { setThreads, threads } from "../../lib/native/device.ts";
import { gaussians } from "../../lib/native/gaussians.ts";
import { add } from "../../lib/ops/add.ts";
import { mean } from "../../lib/ops/mean.ts";
import { neg } from "../../lib/ops/neg.ts";
import { softplus } from "../../lib/ops/softplus.ts";
import { tanh } from "../../lib/ops/tanh.ts";
import { adam, sgd } from "../../lib/train/optimizers.ts";
import { testDevice } from "../device.ts";

/**
 * A custom training step: a generative adversarial net on one line of numbers. Two tiny nets share a store; each has its
 * own compiled step and its own optimizer, over its own parameters. This is how to go beyond `fit`:
 *
 * 1. write the nets as functions of traced tensors, with named layers;
 * 2. in compile(), call them, take the gradient of a loss with respect to the parameters to be trained, and hand those and
 *    their gradients to an optimizer, which records the update as part of the step;
 * 3. run the steps in whatever order.
 */
const BATCH = 64;
const store = new Store(testDevice());
const before = threads();
setThreads(1); // enough for nets this small
afterAll(() => {
  setThreads(before);
  store.close();
});

const generator = (z: Tensor): Tensor =>
  linear(tanh(linear(z, 8, { name: "generator/hidden" })), 1, { name: "generator/out" });
/** share: it is in this program already, on other examples. */
const critic = (x: Tensor, share = false): Tensor =>
  linear(tanh(linear(x, 8, { name: "critic/hidden", share })), 1, { name: "critic/out", share });

/** The parameters of one net, out of those that this trace has touched. */
const ownedBy = (net: string) => new Map([...trace().parameters].filter(([name]) => name.startsWith(`${net}/`)));
const update = (net: string, loss: Tensor, optimizer: ReturnType<typeof adam>, t: { lr: Tensor; count: Tensor }) => {
  const parameters = ownedBy(net);
  optimizer.update(parameters, grad(loss, [...parameters.values()]), t.lr, t.count);
  return { loss };
};

// softplus(-s) = -log sigmoid(s), the cross-entropy of "real"; softplus(s) that of "made up"
const scalars = { lr: [], count: { shape: [], dtype: "i32" as const } };
const criticStep = compile({ store }, { z: [BATCH, 2], real: [BATCH, 1], ...scalars }, (t) => {
  const loss = add(mean(softplus(neg(critic(t.real)))), mean(softplus(critic(generator(t.z), true))));
  return update("critic", loss, adam({ beta1: 0.5 }), t);
});
const generatorStep = compile({ store }, { z: [BATCH, 2], ...scalars }, (t) => {
  const loss = mean(softplus(neg(critic(generator(t.z)))));
  return update("generator", loss, sgd({ momentum: 0.5 }), t);
});
const sample = compile({ store }, { z: [BATCH, 2] }, ({ z }) => ({ x: generator(z) }));

const noise = (step: number, width: number, stream: number) =>
  Float32Array.from(gaussians(BATCH * width, 1, stream, { step }));
const values = (net: string) =>
  [...store.slots.keys()].filter((name) => name.startsWith(net)).map((name) => [name, [...store.get(name)]]);

describe("two optimizers over disjoint parameters of one store", () => {
  it("each moves its own parameters only", () => {
    const feeds = { z: noise(0, 2, 1), lr: 0.01, count: 1 };
    const [g, c] = [values("generator"), values("critic")];
    criticStep.run({ ...feeds, real: noise(0, 1, 2) });
    expect(values("generator")).toEqual(g);
    const moved = values("critic");
    expect(moved).not.toEqual(c);
    generatorStep.run(feeds);
    expect(values("critic")).toEqual(moved);
    expect(values("generator")).not.toEqual(g);
    const moments = [...store.slots.keys()].filter((name) => name.startsWith("optimizer/"));
    expect(
      moments.filter((name) => name.startsWith("optimizer/adam/")).every((name) => name.includes("/critic/")),
    ).toBe(true);
    expect(
      moments.filter((name) => name.startsWith("optimizer/sgd/")).every((name) => name.includes("/generator/")),
    ).toBe(true);
    expect(moments).toHaveLength(4 * 2 + 4);
  });

  it("and together they learn where the real numbers lie", () => {
    const made = (step: number) => {
      const { x } = sample.run({ z: noise(step, 2, 3) });
      return x.reduce((a, b) => a + b, 0) / x.length;
    };
    expect(Math.abs(made(0) - 3)).toBeGreaterThan(1.5);
    let last = 0;
    for (let step = 1; step <= 1500; step++) {
      const real = noise(step, 1, 2).map((x) => 3 + 0.5 * x);
      criticStep.run({ z: noise(step, 2, 1), real, lr: 0.01, count: step });
      generatorStep.run({ z: noise(step, 2, 4), lr: 0.02, count: step });
      if (step > 1000) last += made(step) / 500;
    }
    expect(last).toBeGreaterThan(2.3);
    expect(last).toBeLessThan(3.7);
  });
});

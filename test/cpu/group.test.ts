// A program whose per-parameter work is in lists gives the bits of the one that is planned node by node.
import { createHash } from "node:crypto";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { compile } from "../../lib/graph/compile.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { inLayer, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { parameter } from "../../lib/graph/trace.ts";
import type { Goal } from "../../lib/graph/walk.ts";
import { createModel } from "../../lib/models/create.ts";
import type { Model } from "../../lib/models/model.ts";
import { setThreads, threads } from "../../lib/native/device.ts";
import { add } from "../../lib/ops/add.ts";
import { checkFinite } from "../../lib/ops/checkFinite.ts";
import { log } from "../../lib/ops/log.ts";
import { sum } from "../../lib/ops/sum.ts";
import { prune } from "../../lib/prune/prune.ts";
import { forwardProgram, stepProgram } from "../../lib/speed/made.ts";
import { adam, sgd } from "../../lib/train/optimizers.ts";

const grouping = vi.hoisted(() => ({ off: false }));
vi.mock("../../lib/graph/group.ts", async (original) => {
  const { group } = await original<{ group: (goal: Goal, align: number) => Goal }>();
  return { group: (goal: Goal, align: number) => (grouping.off ? goal : group(goal, align)) };
});
const before = threads();
afterEach(() => {
  grouping.off = false;
});
afterAll(() => setThreads(before));

const made = (settings: { readonly model: string; readonly [option: string]: unknown }): Model =>
  createModel({ input: [32, 32, settings.model === "lenet5" ? 1 : 3], classes: 10, seed: 3, ...settings });

const hash = ({ buffer, byteOffset, byteLength }: ArrayBufferView): string =>
  createHash("sha256")
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest("hex");
const hashes = (all: Readonly<Record<string, ArrayBufferView>>) =>
  Object.fromEntries(Object.entries(all).map(([name, values]) => [name, hash(values)]));

/** Two training steps: the results, and everything that the store holds afterwards. */
function trained(model: Model, batch: number, optimizer = adam()) {
  using step = stepProgram(model, batch, optimizer);
  const results = [0, 1].map(() => hashes(step.program.run(step.feeds as never)));
  const slots = hashes(Object.fromEntries([...model.store.slots.keys()].map((name) => [name, model.store.get(name)])));
  return { steps: step.program.planned.steps.length, bits: { results, slots } };
}

describe("training steps have the same bits", () => {
  it.each([
    ["LeNet-5", 20, { model: "lenet5" }],
    ["AlexNet", 2, { model: "alexnet" }],
    ["ResNet-20", 2, { model: "resnet20" }],
    ["LeNet-5 with one alpha a layer", 4, { model: "lenet5", posterior: { kind: "alpha", per: "layer" } }],
    ["LeNet-5 with drawn weights and a sampled KL", 4, { model: "lenet5", estimator: "weight", kl: "sampled" }],
  ] as const)("%s", { timeout: 120_000 }, (_, batch, settings) => {
    const run = (off: boolean) => {
      grouping.off = off;
      using model = made(settings);
      return trained(model, batch);
    };
    const apart = run(true);
    for (const count of [1, 2, 3]) {
      setThreads(count);
      const together = run(false);
      expect(together.steps).toBeLessThan(apart.steps);
      expect(together.bits).toEqual(apart.bits);
    }
  });

  it("a pruned net, with SGD", () => {
    const run = (off: boolean) => {
      grouping.off = off;
      using model = made({ model: "lenet5" });
      prune(model, { sparsity: 0.5 });
      return trained(model, 4, sgd({ momentum: 0.9 }));
    };
    const [apart, together] = [run(true), run(false)];
    expect(together.steps).toBeLessThan(apart.steps / 2);
    expect(together.bits).toEqual(apart.bits);
  });
});

it("predictions have the same bits, and hardly more memory", () => {
  for (const model of ["lenet5", "alexnet"]) {
    using net = made({ model });
    const run = (off: boolean) => {
      grouping.off = off;
      using p = forwardProgram(net, 4, 3);
      return { bits: hashes(p.program.run(p.feeds as never)), arena: p.program.planned.native.arenaBytes };
    };
    const [apart, together] = [run(true), run(false)];
    expect(together.bits).toEqual(apart.bits);
    expect(together.arena).toBeLessThanOrEqual(1.02 * apart.arena + 65536);
  }
});

const logs = (t: Readonly<Record<string, Tensor>>) => {
  const part = (layer: string, n: number) =>
    inLayer(layer, () => log(parameter(`${layer}/w`, [n], () => new Float32Array(n).fill(layer === "bad" ? 0 : 1))));
  const [a, b] = [part("good", 3), part("bad", 5)];
  const y = add(add(sum(a), sum(b)), t.x);
  checkFinite([y]);
  return { y };
};

it("a fault in a list names its layers", () => {
  using store = new Store();
  using p = compile<string, string>({ store }, { x: [] }, logs);
  expect(p.report().steps[0]).toMatchObject({ op: "log", layer: "good, bad" });
  expect(() => p.run({ x: 1 })).toThrow(/not finite.*, made by log \(layers good, bad, at .*group\.test\.ts:\d+\)$/);
});

it("interpret shows every node by itself", () => {
  using store = new Store();
  const layers: (string | undefined)[] = [];
  expect(() =>
    interpret<string, string>({ store }, { x: [] }, { x: 1 }, logs, ({ node }) => layers.push(node.layer)),
  ).toThrow(/not finite/);
  expect(layers.slice(0, 2)).toEqual(["good", "bad"]);
});

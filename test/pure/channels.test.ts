// Which channels of which parameters belong together, on a device that computes nothing.
import { describe, expect, it } from "vitest";
import {
  bayesConv2d,
  bayesLinear,
  categorical,
  concat,
  conv2d,
  costsOf,
  createModel,
  flatten,
  linear,
  Model,
  pixelShuffle,
  relu,
  type Tensor,
} from "../../lib/index.ts";
import { Budget, flowOf } from "../../lib/prune/costs.ts";
import { equalShares } from "../../lib/prune/shrinkExperiment.ts";
import { nullDevice } from "../null-device.ts";

const traced = (build: (x: Tensor) => Tensor) =>
  flowOf(
    new Model({ name: "net", input: [8, 8, 1], likelihood: categorical(2), build, device: nullDevice() }) as Model,
    "sample",
  );

describe("channels", () => {
  it("of a filter are its weights, its bias and what reads it, behind flatten at every pixel", () => {
    const flow = traced((x) => bayesLinear(flatten(relu(bayesConv2d(x, 3, 7, { name: "conv" }))), 2, { name: "fc" }));
    const of = (slot: string, axis: number) =>
      flow.slots
        .get(slot)!
        .axes.get(axis)!
        .map((id) => flow.group(id));
    const [a, b, c] = of("conv/weight/mu", 3);
    expect(new Set([a, b, c]).size).toBe(3);
    for (const slot of ["conv/weight/rho", "conv/bias/mu", "conv/bias/rho"])
      expect(of(slot, slot.includes("bias") ? 0 : 3)).toEqual([a, b, c]);
    for (const slot of ["fc/weight/mu", "fc/weight/rho"])
      expect(of(slot, 0)).toEqual([a, b, c, a, b, c, a, b, c, a, b, c]);
    expect(flow.removable).toEqual([a, b, c]); // neither the image's channel nor the outputs
  });

  it("go side by side in concat, by fours in pixelShuffle, together where a layer is used twice", () => {
    const flow = traced((x) => {
      const both = concat([conv2d(x, 2, 3, { name: "a" }), conv2d(x, 8, 3, { name: "b" })], 3);
      const y = conv2d(pixelShuffle(conv2d(both, 8, 1, { name: "c" }), 2), 2, 1, { name: "d" });
      const z = conv2d(y, 2, 1, { name: "e" });
      return linear(flatten(conv2d(z, 2, 1, { name: "e", share: true })), 2, { name: "out" });
    });
    const makes = (name: string) => flow.products.find((p) => p.node.layer === name)!.makes.map((id) => flow.group(id));
    const reads = (name: string) => flow.products.find((p) => p.node.layer === name)!.reads.map((id) => flow.group(id));
    expect(reads("c")).toEqual([...makes("a"), ...makes("b")]);
    expect(new Set(makes("c")).size).toBe(2);
    expect(reads("d")).toEqual([makes("c")[0], makes("c")[4]]);
    expect(makes("d")).toEqual(makes("e")); // what e reads the second time is what it makes
  });

  it("of a residual net are free inside the blocks, and its stream stays where zeros are padded to it", () => {
    const flow = flowOf(
      createModel({ model: "resnet20", input: [32, 32, 3], classes: 10, device: nullDevice() }) as Model,
      "sample",
    );
    const free = new Set(flow.removable);
    const inner = flow.products.filter((p) => p.makes.every((id) => free.has(flow.group(id)))).map((p) => p.node.layer);
    expect(inner).toHaveLength(9);
    expect(inner.every((name) => /^stage\d\/block\d\/conv1$/.test(name!))).toBe(true);
  });

  it("are counted: what is saved is what there is less of", () => {
    const model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, device: nullDevice() });
    const { weights, multiplyAdds, parameters, layers } = costsOf(model);
    expect({ weights, multiplyAdds, parameters }).toEqual({ weights: 61706, multiplyAdds: 416520, parameters: 123412 });
    expect(layers.map((l) => [l.name, l.weights])).toEqual([["conv1", 156], ["conv2", 2416], ["fc1", 48120], ["fc2", 10164], ["fc3", 850]]); // biome-ignore format: one list
    const flow = flowOf(model, "sample");
    for (const [what, whole] of [["parameters", weights], ["flops", multiplyAdds]] as const) {
      const budget = new Budget(flow, what);
      expect(budget.total).toBeCloseTo(whole, 3);
      for (const group of [flow.removable[0], flow.removable[7], flow.removable.at(-1)!]) {
        const [before, saved] = [budget.total, budget.saved(group)];
        budget.remove(group);
        expect(budget.total).toBeCloseTo(before - saved, 3);
        expect(saved).toBeGreaterThan(0);
      }
    } // biome-ignore format: two of them
    // a filter of conv1: its weights and bias, and conv2's 5x5 weights of 16 filters on it
    expect(new Budget(flow, "parameters").saved(flow.removable[0])).toBeCloseTo(26 + 400, 6);
  });

  it("go in rounds of equal shares", () => {
    expect(equalShares(0.125, 3).map((s) => s.toFixed(6))).toEqual(["0.500000", "0.250000", "0.125000"]);
    expect(equalShares(0.3, 1)).toEqual([0.3]);
  });
});

// One way to say a bias: true, false, or "point" for plain numbers beside weights that have a posterior.
import { describe, expect, it } from "vitest";
import { recipe } from "../../lib/cli/shared/recipe.ts";
import { defaultOptions } from "../../lib/cli/shared/train-options.ts";
import {
  BayesError,
  bayesConv2d,
  bayesLinear,
  categorical,
  conv2d,
  createModel,
  flatten,
  linear,
  Model,
} from "../../lib/index.ts";
import { squares } from "./train-kit.ts";

const lenet = { model: "lenet5", input: [28, 28, 1], classes: 2, device: "cpu" } as const;
const biases = (model: Model) => model.parameters.map((p) => p.name).filter((name) => /^(fc3|l)\/bias/.test(name));

describe("a bias", () => {
  it.each([
    [true, ["/mu", "/rho"]],
    ["point", [""]],
    [false, []],
  ] as const)("%s in createModel, in a layer and in a model's settings", (bias, kinds) => {
    using created = createModel({ ...lenet, bias });
    expect(biases(created)).toEqual(kinds.map((kind) => `fc3/bias${kind}`));
    expect(created.config).toMatchObject({ bias });
    expect(created.config).not.toHaveProperty("device");
    const make = (layer: object, bayes: object) =>
      new Model({
        input: [4, 4, 1],
        likelihood: categorical(2),
        bayes,
        build: (x) => bayesLinear(flatten(bayesConv2d(x, 2, 3, { bias: false })), 2, { name: "l", ...layer }),
      });
    using inLayer = make({ bias }, {});
    using inModel = make({}, { bias });
    for (const model of [inLayer, inModel]) expect(biases(model)).toEqual(kinds.map((kind) => `l/bias${kind}`));
  });

  it("of a plain layer is there or not", () => {
    const make = (bias: unknown) =>
      new Model({
        input: [4, 4, 1],
        likelihood: categorical(2),
        build: (x) => linear(flatten(conv2d(x, 2, 3, { bias: bias as boolean })), 2, { name: "l" }),
      });
    using model = make(false);
    expect(model.parameters.map((p) => p.name)).toEqual(["conv2d_0/weight", "l/weight", "l/bias"]);
    expect(() => make("point")).toThrow(/\[conv2d\] expected bias as boolean, received "point"/);
  });

  it("that is none of them is refused by the words there are", () => {
    for (const bias of ["bayesian", "none", 1, null])
      expect(() => createModel({ ...lenet, bias: bias as never })).toThrow(
        /expected a valid bias \(true, false or "point"\)/,
      );
    expect(
      () =>
        new Model({
          input: [4, 4, 1],
          likelihood: categorical(2),
          bayes: { bias: "none" as never },
          build: (x) => bayesLinear(flatten(x), 2),
        }),
    ).toThrow(/\[bayes\] expected bias to be true, false or "point", received "none"/);
  });

  it("of the command line is the same by other words", () => {
    const data = { train: squares(64), test: squares(8) };
    for (const [word, bias] of [
      ["bayesian", true],
      ["point", "point"],
      ["none", false],
    ] as const)
      expect(recipe({ ...defaultOptions, bias: word }, data).model.bias).toBe(bias);
  });
});

it("a device is a name, wherever one is taken", () => {
  for (const device of ["auto", "cpu"] as const) {
    using model = createModel({ ...lenet, device });
    expect(model.store.device.name).toMatch(/^cpu-/);
  }
  for (const [device, said] of [
    ["cuda:9999", /^\[model lenet5\] expected .*CUDA/],
    ["gpu", /expected device "auto", "cpu", "cuda" or "cuda:<number>", received "gpu"/],
    [{}, /or what openDevice returns, received Object/],
  ] as const)
    expect(() => createModel({ ...lenet, device: device as never })).toThrow(said);
  expect(() => createModel({ ...lenet, device: "cuda:9999" })).toThrow(BayesError);
});

// A name belongs to one layer, and parameters are shared only where that is asked for.

import { describe, expect, it } from "vitest";
import { compile, ops, parameter, Store } from "../../lib/graph.ts";
import {
  alphaPosterior,
  BayesError,
  batchNorm2d,
  bayesConv2d,
  bayesConvTranspose2d,
  bayesLinear,
  conv2d,
  convTranspose2d,
  dropout,
  filterResponseNorm2d,
  flatten,
  gaussianPrior,
  type LayerOptions,
  linear,
  Model,
  type Tensor,
} from "../../lib/index.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";

type Layer = (x: Tensor, options?: LayerOptions) => Tensor;
const layers: Readonly<Record<string, Layer>> = {
  conv2d: (x, o) => conv2d(x, 3, 3, { padding: 1, ...o }),
  bayesConv2d: (x, o) => bayesConv2d(x, 3, 3, { padding: 1, ...o }),
  convTranspose2d: (x, o) => convTranspose2d(x, 3, 3, { padding: 1, ...o }),
  bayesConvTranspose2d: (x, o) => bayesConvTranspose2d(x, 3, 3, { padding: 1, ...o }),
  linear: (x, o) => ops.reshape(linear(flatten(x), 48, o), x.shape),
  bayesLinear: (x, o) => ops.reshape(bayesLinear(flatten(x), 48, o), x.shape),
  batchNorm2d: (x, o) => batchNorm2d(x, o),
  filterResponseNorm2d: (x, o) => filterResponseNorm2d(x, o),
  dropout: (x, o) => dropout(x, 0.5, o),
};
const make = (build: (x: Tensor) => Tensor) =>
  new Model({
    name: "m",
    input: [4, 4, 3],
    likelihood: categorical(2),
    build: (x) => linear(flatten(build(x)), 2, { name: "head" }),
    seed: 1,
  });
const message = (build: () => unknown): string => {
  try {
    build();
  } catch (error) {
    expect(error).toBeInstanceOf(BayesError);
    return (error as Error).message;
  }
  throw new Error("nothing was thrown");
};
const here = String.raw`(?:test/cpu/)?layer-names\.test\.ts:\d+`;

describe.each(Object.entries(layers))("%s", (kind, layer) => {
  it("of a name that is taken is refused with both lines", () => {
    const said = message(() => make((x) => layer(layer(x, { name: "same" }), { name: "same" })));
    expect(said).toMatch(
      new RegExp(
        `^\\[${kind} same at ${here}\\] expected a name of its own, or share: true .*, received the name of the ${kind} at ${here}$`,
      ),
    );
    const other = Object.entries(layers).find(([name]) => name !== kind)![1];
    expect(message(() => make((x) => other(layer(x, { name: "same" }), { name: "same" })))).toContain(
      "a name of its own",
    );
  });

  it("shares its parameters where that is asked for, in every trace", () => {
    using once = make((x) => layer(x, { name: "same" }));
    using twice = make((x) => layer(layer(x, { name: "same" }), { name: "same", share: true }));
    expect(twice.parameters.map((s) => s.name)).toEqual(once.parameters.map((s) => s.name));
    using p = compile({ store: twice.store }, { x: [1, 4, 4, 3] }, ({ x }) => ({
      y: twice.apply(x, { mode: "mean" }).output,
    }));
    expect(p.run({ x: new Float32Array(48).fill(1) }).y.every(Number.isFinite)).toBe(true);
  });

  it("does not share with nobody, with another kind, or without a name", () => {
    expect(message(() => make((x) => layer(x, { name: "only", share: true })))).toContain(
      "expected to share the parameters of a layer of that name before it, received none",
    );
    expect(message(() => make((x) => layer(layer(x), { share: true })))).toContain("before it, received none");
    const [name, other] = Object.entries(layers).find(([name]) => name !== kind)!;
    expect(message(() => make((x) => layer(other(x, { name: "same" }), { name: "same", share: true })))).toMatch(
      new RegExp(`expected to share with ${name}.*, received ${kind}`),
    );
  });

  it("does not take the name that another one got by its ordinal, nor lose its own to one", () => {
    expect(message(() => make((x) => layer(layer(x), { name: `${kind}_0` })))).toContain("a name of its own");
    expect(message(() => make((x) => layer(layer(x, { name: `${kind}_1` }))))).toContain("a name of its own");
  });
});

it("layers share only what they treat alike", () => {
  const two = (first: object, second: object) =>
    message(() =>
      make((x) =>
        bayesConv2d(bayesConv2d(x, 3, 3, { padding: 1, name: "a", ...first }), 3, 3, {
          name: "a",
          share: true,
          ...second,
        }),
      ),
    );
  const narrow = { prior: gaussianPrior({ sigma: 0.01 }) };
  expect(two({}, narrow)).toMatch(/prior gaussian\(0, 0\.1\), KL closed at .*, received .*prior gaussian\(0, 0\.01\)/);
  expect(two({ posterior: alphaPosterior() }, {})).toMatch(/posterior alpha.*received .*posterior rho/);
  expect(two({ kl: "sampled" }, {})).toMatch(/KL sampled at .*received .*KL closed/);
  expect(message(() => make((x) => conv2d(conv2d(x, 3, 3, { name: "a" }), 4, 3, { name: "a", share: true })))).toMatch(
    /store a\/weight\] expected f32/,
  );
});

it("models are traced apart: one may be applied twice in a program", () => {
  using model = make((x) => layers.conv2d(x, { name: "c" }));
  using p = compile({ store: model.store }, { x: [1, 4, 4, 3] }, ({ x }) => {
    const [a, b] = [0, 1].map(() => model.apply(x, { mode: "mean" }).output);
    return { a, b };
  });
  const { a, b } = p.run({ x: new Float32Array(48).fill(0.5) });
  expect(a).toEqual(b);
});

describe("parameter", () => {
  const traced = (build: () => Record<string, Tensor>) => {
    using store = new Store("cpu");
    compile({ store }, {}, build).close();
  };
  const gain = (options?: { trainable?: boolean; share?: boolean }) =>
    parameter("gain", [1], () => Float32Array.of(2), options);
  it("of a name that is taken is refused unless it is shared", () => {
    expect(message(() => traced(() => ({ y: ops.mul(gain(), gain()) })))).toMatch(
      new RegExp(`^\\[parameter gain\\] expected a name of its own, or share: true .* made by leaf \\(at ${here}\\)$`),
    );
    traced(() => ({ y: ops.mul(gain(), gain({ share: true })) }));
  });
  it.each(["mask/conv/weight", "optimizer/adam/m/w", "data/train/images", "", undefined])(
    "may not be called %s",
    (name) => {
      expect(message(() => traced(() => ({ y: parameter(name as string, [1], () => Float32Array.of(1)) })))).toContain(
        "[parameter] expected a name",
      );
      if (name) expect(message(() => make((x) => conv2d(x, 3, 3, { name })))).toContain("[parameter] expected a name");
    },
  );
});

// Bayesian layers in a program of one's own: what they are told, and their KL terms, through bayescnn/graph alone.
import { expect, it } from "vitest";
import { compile, klTermsOf, layerContext, ops, Store, withTrace } from "../../lib/graph.ts";
import { bayesLinear, linear } from "../../lib/index.ts";

it("gives the KL of the layers that have a posterior, whatever their function is called", () => {
  using store = new Store();
  const context = layerContext({ bayesianLayers: ["b"] });
  const program = compile({ store, context }, { x: [4, 3] }, ({ x }) => {
    const y = bayesLinear(linear(x, 5, { name: "b" }), 2, { name: "a" });
    const terms = klTermsOf();
    expect(terms.map((t) => t.layer)).toEqual(["b/weight", "b/bias"]);
    return { y, kl: terms.map((t) => t.value).reduce((a, b) => ops.add(a, b)) };
  });
  const { kl, y } = program.run({ x: new Float32Array(12) });
  expect(kl[0]).toBeGreaterThan(0);
  expect(y).toHaveLength(8);
  program.close();
});

it.each([
  ["local", "mean"],
  ["local", "sample"],
  ["weight", "mean"],
  ["weight", "sample"],
] as const)("knows the user's line of a layer, estimator %s in mode %s", (estimator, mode) => {
  using store = new Store();
  const context = layerContext({ bayes: { estimator } });
  const i32 = (n: number) => ({ shape: [n], dtype: "i32" }) as const;
  const program = compile({ store }, { x: [2, 3], rng: i32(4), rows: i32(2) }, ({ x, rng, rows }) => {
    const noise = mode === "sample" ? { noise: { rng, rows } } : {};
    const y = withTrace({ store, mode, context, ...noise }, () => bayesLinear(x, 2)).value;
    expect(y.node.site).toMatch(/layer-context\.test\.ts:\d+$/);
    return { y };
  });
  program.close();
});

it("refuses what is no trace and no settings at once, and changes neither", () => {
  const none = Object.freeze({}) as never;
  expect(() => klTermsOf(none)).toThrow("[klTermsOf] expected a trace, as withTrace returns it");
  expect(() => klTermsOf()).toThrow(/a model function/);
  expect(() => layerContext(undefined as never)).toThrow("[layerContext] expected options as an object");
  expect(() => layerContext({ bayes: { estimator: "both" } } as never)).toThrow(/estimator/);
  expect(() => layerContext({ frozen: "conv1" } as never)).toThrow(/frozen/);
});

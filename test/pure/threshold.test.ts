import { describe, expect, it } from "vitest";
import type { Likelihood, Prediction } from "../../lib/likelihoods/shared/likelihood.ts";
import { wilson } from "../../lib/metrics/statistics.ts";
import type { Model } from "../../lib/models/model.ts";
import { chooseThreshold, selective, type ThresholdOptions } from "../../lib/predict/threshold.ts";
import { generator } from "./report-kit.ts";

/** A model whose certainties and costs are given. */
function choose(certainty: Float64Array, cost: Float64Array, options: ThresholdOptions, mostCost?: number) {
  const likelihood = { config: { kind: "made" }, certainty: () => certainty, cost: () => cost, mostCost };
  const model = {
    likelihood: likelihood as unknown as Likelihood,
    targetShape: [] as readonly number[],
  } as Model<Likelihood>;
  return chooseThreshold(model, {} as Prediction, new Int32Array(cost.length), options);
}

describe("a threshold for an error", () => {
  it("keeps its error on new examples, not only on those that it was chosen on", () => {
    const [draws, n, maxError] = [300, 2000, 0.1];
    const next = generator(7);
    let broken = 0;
    let covered = 0;
    for (let d = 0; d < draws; d++) {
      const certainty = Float64Array.from({ length: n }, () => 0.5 + next() / 2);
      const cost = certainty.map((c) => Number(next() > c)); // wrong with probability 1 - c
      const { certainty: t, coverage } = choose(certainty, cost, { maxError }, 1);
      if ((1 - t) / 2 > maxError) broken++; // the mean of 1 - c above t
      covered += coverage / draws;
    }
    // by the upper end of a 95 % interval one draw in forty breaks it; many thresholds are looked at, so allow one in ten
    expect(broken / draws).toBeLessThan(0.1);
    expect(covered).toBeGreaterThan(0.3); // 0.4 is what the truth allows
  });

  it("is judged by the upper end of the interval, also where costs are no shares", () => {
    const n = 1000;
    const certainty = Float64Array.from({ length: n }, (_, i) => n - i);
    for (const [maxError, costOf] of [
      [0.07, (i: number) => Number(i % 20 === 7)],
      [0.05, (i: number) => (i % 20) / 200],
    ] as const) {
      const cost = Float64Array.from({ length: n }, (_, i) => costOf(i));
      const { certainty: t, risk } = choose(certainty, cost, { maxError });
      const found = selective(certainty, cost, t);
      expect(found.risk).toBe(risk);
      expect(found.interval[1]).toBeLessThanOrEqual(maxError);
      expect(found.interval[1]).toBeGreaterThan(maxError - 0.01);
      expect(() => choose(certainty, cost, { maxError: 0.001 })).toThrow(/at most 0\.001 on 1000 examples/);
    }
  });

  it("refuses an error above the largest, no answers at all, and targets of another number", () => {
    const certainty = Float64Array.from({ length: 50 }, (_, i) => i);
    const none = new Float64Array(50);
    expect(() => choose(certainty, none, { maxError: 10 }, 1)).toThrow(/maxError/);
    expect(() => choose(certainty, none, { minCoverage: 0 }, 1)).toThrow(/minCoverage/);
    expect(() => choose(certainty, none.subarray(5), { minCoverage: 0.5 }, 1)).toThrow(
      /50 targets for 50 predictions, received 45/,
    );
  });

  it("needs examples: a few answers without a mistake prove nothing", () => {
    const certainty = Float64Array.from({ length: 50 }, (_, i) => i);
    expect(() => choose(certainty, new Float64Array(50), { maxError: 0.05 }, 1)).toThrow(/few answers prove little/);
    expect(choose(certainty, new Float64Array(50), { maxError: 0.1 }, 1).coverage).toBe(1);
  });
});

it("wilson's interval has its textbook values", () => {
  const [low, high] = wilson(5 / 100, 100);
  expect(low).toBeCloseTo(0.02154, 5);
  expect(high).toBeCloseTo(0.11175, 5);
  expect(wilson(0, 50)[1]).toBeCloseTo(0.07135, 5);
});

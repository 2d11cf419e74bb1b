import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { aupr, auroc, fpr95, riskCoverage } from "../../lib/metrics/ood.ts";

/** Scores from a small grid, so that ties within and between the two groups are common, and from the reals. */
const scores = fc.oneof(
  fc.array(
    fc.integer({ min: 0, max: 6 }).map((x) => x / 4),
    { minLength: 1, maxLength: 30 },
  ),
  fc.array(fc.double({ noNaN: true }), { minLength: 1, maxLength: 30 }),
);

/** Every threshold in turn: the points of the ROC and the precision-recall curve, counted from scratch. */
function sweep(scoresIn: number[], scoresOut: number[]): { tpr: number; fpr: number; precision: number }[] {
  const thresholds = [...new Set([...scoresIn, ...scoresOut].map((x) => x + 0))].sort((a, b) => (a < b ? 1 : -1));
  return thresholds.map((t) => {
    const tp = scoresOut.filter((x) => x >= t).length;
    const fp = scoresIn.filter((x) => x >= t).length;
    return { tpr: tp / scoresOut.length, fpr: fp / scoresIn.length, precision: tp / (tp + fp) };
  });
}

describe("AUROC", () => {
  it("matches hand-computed values", () => {
    expect(auroc([1, 2, 3], [4, 5])).toBe(1);
    expect(auroc([4, 5], [1, 2, 3])).toBe(0);
    expect(auroc([1, 1], [1, 1, 1])).toBe(0.5);
    // pairs (out, in): 2>1, 2=2, 3>1, 3>2 -> 3.5 of 4
    expect(auroc([1, 2], [2, 3])).toBe(3.5 / 4);
    expect(auroc([Number.NEGATIVE_INFINITY, 0], [0, Number.POSITIVE_INFINITY])).toBe(3.5 / 4);
  });

  it("equals the count over all pairs, and the trapezoids under the ROC curve", () => {
    fc.assert(
      fc.property(scores, scores, (a, b) => {
        let pairs = 0;
        for (const x of a) for (const y of b) pairs += y > x ? 1 : y === x ? 0.5 : 0;
        const value = auroc(a, b);
        expect(value).toBeCloseTo(pairs / (a.length * b.length), 12);
        let area = 0;
        let last = { tpr: 0, fpr: 0 };
        for (const point of sweep(a, b)) {
          area += ((point.fpr - last.fpr) * (point.tpr + last.tpr)) / 2;
          last = point;
        }
        expect(value).toBeCloseTo(area, 10);
        expect(auroc(b, a)).toBeCloseTo(1 - value, 12);
      }),
    );
  });
});

describe("AUPR", () => {
  it("matches hand-computed values", () => {
    expect(aupr([1, 2], [3, 4])).toBe(1);
    // from the top: out, in, out -> 1/2 * 1 + 1/2 * 2/3
    expect(aupr([2], [1, 3])).toBeCloseTo(5 / 6, 12);
    expect(aupr([1, 1, 1], [1])).toBe(0.25);
  });

  it("equals the sum over all thresholds", () => {
    fc.assert(
      fc.property(scores, scores, (a, b) => {
        let area = 0;
        let recall = 0;
        for (const point of sweep(a, b)) {
          area += (point.tpr - recall) * point.precision;
          recall = point.tpr;
        }
        expect(aupr(a, b)).toBeCloseTo(area, 10);
      }),
    );
  });
});

describe("FPR at 95 % TPR", () => {
  it("matches hand-computed values", () => {
    const out = Array.from({ length: 20 }, (_, i) => i); // 19 of 20 have a score >= 1
    expect(fpr95([0.5, 0.9], out)).toBe(0);
    expect(fpr95([0.5, 1, 2, -1], out)).toBe(0.5);
    expect(fpr95([5, 5], [5])).toBe(1);
  });

  it("is the smallest false positive rate of any threshold that reaches 95 %", () => {
    fc.assert(
      fc.property(scores, scores, (a, b) => {
        const reached = sweep(a, b).filter((p) => p.tpr >= 0.95);
        expect(fpr95(a, b)).toBeCloseTo(Math.min(...reached.map((p) => p.fpr)), 12);
      }),
    );
  });

  it("AUROC, AUPR and FPR95 do not change under a rising transform of the scores", () => {
    const grid = fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(grid, grid, (a, b) => {
        const f = (x: number) => 3 * x ** 3 + 1;
        for (const metric of [auroc, aupr, fpr95]) expect(metric(a.map(f), b.map(f))).toBe(metric(a, b));
      }),
    );
  });
});

describe("risk-coverage", () => {
  it("matches a hand-computed curve", () => {
    const { coverage, risk, aurc } = riskCoverage([0.9, 0.8, 0.7, 0.6], [true, false, true, false]);
    expect([...coverage]).toEqual([0.25, 0.5, 0.75, 1]);
    expect([...risk]).toEqual([0, 0.5, 1 / 3, 0.5]);
    expect(aurc).toBeCloseTo((0 + 0.5 + 1 / 3 + 0.5) / 4, 12);
  });

  it("takes the expectation over the order of equal confidences", () => {
    // Either order of {right, wrong}: risk at half coverage is 0 or 1.
    expect([...riskCoverage([1, 1], [1, 0]).risk]).toEqual([0.5, 0.5]);
  });

  it("equals a naive reference, ends at the error rate and does not depend on the order", () => {
    const input = fc.array(fc.tuple(fc.integer({ min: 0, max: 8 }), fc.boolean()), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(input, (rows) => {
        const { risk, aurc } = riskCoverage(
          rows.map((r) => r[0]),
          rows.map((r) => r[1]),
        );
        const n = rows.length;
        for (let k = 1; k <= n; k++) {
          const last = rows.map((r) => r[0]).sort((a, b) => b - a)[k - 1];
          const above = rows.filter((r) => r[0] > last);
          const tied = rows.filter((r) => r[0] === last);
          const errors = (part: typeof rows) => part.filter((r) => !r[1]).length;
          const expected = errors(above) + ((k - above.length) * errors(tied)) / tied.length;
          expect(risk[k - 1]).toBeCloseTo(expected / k, 12);
        }
        expect(risk[n - 1]).toBeCloseTo(rows.filter((r) => !r[1]).length / n, 12);
        expect(aurc).toBeCloseTo(risk.reduce((a, b) => a + b, 0) / n, 12);
        const back = [...rows].reverse();
        expect(
          riskCoverage(
            back.map((r) => r[0]),
            back.map((r) => Number(r[1])),
          ).aurc,
        ).toBeCloseTo(aurc, 12);
      }),
    );
  });
});

describe("bad scores", () => {
  for (const [name, f] of Object.entries({ auroc, aupr, fpr95 })) {
    it(`${name} says what is wrong`, () => {
      expect(() => f([], [1])).toThrow(`[${name}] expected at least one in-distribution score, received none`);
      expect(() => f([1], [])).toThrow(/at least one out-of-distribution score/);
      expect(() => f([1, Number.NaN], [1])).toThrow(/in-distribution score 1 to be a number, received NaN/);
      expect(() => f([1], Float32Array.of(Number.NaN))).toThrow(/out-of-distribution score 0/);
    });
  }
  it("riskCoverage says what is wrong", () => {
    expect(() => riskCoverage([], [])).toThrow(/at least one confidence score/);
    expect(() => riskCoverage([1], [1, 0])).toThrow(/1 entries in correct, one per confidence, received 2/);
    expect(() => riskCoverage([Number.NaN], [1])).toThrow(/confidence score 0/);
    expect(() => riskCoverage([1], [2])).toThrow(/correct\[0\] to be 0, 1 or a boolean, received 2/);
  });
});

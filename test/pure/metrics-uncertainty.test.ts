import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decompose,
  expectedEntropy,
  meanProbabilities,
  mutualInformation,
  normalizedSoftplusRows,
  predictiveEntropy,
  softmaxRows,
} from "../../lib/metrics/uncertainty.ts";

/** Random logits [S, N, C] with their sizes; spread up to +-30, so nearly one-hot rows are common. */
const sampled = fc
  .record({ s: fc.integer({ min: 1, max: 6 }), n: fc.integer({ min: 1, max: 5 }), c: fc.integer({ min: 2, max: 6 }) })
  .chain(({ s, n, c }) =>
    fc
      .array(fc.double({ min: -30, max: 30, noNaN: true }), { minLength: s * n * c, maxLength: s * n * c })
      .map((logits) => ({ s, n, c, p: softmaxRows(Float64Array.from(logits), c) })),
  );

/** The samples of one row as plain arrays [S][C]. */
function rowsOf(p: Float32Array, s: number, n: number, c: number, row: number): number[][] {
  return Array.from({ length: s }, (_, k) => Array.from(p.subarray((k * n + row) * c, (k * n + row + 1) * c)));
}

const entropy = (q: number[]) => q.reduce((sum, x) => sum - (x === 0 ? 0 : x * Math.log(x)), 0);
const average = (xs: number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;

describe("softmax and normalized softplus", () => {
  it("match hand-computed rows", () => {
    const soft = softmaxRows(Float32Array.of(0, Math.log(3), 5, 5), 2);
    expect(soft[0]).toBeCloseTo(0.25, 6);
    expect(soft[1]).toBeCloseTo(0.75, 6);
    expect([...soft.subarray(2)]).toEqual([0.5, 0.5]);
    // softplus(0) = log 2, softplus(log 3) = log 4 = 2 log 2
    const plus = normalizedSoftplusRows(Float32Array.of(0, Math.log(3)), 2);
    expect(plus[0]).toBeCloseTo(1 / 3, 6);
    expect(plus[1]).toBeCloseTo(2 / 3, 6);
  });

  it("equal the textbook formula where that is safe to compute", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -20, max: 20, noNaN: true }), { minLength: 2, maxLength: 8 }), (z) => {
        const exp = z.map(Math.exp);
        const plus = z.map((v) => Math.log(1 + Math.exp(v)));
        const total = (xs: number[]) => xs.reduce((a, b) => a + b, 0);
        const soft = softmaxRows(Float64Array.from(z), z.length);
        const norm = normalizedSoftplusRows(Float64Array.from(z), z.length);
        for (let i = 0; i < z.length; i++) {
          expect(soft[i]).toBeCloseTo(exp[i] / total(exp), 6);
          expect(norm[i]).toBeCloseTo(plus[i] / total(plus), 6);
        }
      }),
    );
  });

  it("stay distributions for any finite logits", () => {
    fc.assert(
      fc.property(fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 3, maxLength: 3 }), (z) => {
        for (const rows of [softmaxRows, normalizedSoftplusRows]) {
          const p = rows(Float32Array.from(z), 3);
          expect(p[0] + p[1] + p[2]).toBeCloseTo(1, 5);
          expect(Math.min(...p)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
    expect([...normalizedSoftplusRows(Float32Array.of(-1000, -1000), 2)]).toEqual([0.5, 0.5]);
  });

  it("refuse bad logits", () => {
    expect(() => softmaxRows(Float32Array.of(1, Number.NaN), 2)).toThrow(/finite logits \(row 0, class 1\).*NaN/);
    expect(() => softmaxRows(Float32Array.of(1, 2, 3), 2)).toThrow(/rows of 2 logits.*3 values/);
    expect(() => normalizedSoftplusRows(new Float32Array(0), 2)).toThrow(/one or more rows/);
    expect(() => softmaxRows(Float32Array.of(1), 1)).toThrow(/classes C/);
  });
});

describe("epistemic and aleatoric", () => {
  it("separate disagreement from doubt", () => {
    // Two samples, two rows. Row 0: certain but contradicting. Row 1: agreed on a coin toss.
    const p = Float32Array.of(1, 0, 0.5, 0.5, 0, 1, 0.5, 0.5);
    const d = decompose(p, 2, 2, 2);
    expect([...d.epistemic]).toEqual([0.25, 0.25, 0, 0]);
    expect([...d.aleatoric]).toEqual([0, 0, 0.25, 0.25]);
    expect([...d.epistemicTotal]).toEqual([0.5, 0]);
    expect([...d.aleatoricTotal]).toEqual([0, 0.5]);
    expect([...meanProbabilities(p, 2, 2, 2)]).toEqual([0.5, 0.5, 0.5, 0.5]);
    expect(predictiveEntropy(p, 2, 2, 2)[0]).toBeCloseTo(Math.LN2, 6);
    expect([...expectedEntropy(p, 2, 2, 2)].map((x) => x.toFixed(6))).toEqual(["0.000000", Math.LN2.toFixed(6)]);
    expect(mutualInformation(p, 2, 2, 2)[0]).toBeCloseTo(Math.LN2, 6);
    expect(mutualInformation(p, 2, 2, 2)[1]).toBe(0);
  });

  it("equal a naive reference, are never negative and add up to p (1 - p)", () => {
    fc.assert(
      fc.property(sampled, ({ s, n, c, p }) => {
        const d = decompose(p, s, n, c);
        const mean = meanProbabilities(p, s, n, c);
        for (let row = 0; row < n; row++) {
          const draws = rowsOf(p, s, n, c, row);
          let total = 0;
          for (let k = 0; k < c; k++) {
            const xs = draws.map((q) => q[k]);
            const m = average(xs);
            const i = row * c + k;
            expect(mean[i]).toBeCloseTo(m, 6);
            expect(d.epistemic[i]).toBeCloseTo(average(xs.map((x) => x * x)) - m * m, 6);
            expect(d.aleatoric[i]).toBeCloseTo(average(xs.map((x) => x * (1 - x))), 6);
            expect(d.epistemic[i] + d.aleatoric[i]).toBeCloseTo(m * (1 - m), 6);
            expect(Math.min(d.epistemic[i], d.aleatoric[i])).toBeGreaterThanOrEqual(0);
            total += d.epistemic[i];
          }
          expect(d.epistemicTotal[row]).toBeCloseTo(total, 5);
        }
      }),
    );
  });

  it("is all aleatoric with one sample", () => {
    const p = softmaxRows(Float32Array.of(0.3, -1, 2, 0.1), 2);
    expect([...decompose(p, 1, 2, 2).epistemicTotal]).toEqual([0, 0]);
    expect([...mutualInformation(p, 1, 2, 2)]).toEqual([0, 0]);
  });
});

describe("entropies", () => {
  it("equal a naive reference, and mutual information is their difference", () => {
    fc.assert(
      fc.property(sampled, ({ s, n, c, p }) => {
        const total = predictiveEntropy(p, s, n, c);
        const inside = expectedEntropy(p, s, n, c);
        const between = mutualInformation(p, s, n, c);
        for (let row = 0; row < n; row++) {
          const draws = rowsOf(p, s, n, c, row);
          const mean = Array.from({ length: c }, (_, k) => average(draws.map((q) => q[k])));
          expect(total[row]).toBeCloseTo(entropy(mean), 5);
          expect(inside[row]).toBeCloseTo(average(draws.map(entropy)), 5);
          expect(between[row]).toBeCloseTo(entropy(mean) - average(draws.map(entropy)), 5);
          expect(between[row]).toBeGreaterThanOrEqual(0);
          expect(total[row]).toBeLessThanOrEqual(Math.log(c) + 1e-5);
        }
      }),
    );
  });

  it("do not depend on the order of the samples", () => {
    fc.assert(
      fc.property(sampled, ({ s, n, c, p }) => {
        const reversed = new Float32Array(p.length);
        for (let k = 0; k < s; k++) reversed.set(p.subarray(k * n * c, (k + 1) * n * c), (s - 1 - k) * n * c);
        const a = mutualInformation(p, s, n, c);
        const b = mutualInformation(reversed, s, n, c);
        for (let row = 0; row < n; row++) expect(a[row]).toBeCloseTo(b[row], 6);
      }),
    );
  });
});

describe("bad samples", () => {
  const all = { meanProbabilities, decompose, predictiveEntropy, expectedEntropy, mutualInformation };
  for (const [name, f] of Object.entries(all)) {
    it(`${name} says what is wrong`, () => {
      const p = Float32Array.of(0.5, 0.5, 0.5, 0.5);
      expect(() => f(p, 2, 2, 2)).toThrow(
        new RegExp(`\\[${name}\\] expected S \\* N \\* C = 2 \\* 2 \\* 2 = 8 values`),
      );
      expect(() => f(p, 0, 2, 2)).toThrow(/samples S to be an integer >= 1/);
      expect(() => f(new Float32Array(0), 1, 0, 2)).toThrow(/rows N to be an integer >= 1/);
      expect(() => f(Float32Array.of(0.5, Number.NaN), 1, 1, 2)).toThrow(/probability in \[0, 1\] \(row 0\).*NaN/);
      expect(() => f(Float32Array.of(3, -1), 1, 1, 2)).toThrow(/probability in \[0, 1\]/);
      expect(() => f(Float32Array.of(0.5, 0.4), 1, 1, 2)).toThrow(/row 0 of probabilities to sum to 1/);
      expect(() => f([0.5, 0.5] as unknown as Float32Array, 1, 1, 2)).toThrow(/Float32Array/);
    });
  }
});

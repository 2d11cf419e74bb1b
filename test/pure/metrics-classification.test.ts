import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { adaptiveEce, ece, reliabilityBins } from "../../lib/metrics/calibration.ts";
import { accuracy, brier, classificationMetrics, nll, PROBABILITY_FLOOR } from "../../lib/metrics/classification.ts";
import { softmaxRows } from "../../lib/metrics/uncertainty.ts";

/** Random predictions [N, C] with labels. Logits from a coarse grid too, so equal confidences happen. */
const labelled = fc
  .record({ n: fc.integer({ min: 1, max: 40 }), c: fc.integer({ min: 2, max: 5 }), coarse: fc.boolean() })
  .chain(({ n, c, coarse }) =>
    fc.record({
      n: fc.constant(n),
      c: fc.constant(c),
      logits: fc.array(coarse ? fc.integer({ min: -2, max: 2 }) : fc.double({ min: -8, max: 8, noNaN: true }), {
        minLength: n * c,
        maxLength: n * c,
      }),
      labels: fc.array(fc.integer({ min: 0, max: c - 1 }), { minLength: n, maxLength: n }),
    }),
  )
  .map(({ n, c, logits, labels }) => ({ n, c, labels, probs: softmaxRows(Float64Array.from(logits), c) }));

/** Top-label confidence and hit of each row, by plain arrays. */
function top(probs: Float32Array, labels: number[], c: number): { p: number; hit: number }[] {
  return labels.map((label, n) => {
    const row = [...probs.subarray(n * c, (n + 1) * c)];
    const p = Math.max(...row);
    return { p, hit: row.indexOf(p) === label ? 1 : 0 };
  });
}

const sum = (xs: number[]) => xs.reduce((a, b) => a + b, 0);

describe("accuracy, NLL and Brier", () => {
  // Rows: right and sure, right, wrong.
  const probs = Float64Array.of(1, 0, 0, 0.5, 0.25, 0.25, 0.25, 0.25, 0.5);
  const labels = [0, 0, 1];

  it("match hand-computed values", () => {
    expect(accuracy(probs, labels)).toBeCloseTo(2 / 3, 12);
    expect(nll(probs, labels)).toBeCloseTo((0 + Math.log(2) + Math.log(4)) / 3, 12);
    expect(brier(probs, labels)).toBeCloseTo((0 + (0.25 + 0.0625 * 2) + (0.0625 + 0.5625 + 0.25)) / 3, 12);
  });

  it("take any kind of labels", () => {
    for (const kind of [Uint8Array, Uint16Array, Uint32Array, Int32Array]) {
      expect(accuracy(probs, kind.from(labels))).toBeCloseTo(2 / 3, 12);
    }
  });

  it("floor a probability of zero", () => {
    expect(nll(Float32Array.of(1, 0), [1])).toBeCloseTo(-Math.log(PROBABILITY_FLOOR), 10);
    expect(nll(Float32Array.of(1, 0), [0])).toBe(0);
    expect(brier(Float32Array.of(1, 0), [1])).toBe(2);
  });

  it("give a tie to the first class", () => {
    expect(accuracy(Float32Array.of(0.5, 0.5), [0])).toBe(1);
    expect(accuracy(Float32Array.of(0.5, 0.5), [1])).toBe(0);
  });

  it("equal a naive reference", () => {
    fc.assert(
      fc.property(labelled, ({ n, c, probs, labels }) => {
        const hits = top(probs, labels, c).map((t) => t.hit);
        expect(accuracy(probs, labels)).toBeCloseTo(sum(hits) / n, 12);
        expect(nll(probs, labels)).toBeCloseTo(-sum(labels.map((y, i) => Math.log(probs[i * c + y]))) / n, 9);
        const squares = labels.map((y, i) =>
          sum([...probs.subarray(i * c, (i + 1) * c)].map((p, k) => (p - Number(k === y)) ** 2)),
        );
        expect(brier(probs, labels)).toBeCloseTo(sum(squares) / n, 12);
      }),
    );
  });
});

describe("calibration", () => {
  it("matches a hand-computed diagram", () => {
    // Confidence 0.6 twice (one right), 0.9 twice (both right); two bins: all four fall in (0.5, 1].
    const probs = Float64Array.of(0.6, 0.4, 0.4, 0.6, 0.9, 0.1, 0.1, 0.9);
    const labels = [0, 0, 0, 1];
    const bins = reliabilityBins(probs, labels, { bins: 2 });
    expect(bins[0]).toEqual({ lower: 0, upper: 0.5, count: 0, confidence: 0, accuracy: 0 });
    expect(bins[1].count).toBe(4);
    expect(bins[1].confidence).toBeCloseTo(0.75, 12);
    expect(bins[1].accuracy).toBe(0.75);
    expect(ece(probs, labels, { bins: 2 })).toBeCloseTo(0, 12);
    // Equal mass: {0.6, 0.6} with accuracy 0.5 and {0.9, 0.9} with accuracy 1.
    expect(adaptiveEce(probs, labels, { bins: 2 })).toBeCloseTo(0.5 * 0.1 + 0.5 * 0.1, 12);
    expect(ece(probs, labels, { bins: 10 })).toBeCloseTo(0.1, 12);
  });

  it("puts a confidence on an edge into the bin below it and the next number above into the bin above", () => {
    for (let bins = 1; bins <= 100; bins++) {
      const binOf = (p: number) =>
        reliabilityBins(Float64Array.of(p, 1 - p), [0], { bins }).findIndex((bin) => bin.count === 1);
      for (let i = Math.ceil(bins / 2); i <= bins; i++) {
        expect(binOf(i / bins), `${i} / ${bins}`).toBe(i - 1);
        if (i < bins) expect(binOf((i / bins) * (1 + 2 ** -52)), `above ${i} / ${bins}`).toBe(i);
      }
    }
  });

  it("is perfect for a calibrated coin and 1 - accuracy for a certain liar", () => {
    expect(ece(Float64Array.of(0.5, 0.5, 0.5, 0.5), [0, 1])).toBe(0);
    expect(ece(Float64Array.of(1, 0, 1, 0), [1, 1])).toBe(1);
    expect(adaptiveEce(Float64Array.of(1, 0, 1, 0), [1, 1])).toBe(1);
  });

  it("equals a naive reference", () => {
    fc.assert(
      fc.property(labelled, fc.integer({ min: 1, max: 20 }), ({ n, c, probs, labels }, bins) => {
        const rows = top(probs, labels, c);
        let expected = 0;
        for (let i = 0; i < bins; i++) {
          const inside = rows.filter((r) => r.p > i / bins && r.p <= (i + 1) / bins);
          expected += Math.abs(sum(inside.map((r) => r.hit)) - sum(inside.map((r) => r.p))) / n;
        }
        expect(ece(probs, labels, { bins })).toBeCloseTo(expected, 10);
        expect(sum(reliabilityBins(probs, labels, { bins }).map((b) => b.count))).toBe(n);
      }),
    );
  });

  it("adaptive: equals a naive reference, does not depend on the order, and is the plain gap with one bin", () => {
    fc.assert(
      fc.property(labelled, fc.integer({ min: 1, max: 20 }), ({ n, c, probs, labels }, bins) => {
        const rows = top(probs, labels, c);
        const shared = rows
          .map((r) => {
            const tied = rows.filter((q) => q.p === r.p);
            return { p: r.p, hit: sum(tied.map((q) => q.hit)) / tied.length };
          })
          .sort((a, b) => a.p - b.p);
        let expected = 0;
        for (let i = 0; i < bins; i++) {
          const part = shared.slice(Math.floor((i * n) / bins), Math.floor(((i + 1) * n) / bins));
          expected += Math.abs(sum(part.map((r) => r.hit - r.p))) / n;
        }
        const value = adaptiveEce(probs, labels, { bins });
        expect(value).toBeCloseTo(expected, 10);
        const back = Float32Array.from({ length: n * c }, (_, i) => probs[(n - 1 - Math.floor(i / c)) * c + (i % c)]);
        expect(adaptiveEce(back, [...labels].reverse(), { bins })).toBeCloseTo(value, 10);
        const gap = Math.abs(sum(rows.map((r) => r.hit - r.p))) / n;
        expect(adaptiveEce(probs, labels, { bins: 1 })).toBeCloseTo(gap, 10);
        expect(value).toBeGreaterThanOrEqual(gap - 1e-10);
      }),
    );
  });
});

describe("classificationMetrics", () => {
  it("is the single figures together", () => {
    fc.assert(
      fc.property(labelled, ({ n, c, probs, labels }) => {
        expect(classificationMetrics(probs, labels)).toEqual({
          count: n,
          accuracy: accuracy(probs, labels),
          nll: nll(probs, labels),
          brier: brier(probs, labels),
          ece: ece(probs, labels),
          adaptiveEce: adaptiveEce(probs, labels),
          confidence: sum(top(probs, labels, c).map((t) => t.p)) / n,
        });
      }),
    );
  });
});

describe("bad predictions", () => {
  const all = { accuracy, nll, brier, classificationMetrics, ece, adaptiveEce, reliabilityBins };
  for (const [name, f] of Object.entries(all)) {
    it(`${name} says what is wrong`, () => {
      expect(() => f(new Float32Array(0), [])).toThrow(/expected at least one example, received none/);
      expect(() => f(Float32Array.of(0.5, 0.5, 1), [0, 1])).toThrow(/C >= 2 for 2 labels.*3 probabilities/);
      expect(() => f(Float32Array.of(1, 1), [0, 0])).toThrow(/C >= 2 for 2 labels/);
      expect(() => f(Float32Array.of(0.5, 0.5), [2])).toThrow(/label 0 to be an integer from 0 to 1, received 2/);
      expect(() => f(Float32Array.of(0.5, 0.5), [-1])).toThrow(/label 0/);
      expect(() => f(Float32Array.of(0.5, 0.5), [0.5])).toThrow(/label 0/);
      expect(() => f(Float32Array.of(Number.NaN, 0.5), [0])).toThrow(/probability in \[0, 1\] \(row 0\).*NaN/);
      expect(() => f(Float32Array.of(2, -1), [0])).toThrow(/probability in \[0, 1\]/);
      expect(() => f(Float32Array.of(0.5, 0.5, 0.2, 0.2), [0, 0])).toThrow(/row 1 of probabilities to sum to 1/);
    });
  }
  it("a bin count below one", () => {
    for (const f of [ece, adaptiveEce, reliabilityBins]) {
      expect(() => f(Float32Array.of(0.5, 0.5), [0], { bins: 0 })).toThrow(
        /bins to be an integer from 1 to 1048576, received 0/,
      );
    }
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { blundellBeta, constantBeta, cosineBeta, parseBeta, warmUpBeta } from "../../lib/bayes/beta.ts";

const at = (s: ReturnType<typeof blundellBeta>, step: number, stepsPerEpoch = 10, totalSteps = 100) =>
  s.at({ step, stepsPerEpoch, totalSteps });

describe("beta schedules", () => {
  it("Blundell's has mean 1 over an epoch, halves each step, starts again with the epoch and never overflows", () => {
    for (const m of [1, 2, 7, 100, 5000]) {
      const s = blundellBeta();
      const steps = Array.from({ length: m }, (_, step) => at(s, step, m, m));
      expect(steps.reduce((a, b) => a + b) / m).toBeCloseTo(1, 12);
      if (m > 1) expect(at(s, 1, m) / at(s, 0, m)).toBeCloseTo(0.5, 12);
      expect(at(s, m, m)).toBe(at(s, 0, m));
      expect(Number.isFinite(at(s, m - 1, m))).toBe(true);
    }
    // eq. 9 with M = 3: 4/7, 2/7, 1/7, times M
    expect([0, 1, 2].map((i) => at(blundellBeta(), i, 3))).toEqual(
      [4, 2, 1].map((x) => expect.closeTo((3 * x) / 7, 12)),
    );
  });

  it("ramps start at 0, grow, and end at beta after their share of training", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 2, noNaN: true }),
        (share, beta) => {
          for (const s of [warmUpBeta(share, beta), cosineBeta(share, beta)]) {
            expect(at(s, 0)).toBe(0);
            expect(at(s, 100)).toBe(beta);
            for (let i = 1; i < 100; i++) expect(at(s, i)).toBeGreaterThanOrEqual(at(s, i - 1));
          }
        },
      ),
    );
    expect(at(warmUpBeta(0.5), 25)).toBeCloseTo(0.5, 12);
    expect(at(cosineBeta(0.5), 25)).toBeCloseTo(0.5, 12);
  });

  it("reads what it prints on the command line", () => {
    expect(at(parseBeta("0.25"), 3)).toBe(0.25);
    expect(parseBeta("blundell").name).toBe("blundell");
    expect(parseBeta("warmup:0.5").name).toBe(warmUpBeta(0.5).name);
    expect(parseBeta("cosine:0.5:0.1").name).toBe(cosineBeta(0.5, 0.1).name);
    for (const bad of ["", "x", "-1", "warmup:2", "warmup:a", "cosine:1:2:3", "blundell:1", "NaN", "Infinity"])
      expect(() => parseBeta(bad), bad).toThrow(/expected/);
    expect(() => constantBeta(Number.NaN)).toThrow(/beta/);
  });
});

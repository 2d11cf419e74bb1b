import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { klPerWeight, sigmaOfAlpha, sigmaOfRho } from "../../lib/bayes/formulas.ts";
import { magnitude, signalToNoise } from "../../lib/prune/scores.ts";
import { cubicSchedule, selectMasks } from "../../lib/prune/select.ts";
import { inverseSoftplus, softplus } from "../../lib/util/softplus.ts";

const scored = (name: string, ...scores: number[]) => ({ name, scores: Float64Array.from(scores) });
const zeros = (mask: ArrayLike<number>) => Array.from(mask).filter((m) => m === 0).length;

describe("scores", () => {
  it("agree with hand computation", () => {
    expect([...magnitude([-2, 0.5, 0])]).toEqual([2, 0.5, 0]);
    expect([...signalToNoise([-2, 0.5, 0], [4, 0.25, 1])]).toEqual([0.5, 2, 0]);
    // N(1, 0.5^2) against N(0, 1): ln 2 + (0.25 + 1) / 2 - 1/2; N(0.3, 2^2) against N(0.3, 2^2): 0
    const kl = klPerWeight([1, 0.3], [0.5, 2], {
      mean: Float32Array.of(0, Math.fround(0.3)),
      sigma: Float32Array.of(1, 2),
    });
    expect(kl[0]).toBeCloseTo(Math.LN2 + 0.625 - 0.5, 12);
    expect(kl[1]).toBeCloseTo(0, 12);
    // a tied mean leaves the spread alone: ln(1 / 0.5) + 0.25 / 2 - 1/2
    expect(klPerWeight([7], [0.5], { mean: "tied", sigma: 1 })[0]).toBeCloseTo(Math.LN2 + 0.125 - 0.5, 12);
  });

  it("read both posteriors, at any rho", () => {
    expect([...sigmaOfRho([0, -100, 100])]).toEqual([Math.LN2, Math.exp(-100), 100]);
    expect([...sigmaOfAlpha([2, -3], [Math.log(0.25), Math.log(4)])].map((x) => +x.toFixed(12))).toEqual([1, 6]);
    expect([...sigmaOfAlpha([2, -3], [0])]).toEqual([2, 3]);
  });

  it("the prior's sigma comes back through softplus", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 100, noNaN: true }), (sigma) => {
        expect(softplus(inverseSoftplus(sigma)) / sigma).toBeCloseTo(1, 9);
      }),
    );
  });
});

describe("selectMasks", () => {
  it("ranks the whole model, or each tensor", () => {
    const tensors = [scored("a", 1, 2, 3, 4), scored("b", 10, 20, 30, 40)];
    expect(selectMasks(tensors, { sparsity: 0.25 }).map((m) => [...m])).toEqual([
      [0, 0, 1, 1],
      [1, 1, 1, 1],
    ]);
    expect(selectMasks(tensors, { sparsity: 0.25, scope: "layer" }).map((m) => [...m])).toEqual([
      [0, 1, 1, 1],
      [0, 1, 1, 1],
    ]);
    expect(selectMasks(tensors, { threshold: 3 }).map((m) => [...m])).toEqual([
      [0, 0, 0, 1],
      [1, 1, 1, 1],
    ]);
  });

  it("hits the sparsity exactly, ties or not, and removes nothing that scores above what it keeps", () => {
    const tensor = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(fc.array(tensor, { minLength: 1, maxLength: 4 }), fc.integer({ min: 0, max: 999 }), (values, k) => {
        const tensors = values.map((v, i) => scored(`w${i}`, ...v));
        const total = values.flat().length;
        const masks = selectMasks(tensors, { sparsity: k / 1000, allowEmpty: true });
        expect(masks.reduce((n, m) => n + zeros(m), 0)).toBe(Math.ceil((k * total) / 1000));
        const scores = values.flat();
        const flat = masks.flatMap((m) => [...m]);
        const kept = scores.filter((_, i) => flat[i] === 1);
        const gone = scores.filter((_, i) => flat[i] === 0);
        expect(Math.max(...gone, -1)).toBeLessThanOrEqual(Math.min(...kept, 99));
        expect(selectMasks(tensors, { sparsity: k / 1000, allowEmpty: true })).toEqual(masks);
      }),
    );
  });

  it("takes the first of equals first", () => {
    expect(selectMasks([scored("a", 1, 1), scored("b", 1, 0)], { sparsity: 0.5 }).map((m) => [...m])).toEqual([
      [0, 1],
      [1, 0],
    ]);
  });

  it("keeps pruned what was pruned, whatever it scores now", () => {
    const again = { ...scored("a", 9, 1, 2, 3), kept: [0, 1, 1, 1] };
    expect([...selectMasks([again], { sparsity: 0.5 })[0]]).toEqual([0, 0, 1, 1]);
    expect([...selectMasks([again], { threshold: 0 })[0]]).toEqual([0, 1, 1, 1]);
    expect(() => selectMasks([{ ...again, kept: [0, 0, 1, 1] }], { sparsity: 0.1 })).toThrow(
      "[prune a] expected a sparsity of at least the 0.5000 already reached, received 0.1",
    );
  });

  it("says what is wrong", () => {
    const t = [scored("a", 1, 2), scored("b", 8, 9)];
    expect(() => selectMasks(t, {})).toThrow("either sparsity or threshold, received neither");
    expect(() => selectMasks(t, { sparsity: 0.5, threshold: 1 })).toThrow("received both");
    for (const sparsity of [1, -0.1, Number.NaN, 2])
      expect(() => selectMasks(t, { sparsity })).toThrow("sparsity in [0, 1)");
    expect(() => selectMasks(t, { threshold: Number.NaN })).toThrow("threshold");
    expect(() => selectMasks(t, { sparsity: 0.5, scope: "row" as "layer" })).toThrow('scope "global" or "layer"');
    expect(() => selectMasks([scored("a", 1, Number.NaN)], { sparsity: 0.5 })).toThrow(
      "[prune a] expected weights that are numbers, received NaN at element 1",
    );
    expect(() => selectMasks(t, { sparsity: 0.5 })).toThrow("[prune a] expected at least one of 2 weights to stay");
    expect(selectMasks(t, { sparsity: 0.5, allowEmpty: true }).map((m) => [...m])).toEqual([
      [0, 0],
      [1, 1],
    ]);
  });
});

describe("cubicSchedule", () => {
  it("is Zhu and Gupta's", () => {
    expect(cubicSchedule(0.875, 2)).toEqual([0.875 * (1 - 0.125), 0.875]);
    expect(cubicSchedule(0.9, 1)).toEqual([0.9]);
    const s = cubicSchedule(0.9, 5, 0.5);
    expect(s.every((x, i) => x > (i ? s[i - 1] : 0.5))).toBe(true);
    expect(s[0] - 0.5).toBeCloseTo(0.4 * (1 - 0.8 ** 3), 12);
    expect(() => cubicSchedule(0.9, 0)).toThrow("rounds");
    expect(() => cubicSchedule(0.5, 2, 0.6)).toThrow("starting sparsity");
  });
});

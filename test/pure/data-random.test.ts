import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { epochOrder } from "../../lib/data/order.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { mulHigh, philox, seedKey, uniform01, uniformInt } from "../../lib/util/philox.ts";

const hex = (words: readonly number[]) => words.map((w) => w.toString(16).padStart(8, "0")).join(" ");
const u32 = fc.integer({ min: 0, max: 0xffffffff });

/** The same cipher written with BigInt, straight from the paper. */
function philoxBig(counter: readonly number[], key: readonly number[]): number[] {
  const mask = 0xffffffffn;
  let [c0, c1, c2, c3] = counter.map(BigInt);
  let [k0, k1] = key.map(BigInt);
  for (let i = 0; i < 10; i++) {
    const p0 = c0 * 0xd2511f53n;
    const p1 = c2 * 0xcd9e8d57n;
    [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask];
    k0 = (k0 + 0x9e3779b9n) & mask;
    k1 = (k1 + 0xbb67ae85n) & mask;
  }
  return [c0, c1, c2, c3].map(Number);
}

describe("philox", () => {
  it("gives the known answers of Random123", () => {
    expect(hex(philox([0, 0, 0, 0], [0, 0]))).toBe("6627e8d5 e169c58d bc57ac4c 9b00dbd8");
    const f = 0xffffffff;
    expect(hex(philox([f, f, f, f], [f, f]))).toBe("408f276d 41c83b0e a20bc7c6 6d5451fd");
    expect(hex(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]))).toBe(
      "d16cfe09 94fdcceb 5001e420 24126ea1",
    );
  });

  it("agrees with a BigInt twin anywhere", () => {
    fc.assert(
      fc.property(fc.tuple(u32, u32, u32, u32), fc.tuple(u32, u32), (counter, key) => {
        expect(philox(counter, key)).toEqual(philoxBig(counter, key));
      }),
    );
  });

  it("multiplies to 64 bits", () => {
    fc.assert(fc.property(u32, u32, (a, b) => mulHigh(a, b) === Number((BigInt(a) * BigInt(b)) >> 32n)));
  });

  it("splits a seed into two words", () => {
    expect(seedKey(7)).toEqual([7, 0]);
    expect(seedKey(2 ** 53 - 1)).toEqual([0xffffffff, 0x1fffff]);
  });

  it("keeps uniforms inside their ranges", () => {
    for (const u of [0, 1, 0x7fffffff, 0xffffffff]) {
      expect(uniform01(u)).toBeGreaterThan(0);
      expect(uniform01(u)).toBeLessThan(1);
    }
    fc.assert(fc.property(u32, fc.integer({ min: 1, max: 0x7fffffff }), (u, n) => uniformInt(u, n) < n));
  });
});

describe("epochOrder", () => {
  it("is a permutation, the same for the same seed and epoch", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.nat(), fc.nat(1000), (count, seed, epoch) => {
        const order = epochOrder(count, seed, epoch);
        expect([...order].sort((a, b) => a - b)).toEqual([...Array(count).keys()]);
        expect(epochOrder(count, seed, epoch)).toEqual(order);
      }),
    );
  });

  it("differs between seeds and epochs", () => {
    const [a, b, c] = [epochOrder(50, 1, 0), epochOrder(50, 1, 1), epochOrder(50, 2, 0)];
    expect(a).not.toEqual(b);
    expect(a).not.toEqual(c);
  });

  it("visits all permutations of four equally often", () => {
    const seen = new Map<string, number>();
    const n = 24 * 400;
    for (let epoch = 0; epoch < n; epoch++) {
      const name = epochOrder(4, 11, epoch).join("");
      seen.set(name, (seen.get(name) ?? 0) + 1);
    }
    expect(seen.size).toBe(24);
    let chi2 = 0;
    for (const times of seen.values()) chi2 += (times - 400) ** 2 / 400;
    expect(chi2).toBeLessThan(49.7); // 23 degrees of freedom, p = 0.001
  });
});

it("an epoch's order is of a seed and an epoch that are numbers", () => {
  expect(() => epochOrder(10, -1, 0)).toThrow(BayesError);
  expect(() => epochOrder(10, 1, 2 ** 32)).toThrow(BayesError);
});

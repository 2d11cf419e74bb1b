import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { augmentParams, augmentReference } from "../../lib/data/augment.ts";
import { BayesError } from "../../lib/errors.ts";
import { philox } from "../../lib/util/philox.ts";

describe("augmentation", () => {
  it("depends on seed, epoch and example and on nothing else", () => {
    const at = (seed: number, epoch: number, example: number) =>
      JSON.stringify(augmentParams(seed, epoch, example, { shift: 100, flip: true }));
    expect(at(1, 2, 3)).toBe(at(1, 2, 3));
    expect(new Set([at(1, 2, 3), at(2, 2, 3), at(1, 3, 3), at(1, 2, 4), at(1, 3, 2)]).size).toBe(5);
  });

  it("follows the written rule, here in 64-bit integers", () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(1000), fc.nat(), fc.maxSafeNat(), (shift, epoch, example, seed) => {
        const key = [seed % 2 ** 32, Math.floor(seed / 2 ** 32)] as const;
        const u = philox([0, example, epoch, 65532 * 65536], key).map(BigInt);
        const move = (word: bigint) => Number((word * BigInt(2 * shift + 1)) >> 32n) - shift;
        const expected = { dx: move(u[0]), dy: move(u[1]), flip: u[2] >> 31n === 1n };
        expect(augmentParams(seed, epoch, example, { shift, flip: true })).toEqual(expected);
      }),
    );
  });

  it("draws every move equally often, and flips half the images", () => {
    const n = 9000;
    const seen = new Array<number>(9).fill(0);
    let flips = 0;
    for (let i = 0; i < n; i++) {
      const { dx, dy, flip } = augmentParams(5, 0, i, { shift: 1, flip: true });
      seen[(dy + 1) * 3 + dx + 1]++;
      flips += Number(flip);
    }
    const chi2 = seen.reduce((sum, times) => sum + (times - n / 9) ** 2 / (n / 9), 0);
    expect(chi2).toBeLessThan(26.1); // 8 degrees of freedom, p = 0.001
    expect(Math.abs(flips - n / 2)).toBeLessThan(4 * Math.sqrt(n / 4));
  });

  it("stays in range, and is the identity when switched off", () => {
    fc.assert(
      fc.property(fc.nat(40), fc.nat(), fc.nat(), (shift, seed, example) => {
        const { dx, dy, flip } = augmentParams(seed, 3, example, { shift, flip: false });
        expect(Math.max(Math.abs(dx), Math.abs(dy))).toBeLessThanOrEqual(shift);
        expect(flip).toBe(false);
      }),
    );
    const off = augmentParams(1, 1, 1, { shift: 0, flip: false });
    expect(off).toEqual({ dx: 0, dy: 0, flip: false });
    const image = Uint8Array.from({ length: 12 }, (_, i) => i + 1);
    expect([...augmentReference(image, [2, 3, 2], off)]).toEqual([...image]);
  });

  it("moves right and down, fills with zeros, then mirrors", () => {
    const image = Float32Array.of(1, 2, 3, 4, 5, 6); // 2x3x1
    expect([...augmentReference(image, [2, 3, 1], { dx: 1, dy: 0, flip: false })]).toEqual([0, 1, 2, 0, 4, 5]);
    expect([...augmentReference(image, [2, 3, 1], { dx: 0, dy: -1, flip: false })]).toEqual([4, 5, 6, 0, 0, 0]);
    expect([...augmentReference(image, [2, 3, 1], { dx: 1, dy: 0, flip: true })]).toEqual([2, 1, 0, 5, 4, 0]);
    expect([...augmentReference(image, [2, 3, 1], { dx: 9, dy: 9, flip: true })]).toEqual([0, 0, 0, 0, 0, 0]);
    const rgb = Uint8Array.of(1, 2, 3, 4, 5, 6); // 1x2x3: channels stay together
    expect([...augmentReference(rgb, [1, 2, 3], { dx: 0, dy: 0, flip: true })]).toEqual([4, 5, 6, 1, 2, 3]);
  });

  it("refuses nonsense", () => {
    expect(() => augmentParams(1, 0, 0, { shift: -1, flip: true })).toThrow(BayesError);
    expect(() => augmentParams(1, 0, -1, { shift: 1, flip: true })).toThrow(BayesError);
    expect(() => augmentReference(new Uint8Array(5), [2, 3, 1], { dx: 0, dy: 0, flip: false })).toThrow(/2x3x1/);
  });
});

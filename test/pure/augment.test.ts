import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Augmentation,
  augmentParams,
  augmentReference,
  mixupWeight,
  type SettledAugmentation,
  settleAugmentation,
} from "../../lib/data/augment.ts";
import { BayesError } from "../../lib/util/errors.ts";
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

const still = { dx: 0, dy: 0, flip: false };

describe("what a variation does to an image", () => {
  const image = Uint8Array.of(10, 20, 30, 40, 50, 60, 70, 80, 90); // 3x3
  const square = [3, 3, 1] as const;
  const near = (got: Float64Array, want: readonly number[]) => {
    expect(got.length).toBe(want.length);
    for (const [i, v] of want.entries()) expect(got[i], `value ${i} of ${[...got]}`).toBeCloseTo(v, 9);
  };

  it("turns counter-clockwise about the middle", () => {
    near(
      augmentReference(image, square, { ...still, angle: Math.PI / 2 - 1e-12 }),
      [30, 60, 90, 20, 50, 80, 10, 40, 70],
    );
    near(augmentReference(image, square, { ...still, angle: -Math.PI + 1e-12 }), [90, 80, 70, 60, 50, 40, 30, 20, 10]);
    const line = augmentReference(Uint8Array.of(1, 2, 3, 4, 5), [1, 5, 1], { ...still, angle: Math.PI / 2 - 1e-12 });
    near(line, [0, 0, 3, 0, 0]); // what comes in is black
  });

  it("spreads a crop over the whole, pixel centres at whole numbers, its own neighbours beyond it", () => {
    const left = { top: 0, left: 0, height: 1, width: 1 };
    // a width of 1 over three pixels: they look at -1/3, 0 and 1/3 of it
    const third = (a: number, b: number) => a + (b - a) / 3;
    const [a, b] = [10, third(10, 20)];
    near(augmentReference(image.subarray(0, 3), [1, 3, 1], { ...still, crop: left }), [a, a, b]);
    const middle = { top: 1, left: 1, height: 1, width: 1 };
    const row = (v: number) => [v - 10 / 3, v, v + 10 / 3];
    near(augmentReference(image, square, { ...still, crop: middle }), [...row(40), ...row(50), ...row(60)]);
    near(augmentReference(image, square, { ...still, crop: { top: 0, left: 0, height: 3, width: 3 } }), [...image]);
  });

  it("crops, then turns, then moves, then mirrors", () => {
    const how = { crop: { top: 0, left: 0, height: 2, width: 2 }, angle: 0.3, dx: 1, dy: -1, flip: true };
    const next = [...Array(64).keys()].map((i) => (i * 37) % 251);
    const picture = Float32Array.from(next);
    const shape = [8, 8, 1] as const;
    const inner = { ...still, crop: { top: 2, left: 1, height: 5, width: 6 }, angle: 0.3 };
    const turned = augmentReference(picture, shape, inner);
    const all = augmentReference(picture, shape, { ...inner, dx: 1, dy: -1, flip: true });
    for (let y = 1; y < 6; y++)
      for (let x = 1; x < 6; x++) expect(all[y * 8 + x]).toBeCloseTo(turned[(y + 1) * 8 + (7 - x) - 1], 9);
    expect(augmentReference(picture, shape, how)).not.toEqual(all);
  });

  it("brightens, takes contrast about the mean grey, keeps bytes bytes, and cuts out black last", () => {
    near(augmentReference(image, square, { ...still, brightness: 4 }), [40, 80, 120, 160, 200, 240, 255, 255, 255]);
    near(augmentReference(image, square, { ...still, contrast: 2 }), [0, 0, 10, 30, 50, 70, 90, 110, 130]);
    const floats = Float32Array.from(image);
    near(augmentReference(floats, square, { ...still, contrast: 2 }), [-30, -10, 10, 30, 50, 70, 90, 110, 130]);
    const rgb = augmentReference(Uint8Array.of(100, 0, 0, 0, 100, 0), [1, 2, 3], { ...still, contrast: 0 });
    near(rgb, new Array(6).fill((29.89 + 58.7) / 2));
    const hole = { top: -1, left: 1, size: 2 };
    near(augmentReference(image, square, { ...still, contrast: 0, cutout: hole }), [50, 0, 0, 50, 50, 50, 50, 50, 50]);
  });
});

describe("the distribution of", () => {
  const n = 4000;
  const draw = <T>(f: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => f(i));
  /** Kolmogorov and Smirnov's largest distance is above 1.95 / sqrt(n) once in a thousand times. */
  function expectLaw(values: readonly number[], cdf: (x: number) => number): void {
    const sorted = [...values].sort((a, b) => a - b);
    const worst = Math.max(...sorted.map((x, i) => Math.abs(cdf(x) - (i + 0.5) / sorted.length)));
    expect(worst).toBeLessThan(1.95 / Math.sqrt(sorted.length));
  }
  const uniform = (low: number, high: number) => (x: number) => Math.min(1, Math.max(0, (x - low) / (high - low)));
  const params = (i: number, augment: Augmentation, side = 32) => augmentParams(9, 4, i, augment, [side, side, 3]);

  it("angles and factors is uniform, and they do not go together", () => {
    const all = draw((i) => params(i, { rotate: 30, brightness: 0.4, contrast: 0.2 }));
    expectLaw(
      all.map((p) => (p.angle! * 180) / Math.PI),
      uniform(-30, 30),
    );
    expectLaw(
      all.map((p) => p.brightness!),
      uniform(0.6, 1.4),
    );
    expectLaw(
      all.map((p) => p.contrast!),
      uniform(0.8, 1.2),
    );
    // the covariance of two independent uniforms on [-1, 1] has standard error 1 / (3 sqrt n)
    const product = all.reduce((s, p) => s + (p.angle! / (Math.PI / 6)) * ((p.brightness! - 1) / 0.4), 0) / n;
    expect(Math.abs(product)).toBeLessThan(4 / (3 * Math.sqrt(n)));
  });

  it("crops: areas and logarithms of ratios uniform in their ranges, places uniform", () => {
    const side = 10_000; // so large that whole pixels do not show
    // a square always fits, so no try is thrown away and areas keep their law
    const squares = draw((i) => params(i, { resizedCrop: { scale: [0.2, 0.9], ratio: [1, 1] } }, side).crop!);
    expect(squares.every((c) => c.width === c.height)).toBe(true);
    expectLaw(
      squares.map((c) => (c.width * c.height) / side ** 2),
      uniform(0.2, 0.9),
    );
    expectLaw(
      squares.map((c) => c.left / (side - c.width)),
      uniform(0, 1),
    );
    expectLaw(
      squares.map((c) => c.top / (side - c.height)),
      uniform(0, 1),
    );
    // with small areas every ratio fits
    const wide = draw((i) => params(i, { resizedCrop: { scale: [0.1, 0.2], ratio: [0.5, 4] } }, side).crop!);
    expectLaw(
      wide.map((c) => Math.log(c.width / c.height)),
      uniform(Math.log(0.5), Math.log(4)),
    );
  });

  it("crops of small images: inside, and as large as asked up to half a pixel a side", () => {
    for (let i = 0; i < n; i++) {
      const { top, left, height, width } = params(i, { resizedCrop: true }).crop!;
      expect(Math.min(top, left, 32 - top - height, 32 - left - width)).toBeGreaterThanOrEqual(0);
      expect((width + 0.5) * (height + 0.5)).toBeGreaterThanOrEqual(0.08 * 1024);
      expect((width - 0.5) / (height + 0.5)).toBeLessThan(4 / 3);
      expect((width + 0.5) / (height - 0.5)).toBeGreaterThan(3 / 4);
    }
  });

  it("centres of black squares is even over the image", () => {
    const seen = new Array<number>(12).fill(0);
    for (let i = 0; i < n; i++) {
      const { top, left } = augmentParams(1, 0, i, { cutout: 2 }, [3, 4, 1]).cutout!;
      seen[(top + 1) * 4 + left + 1]++;
    }
    const chi2 = seen.reduce((sum, times) => sum + (times - n / 12) ** 2 / (n / 12), 0);
    expect(chi2).toBeLessThan(31.3); // 11 degrees of freedom, p = 0.001
  });

  it.each([0.1, 0.2, 0.5, 1, 3, 40])("mixup's weights is Beta(%f, %f)", (alpha) => {
    const lam = draw((i) => mixupWeight(3, 1, i, alpha));
    expect(lam.every((x) => x >= 0 && x <= 1)).toBe(true);
    const variance = 1 / (4 * (2 * alpha + 1));
    const mean = lam.reduce((a, b) => a + b) / n;
    const second = lam.reduce((a, b) => a + (b - 0.5) ** 2, 0) / n;
    const kurtosis = 3 - 6 / (2 * alpha + 3);
    expect(Math.abs(mean - 0.5)).toBeLessThan(4 * Math.sqrt(variance / n));
    expect(Math.abs(second - variance)).toBeLessThan(4 * variance * Math.sqrt((kurtosis - 1) / n));
    if (alpha === 1) expectLaw(lam, uniform(0, 1));
    if (alpha === 0.5) expectLaw(lam, (x) => (2 / Math.PI) * Math.asin(Math.sqrt(x)));
  });

  it("each hangs on seed, epoch and example, and on no other option", () => {
    const everything: Augmentation = { rotate: 9, brightness: 0.3, contrast: 0.3, cutout: 5, resizedCrop: true };
    const all = params(5, { ...everything, shift: 3, flip: true });
    for (const key of ["rotate", "brightness", "contrast", "cutout", "resizedCrop"] as const) {
      const { dx, dy, flip, ...alone } = params(5, { [key]: everything[key] });
      expect(all).toMatchObject(alone);
    }
    expect(params(5, { shift: 3, flip: true })).toEqual({ dx: all.dx, dy: all.dy, flip: all.flip });
    const at = (seed: number, epoch: number, example: number) =>
      JSON.stringify([
        augmentParams(seed, epoch, example, everything, [32, 32, 3]),
        mixupWeight(seed, epoch, example, 1),
      ]);
    expect(new Set([at(1, 2, 3), at(2, 2, 3), at(1, 3, 3), at(1, 2, 4), at(1, 3, 2)]).size).toBe(5);
  });
});

describe("settling", () => {
  it("says the same in one way, and keeps what older runs said", () => {
    const settled = (augment: Augmentation): SettledAugmentation => settleAugmentation("test", augment, [8, 9, 1]);
    expect(settled({})).toEqual({ shift: 0, flip: false });
    expect(settled({ shift: 2, flip: false })).toEqual({ shift: 2, flip: false });
    const nothing = { resizedCrop: false, rotate: 0, brightness: 0, contrast: 0, cutout: 0, mixup: undefined };
    expect(Object.keys(settled(nothing))).toEqual(["shift", "flip"]);
    expect(settled({ resizedCrop: true })).toEqual(settled({ resizedCrop: { scale: [0.08, 1] } }));
    const full = settled({ shift: 1, flip: true, resizedCrop: { ratio: [1, 2] }, rotate: 5, cutout: 9, mixup: 0.2 });
    expect(settled(full)).toEqual(full);
    expect(() => settled({ cutout: 10 })).toThrow(/at most 9 pixels/);
  });
});

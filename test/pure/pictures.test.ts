// Resampling, luma and the two figures of picture quality, each against a reference in float64 that is written another way.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { psnr, ssim } from "../../lib/metrics/index.ts";
import { mirrored, resizeBicubic } from "../../lib/pictures/bicubic.ts";
import { lumaOf } from "../../lib/pictures/luma.ts";
import { pairOf, picturePatches } from "../../lib/pictures/patches.ts";
import { loadLuma } from "../../lib/pictures/read.ts";
import { sharp } from "../images.ts";
import { random } from "../ops/harness.ts";

const noise = (n: number, seed = 1) => {
  const next = random(seed);
  return Float32Array.from({ length: n }, () => Math.floor(256 * next()));
};

/** One output pixel of imresize, as a double sum over all of a picture that is mirrored for ever. */
function reference(x: Float32Array, h: number, w: number, oh: number, ow: number, y: number, c: number): number {
  const cubic = (t: number) => {
    const a = Math.abs(t);
    if (a <= 1) return 1.5 * a ** 3 - 2.5 * a ** 2 + 1;
    return a <= 2 ? -0.5 * a ** 3 + 2.5 * a ** 2 - 4 * a + 2 : 0;
  };
  const weights = (size: number, to: number, at: number) => {
    const scale = to / size;
    const shrink = Math.min(1, scale);
    // MATLAB counts from 1: u = x / scale + 0.5 (1 - 1 / scale)
    const u = (at + 1) / scale + 0.5 * (1 - 1 / scale);
    const all = new Float64Array(size);
    let sum = 0;
    for (let i = -3 * size; i <= 4 * size; i++) {
      const weight = shrink * cubic(shrink * (u - i));
      sum += weight;
      let k = (i - 1) % (2 * size);
      if (k < 0) k += 2 * size;
      all[k < size ? k : 2 * size - 1 - k] += weight;
    }
    return all.map((v) => v / sum);
  };
  const [rows, columns] = [weights(h, oh, y), weights(w, ow, c)];
  let sum = 0;
  for (let i = 0; i < h; i++) for (let j = 0; j < w; j++) sum += rows[i] * columns[j] * x[i * w + j];
  return sum;
}

describe("bicubic resampling", () => {
  it.each([
    [12, 9, 4, 3],
    [12, 9, 36, 27],
    [13, 7, 5, 3],
    [8, 8, 2, 4],
    [1, 1, 3, 3],
    [2, 3, 8, 12],
    [5, 16, 5, 16],
  ])("of %ix%i pixels to %ix%i is MATLAB's, at the borders too", (h, w, oh, ow) => {
    const x = noise(h * w);
    const y = resizeBicubic({ values: x, height: h, width: w }, oh, ow);
    for (let i = 0; i < oh; i++)
      for (let j = 0; j < ow; j++) expect(y[i * ow + j]).toBeCloseTo(reference(x, h, w, oh, ow, i, j), 4);
  });

  it("keeps channels apart", () => {
    const [a, b] = [noise(30, 1), noise(30, 2)];
    const both = Float32Array.from({ length: 60 }, (_, i) => (i % 2 ? b : a)[i >> 1]);
    const y = resizeBicubic({ values: both, height: 5, width: 6, channels: 2 }, 15, 18);
    const [ya, yb] = [a, b].map((values) => resizeBicubic({ values, height: 5, width: 6 }, 15, 18));
    expect(y.filter((_, i) => i % 2 === 0)).toEqual(ya);
    expect(y.filter((_, i) => i % 2 === 1)).toEqual(yb);
  });

  it("mirrors as often as it has to", () => {
    expect([-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5].map((i) => mirrored(i, 2))).toEqual([
      0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1,
    ]);
  });

  it("says what is wrong", () => {
    expect(() => resizeBicubic({ values: new Float32Array(5), height: 2, width: 3 }, 4, 6)).toThrow(
      /expected 6 values of 2x3x1, received Float32Array\(5\)/,
    );
    expect(() => resizeBicubic({ values: new Float32Array(6), height: 2, width: 3 }, 0, 6)).toThrow(/toHeight/);
  });
});

describe("luma", () => {
  it("is that of BT.601 in studio swing", () => {
    const known = [
      [[0, 0, 0], 16],
      [[255, 255, 255], 235],
      [[255, 0, 0], 81.481],
      [[0, 255, 0], 144.553],
      [[0, 0, 255], 40.966],
    ] as const;
    for (const [rgb, y] of known) expect(lumaOf(rgb, 3)[0]).toBeCloseTo(y, 4);
    expect(lumaOf([128], 1)[0]).toBeCloseTo(lumaOf([128, 128, 128], 3)[0], 4);
    expect(lumaOf([128, 7], 2)[0]).toBe(lumaOf([128], 1)[0]);
    expect(lumaOf([65535, 0, 0, 9], 4, 65535)[0]).toBeCloseTo(81.481, 4);
  });
});

describe("psnr", () => {
  it("is what its formula says, inside the border alone", () => {
    const a = new Float32Array(49).fill(100);
    const b = a.map((v, i) => v + (i === 24 ? 5 : 0));
    expect(psnr(a, b, { shape: [7, 7] })).toBeCloseTo(10 * Math.log10(255 ** 2 / (25 / 49)), 10);
    expect(psnr(a, b, { shape: [7, 7], border: 3 })).toBeCloseTo(10 * Math.log10(255 ** 2 / 25), 10);
    expect(psnr(a, b, { shape: [7, 7], peak: 1 })).toBeCloseTo(10 * Math.log10(49 / 25), 10);
    expect(psnr(a, a, { shape: [7, 7] })).toBe(Number.POSITIVE_INFINITY);
    const outside = a.map((v, i) => v + (i < 7 ? 50 : 0));
    expect(psnr(a, outside, { shape: [7, 7], border: 1 })).toBe(Number.POSITIVE_INFINITY);
  });
});

/** The definition, window by window. */
function naiveSsim(a: Float32Array, b: Float32Array, h: number, w: number, peak: number): number {
  const g = (i: number, j: number) => Math.exp(-((i - 5) ** 2 + (j - 5) ** 2) / 4.5);
  let total = 0;
  for (let i = 0; i < 11; i++) for (let j = 0; j < 11; j++) total += g(i, j);
  let [sum, count] = [0, 0];
  for (let y = 0; y + 11 <= h; y++)
    for (let x = 0; x + 11 <= w; x++) {
      const over = (f: (p: number, q: number) => number) => {
        let s = 0;
        for (let i = 0; i < 11; i++)
          for (let j = 0; j < 11; j++) {
            const at = (y + i) * w + x + j;
            s += (g(i, j) / total) * f(a[at], b[at]);
          }
        return s;
      };
      const [ma, mb] = [over((p) => p), over((_, q) => q)];
      const [va, vb, cov] = [
        over((p) => (p - ma) ** 2),
        over((_, q) => (q - mb) ** 2),
        over((p, q) => (p - ma) * (q - mb)),
      ];
      const [c1, c2] = [(0.01 * peak) ** 2, (0.03 * peak) ** 2];
      sum += ((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma ** 2 + mb ** 2 + c1) * (va + vb + c2));
      count++;
    }
  return sum / count;
}

describe("ssim", () => {
  it("is its definition", () => {
    const [h, w] = [14, 17];
    const a = noise(h * w, 3);
    const b = a.map((v, i) => v + ((i * 7) % 40) - 20);
    expect(ssim(a, b, { shape: [h, w] })).toBeCloseTo(naiveSsim(a, b, h, w, 255), 9);
    expect(ssim(a, b, { shape: [h, w], peak: 100 })).toBeCloseTo(naiveSsim(a, b, h, w, 100), 9);
    expect(ssim(a, a, { shape: [h, w] })).toBe(1);
    const inner = (x: Float32Array) => x.filter((_, i) => i % w >= 1 && i % w < w - 1 && i >= w && i < (h - 1) * w);
    expect(ssim(a, b, { shape: [h, w], border: 1 })).toBeCloseTo(naiveSsim(inner(a), inner(b), h - 2, w - 2, 255), 9);
  });

  it("and psnr say what is wrong", () => {
    const x = new Float32Array(100);
    expect(() => ssim(x, x, { shape: [10, 10] })).toThrow(/at least 11x11 pixels inside the border, received 10x10/);
    expect(() => psnr(x, x.subarray(1), { shape: [10, 10] })).toThrow(/two pictures of 10x10 values/);
    expect(() => psnr(x, x, { shape: [10, 10], border: 5 })).toThrow(/at least 1x1 pixels inside the border/);
    expect(() => psnr(x, x, {} as never)).toThrow(/shape as \[height, width\]/);
  });
});

describe("pairs and patches", () => {
  const picture = { name: "noise", luma: noise(40 * 50), height: 40, width: 50 };

  it("cut a picture to a multiple of the scale and make it smaller by MATLAB's bicubic, in whole numbers", () => {
    const { low, high } = pairOf(picture, 3);
    expect([low.height, low.width, high.height, high.width]).toEqual([13, 16, 39, 48]);
    expect(high.luma[48]).toBe(picture.luma[50]);
    for (const [y, x] of [[0, 0], [12, 15], [5, 7]]) // biome-ignore format: three places
      expect(low.luma[y * 16 + x]).toBe(
        Math.min(255, Math.max(0, Math.round(reference(high.luma, 39, 48, 13, 16, y, x)))),
      );
    expect(() => pairOf({ ...picture, luma: noise(2), height: 1, width: 2 }, 3)).toThrow(/at least 3x3 pixels/);
  });

  it("go together in every position: the small patch is the large one made smaller, away from its border", () => {
    const count = 40;
    const data = picturePatches([picture], { scale: 2, patch: 10, count, seed: 5 });
    expect(data.shape).toEqual([10, 10, 1]);
    expect(data.targetShape).toEqual([20, 20, 1]);
    const seen = new Set<string>();
    for (let n = 0; n < count; n++) {
      const small = data.images.subarray(n * 100, (n + 1) * 100);
      const large = data.targets.subarray(n * 400, (n + 1) * 400);
      const made = resizeBicubic({ values: large, height: 20, width: 20 }, 10, 10);
      for (let y = 2; y < 8; y++)
        for (let x = 2; x < 8; x++) {
          const want = Math.min(255, Math.max(0, made[y * 10 + x]));
          expect(Math.abs(small[y * 10 + x] - want)).toBeLessThanOrEqual(0.5001);
        }
      seen.add(small.join());
    }
    expect(seen.size).toBe(count);
    expect(picturePatches([picture], { scale: 2, patch: 10, count, seed: 5 })).toEqual(data);
    expect(picturePatches([picture], { scale: 2, patch: 10, count, seed: 6 }).targets).not.toEqual(data.targets);
  });

  it("are refused where no picture is large enough", () => {
    expect(() => picturePatches([picture], { patch: 32, count: 4 })).toThrow(
      /pictures of at least 96x96 pixels, received none/,
    );
    expect(() => picturePatches([], { patch: 2, count: 4 })).toThrow(/received none/);
  });
});

const set5 = [process.env.BAYESCNN_DATA ?? [], join(import.meta.dirname, "../../../shared/data")]
  .flat()
  .map((dir) => join(dir, "set5"))
  .find((dir) => existsSync(dir));
if (!set5) console.log("skipped: the protocol on Set5, which is not there");

it.skipIf(!set5 || sharp === undefined)(
  "the protocol gives the published figure of bicubic x3 on Set5, 30.39 dB",
  async () => {
    const pairs = (await loadLuma(set5!)).map((p) => pairOf(p, 3));
    let mean = 0;
    for (const { low, high } of pairs) {
      const up = resizeBicubic({ values: low.luma, height: low.height, width: low.width }, high.height, high.width);
      const shown = up.map((v) => Math.min(255, Math.max(0, Math.round(v))));
      mean += psnr(shown, high.luma, { shape: [high.height, high.width], border: 3 }) / pairs.length;
    }
    expect(mean).toBeCloseTo(30.39, 2);
  },
);

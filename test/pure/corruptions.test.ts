// Damaged images are what their names say.
import { describe, expect, it } from "vitest";
import { makeDataset, subset } from "../../lib/data/dataset.ts";
import { embeddedMnist } from "../../lib/data/locate.ts";
import { corrupted, corruptions, rotated } from "../../lib/experiments/corruptions.ts";

const digits = subset(
  embeddedMnist().test,
  Array.from({ length: 20 }, (_, i) => i),
);
const colours = makeDataset({
  images: Uint8Array.from({ length: 2 * 9 * 7 * 3 }, (_, i) => (i * 37) % 256),
  shape: [9, 7, 3],
  labels: [0, 1],
  classes: 2,
});
const distance = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum / a.length;
};

describe("damage", () => {
  it.each(corruptions)(
    "%s grows with its strength, keeps targets and shape, and leaves the set as it was",
    async (kind) => {
      for (const data of [digits, colours]) {
        const before = data.images.slice();
        const apart: number[] = [];
        for (const strength of [1, 2, 3, 4, 5]) {
          const hurt = await corrupted(data, kind, strength);
          expect(hurt.images).toHaveLength(before.length);
          expect(hurt.targets).toBe(data.targets);
          apart.push(distance(hurt.images, before));
        }
        expect(apart).toEqual(apart.toSorted((a, b) => a - b));
        expect(apart[0]).toBeGreaterThan(0);
        expect(data.images).toEqual(before);
      }
    },
  );

  it("blur leaves an even picture alone, and keeps the sum of what is far from the border", async () => {
    const even = makeDataset({
      images: new Uint8Array(100).fill(77),
      shape: [10, 10, 1],
      labels: [0],
      classes: ["a", "b"],
    });
    expect((await corrupted(even, "blur", 3)).images).toEqual(even.images);
    const dot = new Uint8Array(21 * 21);
    dot[10 * 21 + 10] = 255;
    const one = makeDataset({ images: dot, shape: [21, 21, 1], labels: [0], classes: ["a", "b"] });
    const { images } = await corrupted(one, "blur", 1); // sigma 0.5
    expect(images[10 * 21 + 10]).toBe(Math.round(255 * (1 / 1.2713) ** 2)); // 1 + 2 e^-2 + 2 e^-8, in both directions
    expect(images[10 * 21 + 9]).toBe(images[9 * 21 + 10]);
  });

  it("noise has the standard deviation that it says, and is the same every time", async () => {
    const grey = makeDataset({
      images: new Uint8Array(40_000).fill(128),
      shape: [200, 200, 1],
      labels: [0],
      classes: ["a", "b"],
    });
    const a = await corrupted(grey, "noise", 2);
    expect(Math.sqrt(distance(a.images, grey.images))).toBeCloseTo(20, 0);
    expect((await corrupted(grey, "noise", 2)).images).toEqual(a.images);
  });
});

describe("rotation", () => {
  it("by nothing is nothing, by a quarter moves every pixel, by two halves comes back", () => {
    expect(rotated(digits, 0).images).toEqual(digits.images);
    expect(rotated(rotated(digits, 180), 180).images).toEqual(digits.images);
    const [h, w] = digits.shape;
    const quarter = rotated(digits, 90).images;
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++) expect(quarter[y * w + x]).toBe(digits.images[x * w + (w - 1 - y)]);
  });
});

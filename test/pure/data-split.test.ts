import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ClassDataset, type Dataset, makeDataset, subset } from "../../lib/data/dataset.ts";
import { split } from "../../lib/data/split.ts";
import { BayesError } from "../../lib/util/errors.ts";

/** One pixel for each image; `classes[i]` is how many images class i has, `copies` how often each image occurs. */
function counted(classes: number[], copies = 1): ClassDataset {
  const labels = classes.flatMap((n, label) => Array<number>(n).fill(label));
  const images = Float32Array.from(labels, (_, i) => Math.floor(i / copies));
  return makeDataset({ name: "t", images, labels, shape: [1, 1, 1], classes: classes.length });
}
const perClass = (data: Dataset) => {
  const counts = (data.classes ?? []).map(() => 0);
  for (const label of data.targets) counts[label]++;
  return counts;
};
const sizes = fc.integer({ min: 1, max: 60 });

describe("split", () => {
  it("makes disjoint parts of the sizes asked for, the same for the same seed", () => {
    fc.assert(
      fc.property(
        fc.array(sizes, { minLength: 1, maxLength: 6 }),
        sizes,
        sizes,
        fc.nat(),
        (classes, train, valid, seed) => {
          const data = counted(classes);
          fc.pre(train + valid <= data.count);
          const parts = split(data, { train, valid }, seed);
          expect([parts.train.count, parts.valid.count]).toEqual([train, valid]);
          expect(new Set([...parts.train.images, ...parts.valid.images]).size).toBe(train + valid);
          expect(split(data, { train, valid }, seed)).toEqual(parts);
        },
      ),
    );
  });

  it.each([
    [[20, 7, 3], 8],
    [[5, 5, 5], 4], // the remainders are equal
  ])("is the same, bit for bit, in whatever order the examples and the classes come: %j", (counts, valid) => {
    const data = counted(counts);
    const reordered = subset(
      data,
      Array.from({ length: data.count }, (_, i) => (i * 7) % data.count),
    );
    const [a, b] = [data, reordered].map((d) => split(d, { valid }, 5));
    expect(b).toEqual(a);
    const renumbered = makeDataset({
      name: "t",
      images: data.images,
      shape: data.shape,
      classes: ["2", "0", "1"],
      labels: data.targets.map((label) => (label + 1) % 3),
    });
    const c = split(renumbered, { valid }, 5);
    expect(c.train.images).toEqual(a.train.images);
    expect(c.valid.images).toEqual(a.valid.images);
  });

  it("differs between seeds, and in order from the data's own", () => {
    const data = counted([100]);
    const drawn = [1, 2].map((seed) => [...split(data, { train: 50, valid: 50 }, seed).train.images]);
    expect(drawn[0]).not.toEqual(drawn[1]);
    expect(drawn[0]).not.toEqual([...drawn[0]].sort((a, b) => a - b));
  });

  it("gives every class its share, to within one image", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 2, max: 80 }), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 4 }),
        (classes, tenths) => {
          const data = counted(classes);
          const { train, valid } = split(data, { valid: tenths / 10 }, 1);
          expect(train.count + valid.count).toBe(data.count);
          const smallest = Math.min(...classes) * (tenths / 10);
          for (const [i, n] of perClass(valid).entries()) {
            if (valid.count >= classes.length) expect(n).toBeGreaterThan(0);
            expect(classes[i] - n).toBeGreaterThan(0);
            if (smallest >= 1) expect(Math.abs(n - classes[i] * (valid.count / data.count))).toBeLessThan(1);
          }
        },
      ),
    );
  });

  it("gives a rare class a place in both parts, and a single image to training", () => {
    const parts = split(counted([40, 3, 1]), { valid: 0.2 }, 0);
    expect(perClass(parts.valid)).toEqual([8, 1, 0]);
    expect(perClass(parts.train)).toEqual([32, 2, 1]);
    const some = split(counted([40, 2]), { train: 10, valid: 2 }, 0);
    expect([perClass(some.train), perClass(some.valid)]).toEqual([
      [9, 1],
      [1, 1],
    ]);
    expect(perClass(split(counted([2, 2, 2]), { train: 2, valid: 1 }, 0).valid).reduce((a, b) => a + b)).toBe(1);
  });

  it("keeps copies of an image in one part", () => {
    for (let seed = 0; seed < 20; seed++) {
      const { train, valid } = split(counted([30, 12], 3), { valid: 12 }, seed);
      const inTrain = new Set(train.images);
      expect(valid.images.filter((x) => inTrain.has(x)).length).toBe(0);
      expect(valid.notes).toBeUndefined();
    }
  });

  it("says so when copies have to be in both", () => {
    const { valid } = split(counted([10], 10), { valid: 2 }, 0);
    expect(valid.notes).toEqual([
      expect.stringMatching(/^2 of the images drawn for validation have exact copies in training/),
    ]);
  });

  it("moves few images when one is added", () => {
    const inValid = (n: number) => new Set(split(counted([n]), { valid: 0.2 }, 3).valid.images);
    const [a, b] = [inValid(100), inValid(101)];
    expect([...a].filter((x) => !b.has(x)).length).toBeLessThanOrEqual(2);
  });

  it("draws numbers without classes as one", () => {
    const images = Float32Array.from({ length: 10 }, (_, i) => i);
    const data = makeDataset({ images, targets: images, shape: [1, 1, 1] });
    const { train, valid } = split(data, { valid: 0.3 }, 1);
    expect([...train.images, ...valid.images].sort()).toEqual([...images]);
    expect(valid.targets).toEqual(valid.images);
  });

  it.each([
    [{ train: 90, valid: 11 }, /at most 100, the number of examples, received 101/],
    [{ train: 0, valid: 11 }, /train size \(or share\) to be an integer >= 1, received 0/],
    [{ valid: 100 }, /at most 100/],
    [{ valid: 1.5 }, /valid size \(or share\)/],
    [{ valid: Number.NaN }, /valid size/],
    [{ train: 0.9, valid: 0.2 }, /add up to at most 1/],
    [{ valid: 10, test: 3 }, /options among train, valid/],
    [{}, /valid size/],
  ])("refuses %j", (wrong, message) => {
    const make = () => split(counted([100]), wrong as never, 1);
    expect(make).toThrow(BayesError);
    expect(make).toThrow(message);
  });

  it("takes shares of one whole that both round up", () => {
    const { train, valid } = split(counted([3]), { train: 0.5, valid: 0.5 }, 1);
    expect([train.count, valid.count]).toEqual([1, 2]);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ClassDataset, makeDataset, subset } from "../../lib/data/dataset.ts";
import { canonical, identity, keysOf, overlap } from "../../lib/data/identity.ts";

/** Images of 2x2 with their number in the first pixel, and a class each. */
function animals(numbers: number[], names: string[], classOf: (n: number) => string): ClassDataset {
  const images = new Uint8Array(numbers.length * 4);
  numbers.forEach((n, i) => {
    images[i * 4] = n;
  });
  return makeDataset({
    images,
    labels: numbers.map((n) => names.indexOf(classOf(n))),
    shape: [2, 2, 1],
    classes: names,
  });
}
const odd = (n: number) => (n % 2 ? "odd" : "even");
const five = animals([1, 2, 3, 4, 5], ["even", "odd"], odd);

describe("identity", () => {
  it("is of the content: neither order nor class numbers matter", () => {
    const orders = fc.shuffledSubarray([1, 2, 3, 4, 5], { minLength: 5 });
    fc.assert(
      fc.property(orders, fc.boolean(), (order, turned) => {
        const same = animals(order, turned ? ["odd", "even"] : ["even", "odd"], odd);
        expect(identity({ ...same, name: "another name" })).toBe(identity(five));
      }),
    );
    expect(identity(five)).toMatch(/^[0-9a-f]{16}$/);
  });

  it("is of the numbers, whatever array they are in", () => {
    const buffered = makeDataset({ ...five, images: Buffer.from(five.images) });
    expect(identity(buffered)).toBe(identity(five));
    expect(overlap(buffered, five)).toHaveLength(5);
    expect(canonical(buffered)).toEqual(canonical(five));
    expect(identity(makeDataset({ ...five, images: new Uint8Array([0, ...five.images]).subarray(1) }))).toBe(
      identity(five),
    );
  });

  it.each([
    ["a pixel", animals([1, 2, 3, 4, 6], ["even", "odd"], (n) => (n === 6 ? "odd" : odd(n)))],
    ["a target", animals([1, 2, 3, 4, 5], ["even", "odd"], (n) => (n === 5 ? "even" : odd(n)))],
    ["a class name", animals([1, 2, 3, 4, 5], ["even", "Odd"], (n) => (n % 2 ? "Odd" : "even"))],
    ["a class without examples", animals([1, 2, 3, 4, 5], ["even", "odd", "none"], odd)],
    ["a second copy", animals([1, 2, 3, 4, 5, 5], ["even", "odd"], odd)],
    ["the shape", makeDataset({ ...five, shape: [4, 1, 1] })],
    ["the kind of pixels", makeDataset({ ...five, images: Float32Array.from(five.images) })],
    ["the kind of targets", makeDataset({ images: five.images, shape: five.shape, targets: five.targets })],
  ])("differs with %s", (_, other) => {
    expect(identity(other)).not.toBe(identity(five));
  });

  it("takes several labels at once by their place, for there the names are in order", () => {
    const parts = { images: five.images, shape: five.shape, targets: Array.from({ length: 10 }, (_, i) => i % 2) };
    const [ab, ba] = [
      ["a", "b"],
      ["b", "a"],
    ].map((targetNames) => makeDataset({ ...parts, targetNames }));
    expect(identity(ab)).not.toBe(identity(ba));
    expect(identity(makeDataset({ ...parts, targetNames: ["x", "y"] }))).not.toBe(identity(makeDataset(parts)));
  });
});

describe("canonical", () => {
  it("gives the same set, bit for bit, whatever the order was", () => {
    const reordered = canonical(subset(five, [4, 2, 0, 1, 3]));
    expect(reordered).toEqual(canonical(five));
    expect([...keysOf(reordered)]).toEqual([...keysOf(five)].sort((a, b) => (a < b ? -1 : 1)));
  });
});

describe("overlap", () => {
  it("finds the images of the second that are in the first, whatever their class", () => {
    const other = animals([9, 4, 8, 1, 4], ["x"], () => "x");
    expect([...overlap(five, other)]).toEqual([1, 3, 4]);
    expect([
      ...overlap(
        animals([7], ["x"], () => "x"),
        other,
      ),
    ]).toEqual([]);
    expect([...overlap(makeDataset({ ...five, shape: [4, 1, 1] }), other)]).toEqual([]);
  });
});

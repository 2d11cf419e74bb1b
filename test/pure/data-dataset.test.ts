import { describe, expect, it } from "vitest";
import { channelStats, type Dataset, makeDataset, subset } from "../../lib/data/dataset.ts";
import { BayesError } from "../../lib/util/errors.ts";

/** n images of 2x3x1 whose first pixel is their number. */
function numbered(n: number): Dataset {
  const images = new Uint8Array(n * 6);
  for (let i = 0; i < n; i++) images[i * 6] = i;
  return makeDataset({
    name: "t",
    images,
    labels: Array.from({ length: n }, (_, i) => i % 4),
    shape: [2, 3, 1],
    classes: 4,
  });
}
const numbers = (data: Dataset) => Array.from({ length: data.count }, (_, i) => data.images[i * 6]);

describe("makeDataset", () => {
  const good = { images: new Uint8Array(24), labels: [0, 1], shape: [2, 3, 2] as const, classes: ["a", "b"] };

  it("takes arrays that agree", () => {
    const data = makeDataset(good);
    expect(data).toMatchObject({ count: 2, shape: [2, 3, 2], classes: ["a", "b"] });
    expect(data.targets).toEqual(Int32Array.of(0, 1));
    expect(makeDataset({ ...good, classes: 3 }).classes).toEqual(["0", "1", "2"]);
  });

  it.each([
    ["a zero-size dimension", { shape: [2, 0, 2] }, /width to be an integer from 1 to .*received 0/],
    ["a negative dimension", { shape: [-2, -3, 2] }, /height/],
    ["two dimensions", { shape: [2, 3] }, /\[height, width, channels\]/],
    ["a cut image", { images: new Uint8Array(23) }, /multiple of 2x3x2 = 12, received 23/],
    ["no images", { images: new Uint8Array(0), labels: [] }, /at least one image/],
    ["too few labels", { labels: [0] }, /2 labels, one for each image, received 1/],
    ["a label out of range", { labels: [0, 2] }, /label 1 to be an integer from 0 to 1, received 2/],
    ["a negative label", { labels: [-1, 0] }, /label 0/],
    ["a fractional label", { labels: [0.5, 0] }, /label 0/],
    ["no classes", { classes: [] }, /class names/],
    ["two classes of one name", { classes: ["a", "a"] }, /classes of different names, .*received "a"/],
    ["a wrong dtype", { images: new Float64Array(24) as unknown as Uint8Array }, /Uint8Array or Float32Array/],
  ])("refuses %s", (_, bad, message) => {
    const make = () => makeDataset({ ...good, ...(bad as object) });
    expect(make).toThrow(BayesError);
    expect(make).toThrow(message);
  });

  it("names the first image with NaN or infinity", () => {
    for (const value of [Number.NaN, Infinity, -Infinity]) {
      const images = new Float32Array(24);
      images[17] = value;
      expect(() => makeDataset({ ...good, images })).toThrow(`received ${value} in image 1 at value 5`);
    }
  });
});

describe("subset", () => {
  it("takes the images and labels asked for", () => {
    const part = subset(numbered(10), [7, 2, 2]);
    expect(numbers(part)).toEqual([7, 2, 2]);
    expect([...part.targets]).toEqual([3, 2, 2]);
    expect(() => subset(numbered(3), [0, 3])).toThrow(/index 1 to be an integer from 0 to 2, received 3/);
    expect(() => subset(numbered(3), [])).toThrow(BayesError);
  });
});

describe("channelStats", () => {
  it("is the mean and standard deviation per channel, of x/255 for bytes", () => {
    const images = Uint8Array.of(0, 255, 10, 255, 20, 255, 30, 255);
    const { mean, std } = channelStats(makeDataset({ images, labels: [0, 0], shape: [1, 2, 2], classes: 1 }));
    expect(mean[0]).toBeCloseTo(15 / 255, 12);
    expect(std[0]).toBeCloseTo(Math.sqrt(125) / 255, 12);
    expect([mean[1], std[1]]).toEqual([1, 0]);
    const floats = channelStats(
      makeDataset({ images: Float32Array.of(1, 3), labels: [0, 0], shape: [1, 1, 1], classes: 1 }),
    );
    expect(floats).toEqual({ mean: [2], std: [1] });
  });
});

import { describe, expect, it } from "vitest";
import { channelStats, makeDataset } from "../../lib/data/dataset.ts";
import { normalizationOf, normalize } from "../../lib/data/prepare.ts";
import { BayesError } from "../../lib/util/errors.ts";

describe("normalize", () => {
  it("gives zero mean and unit variance per channel", () => {
    const images = Uint8Array.from({ length: 600 }, (_, i) => (i * 37 + (i % 3) * 50) % 256);
    const data = makeDataset({ images, labels: new Uint8Array(2), shape: [10, 10, 3], classes: 1 });
    const { scale, shift } = normalizationOf(data);
    const inputs = Float32Array.from(images, (v, i) => v * scale[i % 3] + shift[i % 3]);
    const { mean, std } = channelStats(makeDataset({ ...data, images: inputs }));
    for (let c = 0; c < 3; c++) {
      expect(mean[c]).toBeCloseTo(0, 6);
      expect(std[c]).toBeCloseTo(1, 6);
    }
  });

  it("is (x/255 - mean)/std, or (x - mean)/std for floats; a constant channel is only centred", () => {
    const { scale, shift } = normalize({ mean: [0.5, 0.25], std: [0.2, 0] });
    expect(100 * scale[0] + shift[0]).toBeCloseTo((100 / 255 - 0.5) / 0.2, 12);
    expect(100 * scale[1] + shift[1]).toBeCloseTo(100 / 255 - 0.25, 12);
    expect(normalize({ mean: [1], std: [2] }, false)).toEqual({ scale: [0.5], shift: [-0.5] });
    expect(() => normalize({ mean: [1], std: [1, 1] })).toThrow(BayesError);
    expect(() => normalize({ mean: [Number.NaN], std: [1] })).toThrow(/mean to be a finite number/);
    expect(() => normalize({ mean: [0], std: [-1] })).toThrow(/standard deviation/);
  });
});

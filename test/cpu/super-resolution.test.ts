// Super-resolution: the network and its twin, tiles without seams, training, and pictures of every kind.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gaussian } from "../../lib/likelihoods/gaussian.ts";
import { psnr } from "../../lib/metrics/quality.ts";
import { createModel } from "../../lib/models/create.ts";
import type { Model } from "../../lib/models/model.ts";
import { setThreads, threads } from "../../lib/native/device.ts";
import { bicubicTaps, resizeBicubic } from "../../lib/pictures/bicubic.ts";
import { lumaOf } from "../../lib/pictures/luma.ts";
import { superResolutionModel } from "../../lib/pictures/model.ts";
import { pairOf, picturePatches } from "../../lib/pictures/patches.ts";
import { superResolve } from "../../lib/pictures/picture.ts";
import { type Strip, type UpscaleOptions, upscaleLuma } from "../../lib/pictures/superResolve.ts";
import { predict } from "../../lib/predict/predict.ts";
import { fit } from "../../lib/train/fit.ts";
import { cosineRate } from "../../lib/train/schedules.ts";
import { random } from "../ops/harness.ts";

const before = threads();
beforeAll(() => setThreads(1));
afterAll(() => setThreads(before));

const noise = (n: number, seed = 1): Uint8Array => {
  const next = random(seed);
  return Uint8Array.from({ length: n }, () => Math.floor(256 * next()));
};

/** All of a picture's strips, one below the other. */
async function whole(model: Model, luma: Float32Array, width: number, options: UpscaleOptions = {}) {
  const all: Record<"mean" | "epistemic" | "aleatoric", number[]> = { mean: [], epistemic: [], aleatoric: [] };
  const source = { height: luma.length / width, width, at: (y: number, x: number) => luma[y * width + x] };
  for await (const strip of upscaleLuma(model, source, options))
    for (const key of ["mean", "epistemic", "aleatoric"] as const)
      for (const v of (strip as Strip)[key] ?? []) all[key].push(v);
  return all;
}

describe("the network", () => {
  it.each([
    [2, 58_212],
    [3, 59_657],
    [4, 61_680],
  ] as const)("x%i has the paper's widths, and its twin the same: %i weights and biases", (scale, count) => {
    const about = { model: "espcn", input: [9, 8, 1], scale, likelihood: gaussian({ noise: 1 }) } as const;
    using twin = createModel({ ...about, bayesian: false });
    using model = createModel(about);
    expect(twin.parameterCount).toBe(count);
    expect(model.parameterCount).toBe(2 * count); // mean and rho of each
    expect(model.outputShape).toEqual([9 * scale, 8 * scale, 1]);
    expect(model.bayesian).toBe(true);
    expect(twin.bayesian).toBe(false);
  });

  it("is Bayesian in all four layers: every weight and bias has a spread, a KL term and makes the samples differ", async () => {
    using model = superResolutionModel({ patch: 8 });
    const names = model.parameters.map((p) => p.name);
    for (const layer of ["conv1", "conv2", "conv3", "conv4"])
      for (const part of ["weight", "bias"])
        for (const half of ["mu", "rho"]) expect(names).toContain(`${layer}/${part}/${half}`);
    const images = { images: noise(64), count: 1, shape: [8, 8, 1] as const };
    const two = await predict(model, images, { samples: 2, seed: 1 });
    const [a, b] = [two.outputs.mean.subarray(0, 576), two.outputs.mean.subarray(576)];
    expect(a.filter((v, i) => v !== b[i]).length).toBeGreaterThan(500);
    using twin = superResolutionModel({ patch: 8, bayesian: false });
    expect(twin.parameters.some((p) => /\/(mu|rho)$/.test(p.name))).toBe(false);
    expect(Math.max(...(await predict(twin, images)).epistemic)).toBe(0);
  });

  it("adds to the bicubic picture: what its last layer gives as 0 is that", async () => {
    using model = superResolutionModel({ patch: 8, bayesian: false, noise: "learned" });
    for (const { name, shape } of model.parameters)
      if (name.startsWith("conv4")) model.store.set(name, new Float32Array(shape.reduce((a, b) => a * b)));
    const images = new Uint8Array(64).fill(77);
    const { mean } = await predict(model, { images, count: 1, shape: [8, 8, 1] });
    for (const v of mean) expect(v).toBeCloseTo(77, 3);
  });

  it("says what it cannot be", () => {
    const good = { model: "espcn", input: [8, 8, 1], likelihood: gaussian() } as const;
    expect(() => createModel({ ...good, scale: 5 } as never)).toThrow(/a valid scale \(2, 3 or 4\), received 5/);
    expect(() => createModel({ ...good, input: [8, 8, 3] })).toThrow(/images of one channel, luma, received 3/);
    expect(() => createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, scale: 3 })).toThrow(
      /a scale with model espcn alone/,
    );
    expect(() => superResolutionModel({ scale: 5 as never })).toThrow(/a scale of 2, 3 or 4, received 5/);
  });

  it("with predicted noise begins as the one with learned noise that it is given", async () => {
    for (const bayesian of [true, false]) {
      using learned = superResolutionModel({ patch: 8, scale: 2, bayesian, noise: "learned", seed: 3 });
      learned.store.set("likelihood/logScale", new Float32Array(16).fill(-0.125));
      using predicted = superResolutionModel({ patch: 8, scale: 2, bayesian, from: learned, seed: 4 });
      const images = { images: noise(64), count: 1, shape: [8, 8, 1] as const };
      const [a, b] = [
        await predict(learned, images, { mode: "mean" }),
        await predict(predicted, images, { mode: "mean" }),
      ];
      for (let i = 0; i < a.mean.length; i++) {
        expect(b.mean[i]).toBeCloseTo(a.mean[i], 3);
        expect(b.sigma[i]).toBeCloseTo(a.sigma[i], 3);
      }
      expect(a.sigma[0]).toBeCloseTo(64 * (Math.exp(-2) + 1e-3), 3);
      expect(() => superResolutionModel({ patch: 8, scale: 3, bayesian, from: learned })).toThrow(/otherwise the same/);
      expect(() => superResolutionModel({ patch: 8, scale: 2, bayesian, from: predicted })).toThrow(/learned noise/);
    }
  });
});

describe("tiles", () => {
  it.each([2, 3, 4] as const)(
    "x%i: every size of tile gives the bits of the whole picture, mean and sigma",
    async (scale) => {
      using model = superResolutionModel({ patch: 8, scale });
      for (const [h, w] of [
        [37, 58],
        [5, 3],
        [1, 1],
      ]) {
        // biome-ignore format: sizes
        const luma = Float32Array.from(noise(h * w));
        const reference = await whole(model, luma, w, { samples: 2, tile: 64 });
        expect(reference.mean.length).toBe(h * w * scale * scale);
        for (const tile of h > 5 ? [16, 28] : [4])
          expect(await whole(model, luma, w, { samples: 2, tile })).toEqual(reference);
      }
    },
  );

  it("give what the network itself gives away from the border, where it sees zeros and tiles the mirror image", async () => {
    const [h, w] = [24, 24];
    using model = superResolutionModel({ patch: h });
    const images = noise(h * w);
    const { mean } = await predict(model, { images, count: 1, shape: [h, w, 1] }, { mode: "mean" });
    const tiled = (await whole(model, Float32Array.from(images), w, { tile: 8 })).mean;
    const off = (border: number) => {
      let most = 0;
      for (let y = border; y < 3 * h - border; y++)
        for (let x = border; x < 3 * w - border; x++)
          most = Math.max(most, Math.abs(mean[y * 3 * w + x] - tiled[y * 3 * w + x]));
      return most;
    };
    expect(off(15)).toBeLessThan(1e-3); // 5 pixels
    expect(off(0)).toBeGreaterThan(1);
  });

  it("draw the weights of a sample once: neither tiles nor threads nor the place of a pixel change it", async () => {
    using model = superResolutionModel({ patch: 8, scale: 2 });
    const w = 24;
    const one = new Float32Array(w * w).fill(90); // the same everywhere: so are the samples
    const { mean, epistemic, aleatoric } = await whole(model, one, w, { samples: 3, seed: 7, tile: 8 });
    for (const values of [mean, epistemic, aleatoric]) {
      const phases = [0, 1, 2 * w, 2 * w + 1];
      for (let y = 0; y < 2 * w; y++)
        for (let x = 0; x < 2 * w; x++) {
          const like = values[phases[(y % 2) * 2 + (x % 2)]];
          expect(Math.abs(values[y * 2 * w + x] - like)).toBeLessThan(1e-3 * (1 + Math.abs(like)));
        }
    }
    expect(Math.min(...epistemic)).toBeGreaterThan(0);
    setThreads(2);
    const again = await whole(model, one, w, { samples: 3, seed: 7, tile: 8 });
    setThreads(1);
    expect(again).toEqual({ mean, epistemic, aleatoric });
    const other = await whole(model, one, w, { samples: 3, seed: 8, tile: 8 });
    expect(other.mean).toEqual(mean);
    expect(other.epistemic).not.toEqual(epistemic);
  });

  it("stop with the signal's reason, and leave the model free", async () => {
    using model = superResolutionModel({ patch: 8 });
    const luma = new Float32Array(64 * 64);
    const stop = new AbortController();
    const seen: number[] = [];
    const work = whole(model, luma, 64, {
      tile: 8,
      signal: stop.signal,
      onProgress: (done) => {
        seen.push(done);
        if (done === 3) stop.abort(new Error("enough"));
      },
    });
    await expect(work).rejects.toThrow("enough");
    expect(seen).toEqual([1, 2, 3]);
    expect((await whole(model, luma.subarray(0, 16), 4)).mean.length).toBe(144);
  });

  it("are refused for another model, and for sizes that would leave seams", async () => {
    using digits = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 });
    await expect(whole(digits as unknown as Model, new Float32Array(4), 2)).rejects.toThrow(
      /a model for super-resolution/,
    );
    using model = superResolutionModel({ patch: 8 });
    await expect(whole(model, new Float32Array(4), 2, { tile: 10 })).rejects.toThrow(
      /tile as a multiple of 4, received 10/,
    );
  });
});

describe("a picture", () => {
  const [h, w, scale] = [6, 5, 3];

  /** The way by Y, Cb and Cr, written out. */
  async function byColourSpace(model: Model, rgb: Uint8Array): Promise<number[]> {
    const y = (await whole(model, lumaOf(rgb, 3), w)).mean;
    const plane = (r: number, g: number, b: number) =>
      Float32Array.from(
        { length: h * w },
        (_, i) => 128 + (r * rgb[3 * i] + g * rgb[3 * i + 1] + b * rgb[3 * i + 2]) / 255,
      );
    const up = (values: Float32Array) => resizeBicubic({ values, height: h, width: w }, h * scale, w * scale);
    const cb = up(plane(-37.797, -74.203, 112));
    const cr = up(plane(112, -93.786, -18.214));
    return y.flatMap((luma, i) => {
      const [a, b, c] = [(255 / 219) * (luma - 16), cb[i] - 128, cr[i] - 128];
      return [a + 1.59602 * c, a - 0.39176 * b - 0.81297 * c, a + 2.01723 * b].map((v) =>
        Math.min(255, Math.max(0, v)),
      );
    });
  }

  it("in colour has the network's luma, and the bicubic Cb and Cr", async () => {
    using model = superResolutionModel({ patch: 8 });
    const values = noise(h * w * 3);
    const got = await superResolve(model, { values, height: h, width: w, channels: 3 });
    expect([got.height, got.width, got.channels]).toEqual([18, 15, 3]);
    const want = await byColourSpace(model, values);
    for (const [i, v] of want.entries()) expect(Math.abs(got.values[i] - v)).toBeLessThan(0.6);
  });

  it("that is grey, or has 16 bits, or alpha, is that picture in colour", async () => {
    using model = superResolutionModel({ patch: 8 });
    const grey = noise(h * w);
    const made = (channels: number, of: (i: number) => number[]) =>
      superResolve(model, {
        values: Uint8Array.from([...grey].flatMap((_, i) => of(i))),
        height: h,
        width: w,
        channels,
      });
    const one = await superResolve(model, { values: grey, height: h, width: w, channels: 1 });
    const three = await made(3, (i) => [grey[i], grey[i], grey[i]]);
    for (const [i, v] of one.values.entries())
      for (const c of [0, 1, 2]) expect(Math.abs(three.values[3 * i + c] - v)).toBeLessThanOrEqual(1);
    const alpha = noise(h * w, 9);
    const two = await made(2, (i) => [grey[i], alpha[i]]);
    expect(two.values.filter((_, i) => i % 2 === 0)).toEqual(one.values);
    const up = resizeBicubic({ values: alpha, height: h, width: w }, h * scale, w * scale);
    const clipped = up.map((v) => Math.min(255, Math.max(0, Math.round(v))));
    expect([...two.values.filter((_, i) => i % 2 === 1)]).toEqual([...clipped]);
    const deep = await superResolve(model, {
      values: Uint16Array.from(grey, (v) => v * 257),
      height: h,
      width: w,
      channels: 1,
    });
    expect(deep.values).toBeInstanceOf(Uint16Array);
    for (const [i, v] of one.values.entries()) expect(Math.abs(deep.values[i] / 257 - v)).toBeLessThan(0.51);
  });

  it("comes with sigma where samples are asked for, and has the same pixels", async () => {
    using model = superResolutionModel({ patch: 8 });
    const values = noise(h * w);
    const [plain, sampled] = [
      await superResolve(model, { values, height: h, width: w, channels: 1 }),
      await superResolve(model, { values, height: h, width: w, channels: 1 }, { samples: 3 }),
    ];
    expect(plain.sigma).toBeUndefined();
    expect(sampled.values).toEqual(plain.values);
    const { sigma, epistemic, aleatoric } = sampled;
    for (const [i, s] of sigma!.entries()) expect(s).toBeCloseTo(Math.sqrt(epistemic![i] + aleatoric![i]), 4);
    expect(Math.min(...epistemic!)).toBeGreaterThan(0);
    using twin = superResolutionModel({ patch: 8, bayesian: false });
    const point = await superResolve(twin, { values, height: h, width: w, channels: 1 }, { samples: 3 });
    expect(Math.max(...point.epistemic!)).toBe(0);
    expect(Math.min(...point.aleatoric!)).toBeGreaterThan(0);
  });

  it("says what is wrong with it", async () => {
    using model = superResolutionModel({ patch: 8 });
    const bad = { values: new Uint8Array(5), height: 2, width: 3, channels: 1 };
    await expect(superResolve(model, bad)).rejects.toThrow(
      /6 values in a Uint8Array or Uint16Array, received Uint8Array\(5\)/,
    );
    await expect(superResolve(model, { ...bad, channels: 5 })).rejects.toThrow(/channels to be an integer from 1 to 4/);
    await expect(superResolve(model, new Uint8Array([1, 2, 3]))).rejects.toThrow(/a picture that can be decoded/);
    await expect(superResolve(model, bad, { scale: 3 } as never)).rejects.toThrow(/options among samples, seed/);
  });
});

describe("training", () => {
  /** Pictures of straight edges, which bicubic upscaling blurs. */
  function edges(count: number, seed: number) {
    const next = random(seed);
    return Array.from({ length: count }, (_, n) => {
      const size = 64;
      const lines = Array.from({ length: 6 }, () => [next() * Math.PI, next() * size, 200 * next() - 100]);
      const luma = new Float32Array(size * size);
      for (let y = 0, i = 0; y < size; y++)
        for (let x = 0; x < size; x++, i++) {
          luma[i] = 125;
          for (const [angle, at, step] of lines) if (Math.cos(angle) * x + Math.sin(angle) * y > at) luma[i] += step;
          luma[i] = Math.min(255, Math.max(0, Math.round(luma[i])));
        }
      return { name: `edges ${n}`, luma, height: size, width: size };
    });
  }

  it("makes pictures better than bicubic, first with one sigma and then with one for each pixel", async () => {
    const train = picturePatches(edges(12, 1), { scale: 2, patch: 12, count: 192, seed: 1 });
    const schedule = { batchSize: 8, beta: 1, seed: 1, epochs: 14, learningRate: cosineRate(2e-3) };
    using learned = superResolutionModel({ scale: 2, patch: 12, noise: "learned", seed: 1 });
    await fit(learned, { train }, schedule);
    using model = superResolutionModel({ scale: 2, patch: 12, from: learned, seed: 1 });
    await fit(model, { train }, { ...schedule, epochs: 6, learningRate: cosineRate(1e-3) });
    let [bicubic, ours, nll, n, squares] = [0, 0, 0, 0, 0];
    for (const picture of edges(3, 2)) {
      const { low, high } = pairOf(picture, 2);
      const up = resizeBicubic({ values: low.luma, height: low.height, width: low.width }, 64, 64);
      const { mean, epistemic, aleatoric } = await whole(model, low.luma, low.width, { samples: 4 });
      bicubic += psnr(up, high.luma, { shape: [64, 64], border: 2 }) / 3;
      ours += psnr(mean, high.luma, { shape: [64, 64], border: 2 }) / 3;
      for (let i = 0; i < mean.length; i++, n++) {
        const [v, e2] = [epistemic[i] + aleatoric[i], (high.luma[i] - mean[i]) ** 2];
        nll += (Math.log(2 * Math.PI * v) + e2 / v) / 2;
        squares += e2;
      }
    }
    expect(ours).toBeGreaterThan(bicubic + 0.3);
    expect(nll / n).toBeLessThan(Math.log(2 * Math.PI * Math.E * (squares / n)) / 2 - 0.2); // the best constant sigma
  }, 60_000);
});

it("a line's taps add up to 1, whatever the sizes", () => {
  for (const [from, to] of [
    [10, 3],
    [3, 10],
    [7, 7],
    [1, 4],
  ]) {
    // biome-ignore format: sizes
    const { taps, weight } = bicubicTaps(from, to);
    for (let i = 0; i < to; i++)
      expect(weight.subarray(i * taps, (i + 1) * taps).reduce((a, b) => a + b)).toBeCloseTo(1, 12);
  }
});

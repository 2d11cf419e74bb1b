/**
 * Super-resolution of a picture of any size, in tiles. A tile is computed with the pixels around it, so no seam can be seen
 * and none is there: with the layers' 5 pixels to either side, rounded up so that a tile's short correlations (four results
 * at a time along each axis) are those of the whole picture, a pixel has the same bits whatever the tiles. The picture's mirror
 * image continues it beyond its border.
 */
import { compile, type Program } from "../graph/compile.ts";
import { constant } from "../graph/node.ts";
import { checkModel, type Model } from "../models/model.ts";
import { checkInt, checkOptions, fail, words } from "../util/errors.ts";
import { newArray } from "../util/memory.ts";
import { mirrored } from "./bicubic.ts";
import { UNIT } from "./model.ts";

/** Low-resolution pixels around a tile: the radius of 5, and for each of three layers what fills up its group of four results. */
const MARGIN = 16;
/** Tiles begin at multiples of this. */
const GROUP = 4;
/** Largest height and width of a tile, in low-resolution pixels. */
const TILE = 192;

/** Low-resolution luma, [height, width], 0..255: a function, since of a large picture there is no other copy. */
export interface LumaSource {
  readonly height: number;
  readonly width: number;
  readonly at: (y: number, x: number) => number;
}

export interface UpscaleOptions {
  /** Monte-Carlo samples for sigma; default 0: no sigma. */
  readonly samples?: number;
  /** Seed of the samples; default 1. */
  readonly seed?: number;
  /** Largest height and width of a tile in pixels of the picture, a multiple of 4; default 192. Never shows in the results. */
  readonly tile?: number;
  readonly signal?: AbortSignal;
  /** Called with the passes done (one for the mean and one for each sample, of each tile), of all there are. */
  readonly onProgress?: (done: number, total: number) => unknown;
}

/** Some rows of the result, from the top. */
export interface Strip {
  /** The first row, of the high-resolution picture. */
  readonly top: number;
  /** Rows. */
  readonly height: number;
  /** Luma, [height, width scale], neither rounded nor clipped. */
  readonly mean: Float32Array;
  /** Where samples were asked for: variance of the samples' means, and mean of the samples' variances, [height, width scale]. */
  readonly epistemic?: Float32Array;
  readonly aleatoric?: Float32Array;
}

/** The factor by which a model enlarges. @throws BayesError for a model that is no espcn of luma */
export function scaleOf(where: string, model: Model): number {
  checkModel(where, model, { idle: false });
  const { config, inputShape, outputShape } = model;
  if (config.model !== "espcn")
    fail(where, 'a model for super-resolution ("espcn")', words(`${model.name} for something else`));
  return outputShape[0] / inputShape[0];
}

type Pass = Program<"x" | "rng", "mean" | "variance">;

/**
 * Luma enlarged by a model, strip by strip.
 *
 * The mean is that of the network with its posterior means as weights, in one pass. For sigma, each Monte-Carlo sample draws all
 * weights once for the whole picture (the estimator "weight", whatever the model was trained with): a sample is a network, so the
 * pixels of one are as dependent as the posterior says, and noise knows nothing of tiles.
 * @throws BayesError for a model of something else; the signal's reason
 */
export async function* upscaleLuma(
  model: Model,
  luma: LumaSource,
  options: UpscaleOptions = {},
): AsyncGenerator<Strip, void> {
  const where = "superResolve";
  const own = checkOptions<UpscaleOptions>(where, options, {
    samples: "number",
    seed: "number",
    tile: "number",
    signal: "object",
    onProgress: "function",
  });
  const { samples = 0, seed = 1, tile = TILE, signal, onProgress } = own;
  const scale = scaleOf(where, model);
  checkInt(where, "samples", samples, 0, 65_536);
  checkInt(where, "the seed", seed, 0);
  if (checkInt(where, "tile", tile, GROUP, 1024) % GROUP) fail(where, `tile as a multiple of ${GROUP}`, tile);
  const { height, width } = luma;
  const draws = model.bayesian ? samples : Math.min(1, samples); // plain weights have one draw
  const [rows, columns] = [height, width].map((n) => Math.min(tile, Math.ceil(n / GROUP) * GROUP));
  const shape = [rows + 2 * MARGIN, columns + 2 * MARGIN] as const;
  const passes: { mean?: Pass; sample?: Pass } = {};
  try {
    const build = (mode: "mean" | "sample") => model.store.turn(where, async () => compilePass(model, shape, mode));
    passes.mean = await build("mean");
    if (draws > 0) passes.sample = model.bayesian ? await build("sample") : passes.mean;
    const total = Math.ceil(height / rows) * Math.ceil(width / columns) * (1 + (model.bayesian ? draws : 0));
    let done = 0;
    const run = async (pass: Pass, x: Float32Array, sample: number) => {
      signal?.throwIfAborted();
      const rng = Int32Array.of(seed | 0, Math.floor(seed / 0x1_0000_0000) | 0, 0, sample);
      const result = await pass.runAsync({ x, rng });
      onProgress?.(++done, total);
      return result;
    };
    const x = new Float32Array(shape[0] * shape[1]);
    for (let top = 0; top < height; top += rows) {
      const strip = newStrip(top * scale, Math.min(rows, height - top) * scale, width * scale, draws > 0);
      for (let left = 0; left < width; left += columns) {
        cut(luma, top - MARGIN, left - MARGIN, shape, x);
        const place = { left: left * scale, width: Math.min(columns, width - left) * scale };
        const mean = await run(passes.mean, x, 0);
        put(strip, "mean", mean.mean, place, shape[1] * scale, scale);
        if (draws === 0) continue;
        const moments = new PixelMoments(mean.mean);
        if (!model.bayesian) moments.add(mean.mean, mean.variance);
        else
          for (let s = 0; s < draws; s++) {
            const sample = await run(passes.sample!, x, s);
            moments.add(sample.mean, sample.variance);
          }
        const { epistemic, aleatoric } = moments.result;
        put(strip, "epistemic", epistemic, place, shape[1] * scale, scale);
        put(strip, "aleatoric", aleatoric, place, shape[1] * scale, scale);
      }
      yield strip;
    }
  } finally {
    for (const pass of new Set([passes.mean, passes.sample])) pass?.close();
  }
}

/** One tile through the network; in mode "sample" with one draw of all weights. */
function compilePass(model: Model, [h, w]: readonly [number, number], mode: "mean" | "sample"): Pass {
  const { store } = model;
  const specs = { x: [1, h, w, 1], rng: { shape: [4], dtype: "i32" as const } };
  return compile({ store }, specs, ({ x, rng }) => {
    const noise = { rng, rows: constant(Int32Array.of(0)) };
    return model.apply(x, { mode, estimator: "weight", noise }, (output, likelihood) => {
      const { mean, variance } = likelihood.heads(output);
      return { mean, variance };
    }).result;
  });
}

/** A tile's pixels with those around it, in the network's unit; the mirror image beyond the picture. */
function cut(
  { height, width, at }: LumaSource,
  top: number,
  left: number,
  [h, w]: readonly [number, number],
  out: Float32Array,
): void {
  const columns = Int32Array.from({ length: w }, (_, i) => mirrored(left + i, width));
  for (let y = 0, i = 0; y < h; y++) {
    const row = mirrored(top + y, height);
    for (let x = 0; x < w; x++) out[i++] = (at(row, columns[x]) - UNIT.center) / UNIT.spread;
  }
}

/** The strip, to be filled. */
function newStrip(top: number, height: number, width: number, sigma: boolean): Strip {
  const plane = () => newArray("superResolve", "f32", height * width, "take smaller tiles");
  return { top, height, mean: plane(), ...(sigma ? { epistemic: plane(), aleatoric: plane() } : {}) };
}

/** Copies what a tile is for (not what lies around it) into its place in a strip. */
function put(
  strip: Strip,
  which: "mean" | "epistemic" | "aleatoric",
  tile: Float32Array | Float64Array,
  { left, width }: { readonly left: number; readonly width: number },
  stride: number,
  scale: number,
): void {
  const out = strip[which]!;
  const across = out.length / strip.height;
  for (let y = 0; y < strip.height; y++) {
    const from = (y + MARGIN * scale) * stride + MARGIN * scale;
    out.set(tile.subarray(from, from + width), y * across + left);
  }
}

/** Moments of the samples by pixel, about the mean network's value: near it nothing cancels. */
class PixelMoments {
  readonly #about: Float32Array;
  readonly #first: Float64Array;
  readonly #second: Float64Array;
  readonly #noise: Float64Array;
  #samples = 0;

  constructor(about: Float32Array) {
    this.#about = about;
    [this.#first, this.#second, this.#noise] = [0, 0, 0].map(() => newArray("superResolve", "f64", about.length));
  }

  add(mean: Float32Array, variance: Float32Array): void {
    this.#samples++;
    for (let i = 0; i < mean.length; i++) {
      const d = mean[i] - this.#about[i];
      this.#first[i] += d;
      this.#second[i] += d * d;
      this.#noise[i] += variance[i];
    }
  }

  /** The law of total variance. */
  get result(): { epistemic: Float64Array; aleatoric: Float64Array } {
    const n = this.#samples;
    return {
      epistemic: this.#second.map((s, i) => Math.max(0, s / n - (this.#first[i] / n) ** 2)),
      aleatoric: this.#noise.map((s) => s / n),
    };
  }
}

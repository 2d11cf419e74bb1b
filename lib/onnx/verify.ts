import type * as Ort from "onnxruntime-node";
import { compile } from "../graph/compile.ts";
import { constant } from "../graph/node.ts";
import { checkModel, type Model } from "../models/model.ts";
import { gaussianNoise } from "../ops/gaussianNoise.ts";
import { asArray, checkArray, copyOf, largest } from "../util/arrays.ts";
import { BayesError, checkInt, checkNumber, checkOptions, checkPath, fail } from "../util/errors.ts";
import { parseJson } from "../util/json.ts";
import { readRegular } from "../util/regular.ts";
import type { ExportMode } from "./export.ts";
import type { NoiseSource } from "./lower.ts";
import { readMetadata } from "./metadata.ts";
import { permuted } from "./model.ts";

export interface VerifyOptions {
  /** Seed of the noise; default 0. */
  readonly seed?: number;
  /** Default: 1e-5 (of 1 + the largest logit); in modes `random` and `ensemble` 5.5 standard errors. */
  readonly tolerance?: number;
  /** Runs of the stochastic modes to compare; default 400 of `random`, 60 of `ensemble`. */
  readonly runs?: number;
}

export interface VerifyResult {
  readonly mode: ExportMode;
  /**
   * Modes `mean` and `noise`: the largest |ONNX - native| / (1 + m) of any output of one pass, m being the largest
   * |native| of its image: a logit near zero is a difference of sums that are rounded at their own size. Modes `random` and
   * `ensemble`: the largest difference of any output's mean (in mode `random` of its variance too) over the runs, in
   * standard errors.
   */
  readonly maxDifference: number;
  readonly tolerance: number;
  readonly agrees: boolean;
  /** How many numbers were compared. */
  readonly compared: number;
}

/**
 * Runs an exported model in ONNX Runtime and its native twin on the same images, and compares. In mode `noise` both get
 * the same standard normals, drawn natively; the stochastic modes are compared as distributions.
 *
 * @param model the model that was exported, with the same parameters
 * @param onnx bytes of {@link exportOnnx}, or the file's path
 * @param given images [batch, height, width, channels], pixels as the model was trained on, as floats
 * @throws BayesError without onnxruntime-node, for a file that is not an export of this library, or other images
 */
export async function verifyOnnx(
  model: Model,
  onnx: Uint8Array | string,
  given: Float32Array,
  options: VerifyOptions = {},
): Promise<VerifyResult> {
  checkModel("verifyOnnx", model);
  const own = checkOptions("verifyOnnx", options, { tolerance: "number", runs: "number", seed: "number" });
  const given8 = typeof onnx === "string" ? undefined : asArray(onnx, "Uint8Array");
  const bytes =
    typeof onnx === "string" ? readRegular(checkPath("verifyOnnx", onnx), { most: MOST }) : given8 && copyOf(given8);
  if (!bytes) fail("verifyOnnx", "the bytes of an exported model, or its path", onnx);
  const about = describe(bytes);
  const [height, width, channels] = model.inputShape;
  const images = copyOf(checkArray("verifyOnnx", "images", given, "Float32Array"));
  const batch = images.length / (height * width * channels);
  if (batch < 1 || !Number.isInteger(batch))
    fail("verifyOnnx", `images of ${height}x${width}x${channels}, one or more and whole`, images);
  const stochastic = about.mode === "random" || about.mode === "ensemble";
  const tolerance = checkNumber("verifyOnnx", "the tolerance", own.tolerance ?? (stochastic ? 5.5 : 1e-5), 0);
  const runs = checkInt("verifyOnnx", "runs", own.runs ?? (about.mode === "ensemble" ? 60 : 400), 2);
  const seed = checkInt("verifyOnnx", "the seed", own.seed ?? 0);

  const { InferenceSession, Tensor } = await runtime();
  const session = await InferenceSession.create(bytes, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  try {
    const shape = [batch, height, width, channels];
    const fed = about.layout === "nhwc" ? { data: images, dims: shape } : permuted(images, shape, [0, 3, 1, 2]);
    const feeds: Record<string, Ort.Tensor> = { image: new Tensor("float32", fed.data, fed.dims) };
    const run = async (): Promise<Outputs> =>
      Object.fromEntries(
        Object.entries(await session.run(feeds)).map(([name, t]) => {
          const data = Float32Array.from(t.data as Float32Array);
          const images = t.dims.length === 4 && about.layout !== "nhwc";
          return [name, images ? permuted(data, t.dims as number[], [0, 2, 3, 1]).data : data];
        }),
      );
    const { preprocess } = about;
    const native = new Native(model, preprocess ? scaled(images, preprocess) : images, batch, seed);

    if (!stochastic) {
      for (const [name, noise] of native.noise(about.noise))
        feeds[name] = new Tensor("float32", noise.data, noise.dims);
      const heads = about.mode === "mean" ? native.mean() : native.samples(1, 1)[0];
      const got = await run();
      const want = { ...native.together(heads, 1, got), ...heads };
      const differences = Object.keys(want).map((name) => largestDifference(got[name], want[name], batch));
      const maxDifference = largest(differences);
      const compared = Object.values(want).reduce((sum, values) => sum + values.length, 0);
      return { mode: about.mode, maxDifference, tolerance, agrees: maxDifference <= tolerance, compared };
    }

    const got: Outputs[] = [];
    for (let r = 0; r < runs; r++) got.push(await run());
    const raw = native.samples(runs, about.mode === "random" ? 1 : about.samples);
    const want = about.mode === "random" ? raw : raw.map((outputs) => native.together(outputs, about.samples, got[0]));
    const errors = Object.keys(want[0]).flatMap((name) =>
      standardErrors(
        got.map((o) => o[name]),
        want.map((o) => o[name]),
        about.mode === "random",
      ),
    );
    const maxDifference = largest(errors);
    return { mode: about.mode, maxDifference, tolerance, agrees: maxDifference <= tolerance, compared: errors.length };
  } finally {
    await session.release();
  }
}

/** Values by name, images in our order. */
type Outputs = Readonly<Record<string, Float32Array>>;

/** The model as this library runs it, on fixed images. */
class Native {
  readonly #model: Model;
  readonly #images: Float32Array;
  readonly #batch: number;
  readonly #seed: readonly [number, number];

  constructor(model: Model, images: Float32Array, batch: number, seed: number) {
    this.#model = model;
    this.#images = images;
    this.#batch = batch;
    this.#seed = [seed | 0, Math.floor(seed / 2 ** 32) | 0];
  }

  get #rows(): Int32Array {
    return Int32Array.from({ length: this.#batch }, (_, i) => i);
  }

  /** What the likelihood makes of the output of the mean weights. */
  mean(): Outputs {
    const { store, inputShape } = this.#model;
    using program = compile({ store }, { image: [this.#batch, ...inputShape] }, ({ image }) => {
      return this.#model.apply(image, { mode: "mean" }, (output, likelihood) => likelihood.heads(output)).result;
    });
    return program.run({ image: this.#images });
  }

  /** The same of `runs` times `samples` passes, each [samples, batch, ...]; run r draws the noise of step r. */
  samples(runs: number, samples: number): Outputs[] {
    const { store, inputShape } = this.#model;
    const specs = {
      image: [this.#batch, ...inputShape],
      rng: { shape: [4], dtype: "i32" as const },
      rows: { shape: [this.#batch], dtype: "i32" as const },
    };
    using program = compile({ store }, specs, ({ image, rng, rows }) => {
      const options = { mode: "sample", noise: { rng, rows } } as const;
      return this.#model.apply(image, options, (output, likelihood) => likelihood.heads(output)).result;
    });
    const steps = Array.from({ length: runs * samples }, (_, k) => [
      ...this.#seed,
      Math.floor(k / samples),
      k % samples,
    ]);
    const fed = { image: this.#images, rows: this.#rows, rng: Int32Array.from(steps.flat()) };
    const out = program.run(fed, steps.length);
    return Array.from({ length: runs }, (_, r) =>
      Object.fromEntries(
        Object.entries(out).map(([name, values]) => {
          const size = values.length / runs;
          return [name, values.subarray(r * size, (r + 1) * size)];
        }),
      ),
    );
  }

  /** The prediction from some passes, by the names of the exported outputs. */
  together(outputs: Outputs, samples: number, names: Outputs): Outputs {
    const { likelihood, targetShape } = this.#model;
    const prediction = likelihood.prediction(outputs, samples, this.#batch, targetShape);
    const kind = likelihood.config.kind;
    return Object.fromEntries(
      Object.keys(names).map((name) => {
        const values = (prediction as unknown as Outputs)[name] ?? outputs[name];
        if (!(values instanceof Float32Array))
          fail("verifyOnnx", `predictions of likelihood ${kind} to have ${name} as a Float32Array`, values);
        return [name, values];
      }),
    );
  }

  /** The standard normals of step 0, sample 0, by input name and in ONNX layout. */
  noise(sources: readonly NoiseSource[]): Map<string, { data: Float32Array; dims: number[] }> {
    if (sources.length === 0) return new Map();
    const { store } = this.#model;
    const specs = { rng: { shape: [4], dtype: "i32" as const }, rows: { shape: [this.#batch], dtype: "i32" as const } };
    using program = compile({ store }, specs, ({ rng, rows }) => {
      const zero = constant(Int32Array.of(0));
      return Object.fromEntries(
        sources.map(({ name, label, shape, shared }) => {
          const stream = store.streams.get(label) ?? fail("verifyOnnx", "noise of this model's layers", label);
          return [name, gaussianNoise({ rng, rows: shared ? zero : rows, stream, samples: 1 }, shape)];
        }),
      );
    });
    const drawn = program.run({ rng: Int32Array.of(...this.#seed, 0, 0), rows: this.#rows });
    return new Map(
      sources.map(({ name, shape, shared }) => {
        const dims = [shared ? 1 : this.#batch, ...shape];
        return [name, dims.length === 4 ? permuted(drawn[name], dims, [0, 3, 1, 2]) : { data: drawn[name], dims }];
      }),
    );
  }
}

/** A protobuf message is no larger. */
const MOST = 2 ** 31 - 1;

/** What the file says about itself. */
function describe(bytes: Uint8Array) {
  const metadata = readMetadata(bytes);
  const mode = metadata.get("bayescnn.mode") as ExportMode | undefined;
  if (mode === undefined)
    throw new BayesError("[verifyOnnx] expected a model exported by bayescnn, received another ONNX model", {
      code: "ERR_BAYES_FILE",
    });
  const parse = <T>(key: string): T | undefined => {
    const text = metadata.get(`bayescnn.${key}`);
    return text === undefined ? undefined : (parseJson(`verifyOnnx bayescnn.${key}`, text) as T);
  };
  return {
    mode,
    layout: metadata.get("bayescnn.layout"),
    noise: parse<NoiseSource[]>("noise") ?? [],
    preprocess: parse<{ scale: number[]; shift: number[] }>("preprocess"),
    samples: parse<number>("samples") ?? 1,
  };
}

/** onnxruntime-node, an optional peer of this package. */
async function runtime(): Promise<typeof Ort> {
  try {
    return await import("onnxruntime-node");
  } catch (error) {
    throw new BayesError(
      "[verifyOnnx] expected the package onnxruntime-node, received none: `npm install onnxruntime-node` " +
        `(ONNXRUNTIME_NODE_INSTALL=skip avoids its CUDA download). ${(error as Error).message.split("\n")[0]}`,
      { code: "ERR_BAYES_MISSING", cause: error },
    );
  }
}

function scaled(images: Float32Array, { scale, shift }: { scale: number[]; shift: number[] }): Float32Array {
  const s = Float32Array.from(scale);
  const t = Float32Array.from(shift);
  return images.map((v, i) => Math.fround(v * s[i % s.length]) + t[i % t.length]);
}

function largestDifference(got: Float32Array | undefined, want: Float32Array, rows: number): number {
  if (got?.length !== want.length) return Infinity;
  const each = want.length / rows;
  let worst = 0;
  for (let row = 0; row < want.length; row += each) {
    const size = want.subarray(row, row + each).reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    for (let i = row; i < row + each; i++) {
      const difference = Math.abs(got[i] - want[i]) / (1 + size);
      if (!(difference <= worst)) worst = Number.isNaN(difference) ? Infinity : difference;
    }
  }
  return worst;
}

/**
 * For every element the distance of two samples' means, and of their variances if asked for, in standard errors. The
 * standard error of a variance comes from the fourth moment, so the samples need not be Gaussian.
 */
function standardErrors(a: readonly Float32Array[], b: readonly Float32Array[], variances: boolean): number[] {
  const out: number[] = [];
  for (let i = 0; i < b[0].length; i++) {
    const [x, y] = [moments(a, i), moments(b, i)];
    // float32 rounding of values that hardly vary is not a difference
    const noise = 1e-6 * (1 + Math.abs(y.mean));
    out.push(Math.abs(x.mean - y.mean) / (Math.sqrt(x.variance / a.length + y.variance / b.length) + noise));
    if (!variances) continue;
    const se = Math.sqrt(x.varianceOfVariance / a.length + y.varianceOfVariance / b.length);
    out.push(Math.abs(x.variance - y.variance) / (se + noise * noise));
  }
  return out.map((z) => (Number.isNaN(z) ? Infinity : z));
}

function moments(samples: readonly Float32Array[], i: number) {
  let mean = 0;
  for (const s of samples) mean += s[i] / samples.length;
  let second = 0;
  let fourth = 0;
  for (const s of samples) {
    const d = (s[i] - mean) ** 2;
    second += d / samples.length;
    fourth += (d * d) / samples.length;
  }
  return {
    mean,
    variance: (second * samples.length) / (samples.length - 1),
    varianceOfVariance: Math.max(0, fourth - second * second), // a value that never varies may round to less
  };
}

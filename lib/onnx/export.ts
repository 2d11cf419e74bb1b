import { f32, i32, type Shape, sameShape, sizeOf, type Tensor } from "../graph/node.ts";
import { input } from "../graph/trace.ts";
import { checkModel, type Model } from "../models/model.ts";
import { BATCH, type OnnxNoiseMode } from "../ops/shared/onnx.ts";
import { checkTarget, writeFileAtomic } from "../util/atomic.ts";
import { BayesError, checkInt, checkOptions, checkPath, fail, words } from "../util/errors.ts";
import { checkMemory } from "../util/memory.ts";
import { version } from "../util/package.ts";
import { Lowering } from "./lower.ts";

/**
 * What an exported model does about the distributions of its weights:
 * - `mean`: every weight is its posterior mean; no noise;
 * - `noise`: one Monte-Carlo sample whose standard normals are inputs `noise/<layer>`: reproducible, runs anywhere;
 * - `random`: one Monte-Carlo sample per run, drawn by RandomNormalLike nodes;
 * - `ensemble`: `samples` Monte-Carlo samples per run and what they say together: predictive mean and uncertainties.
 */
export type ExportMode = "mean" | "noise" | "random" | "ensemble";
export const exportModes: readonly ExportMode[] = ["mean", "noise", "random", "ensemble"];

export interface ExportOptions {
  /** Default "mean". */
  readonly mode?: ExportMode;
  /** File to write (whole or not at all), besides returning its bytes. */
  readonly path?: string;
  /** Order of images, in and out: [batch, channels, height, width] (default) or [batch, height, width, channels]. */
  readonly layout?: "nchw" | "nhwc";
  /** Monte-Carlo samples in one run of mode `ensemble`; default 16. */
  readonly samples?: number;
  /**
   * Seed of the RandomNormalLike nodes, 32 bits; default 0. ONNX Runtime goes on in the sequence from run to run and
   * starts it again with each session.
   */
  readonly seed?: number;
}

const noiseMode: Record<ExportMode, OnnxNoiseMode> = {
  mean: "mean",
  noise: "inputs",
  random: "random",
  ensemble: "random",
};

/**
 * Writes the model as ONNX (opset 17, IR 8; symbolic batch) with its parameters as they are now.
 *
 * Input "image": pixels as the model was trained on (bytes as float32 from 0 to 255); they are scaled inside. Outputs, all
 * of shape [batch, ...]: those of one pass by the likelihood's names ("logits" and "probabilities"; "mean" and
 * "variance"); in mode `ensemble` the predictive mean by its name ("probabilities" or "mean"), "epistemic" and "aleatoric",
 * which add up to the predictive variance (Kwon et al. 2018). The file's metadata holds, as JSON under "bayescnn.*", the
 * model's configuration, likelihood (class names), preprocessing, the mode and the noise inputs.
 *
 * @throws BayesError for an op without an ONNX form (names op and layer), a stochastic mode asked of a model without
 * Bayesian layers, or a path that cannot be written
 */
export function exportOnnx(model: Model, options: ExportOptions = {}): Uint8Array {
  const { path, ...full } = check(model, options);
  checkFits(model);
  const bytes = build(model, full, 2);
  // Nothing may remember the batch of the trace: another batch must give the same file, bit for bit.
  if (!same(bytes, build(model, full, 3)))
    throw new BayesError(
      `[export] expected a model that works for any batch, received ${model.name}, whose graph holds the batch of its trace`,
    );
  if (path !== undefined) writeFileAtomic(path, bytes);
  return bytes;
}

type Checked = Required<Omit<ExportOptions, "path">>;

/**
 * Throws before anything is made where the weights, a number each at least, are more than a protobuf file or memory can hold:
 * the two files that are compared, and the pieces of one.
 */
function checkFits(model: Model): void {
  let bytes = 0;
  for (const { name, shape, trainable } of model.store.slots.values())
    if (trainable && !/\/(rho|logAlpha)$/.test(name)) bytes += 4 * sizeOf(shape);
  if (bytes >= 2 ** 31)
    fail(
      "export",
      `a model of less than the 2^31 bytes that an ONNX file can hold`,
      words(`${bytes} bytes of weights`),
    );
  checkMemory("export", 3 * bytes, "a smaller model would fit");
}

function check(model: Model, options: ExportOptions): Checked & { readonly path: string | undefined } {
  checkModel("export", model);
  const { path, ...own } = checkOptions("export", options, {
    mode: "string",
    path: "string",
    layout: "string",
    samples: "number",
    seed: "number",
  });
  if (path !== undefined) checkTarget(checkPath("export", path));
  const { mode = "mean", layout = "nchw", samples = 16, seed = 0 } = own;
  if (!exportModes.includes(mode)) fail("export", `a mode of ${exportModes.join(", ")}`, mode);
  if (layout !== "nchw" && layout !== "nhwc") fail("export", 'layout "nchw" or "nhwc"', layout);
  if (mode !== "mean" && !model.stochastic) fail("export", 'mode "mean" for a model without Bayesian layers', mode);
  checkInt("export", "samples", samples, 1, 65536);
  checkInt("export", "the seed", seed, 0, 2 ** 32 - 1);
  return { path, mode, layout, samples, seed };
}

function build(model: Model, options: Checked, batch: number): Uint8Array {
  const { mode, layout, samples, seed } = options;
  const { likelihood, preprocess } = model;
  const [height, width, channels] = model.inputShape;
  const metadata: Record<string, string> = {
    "bayescnn.version": version,
    "bayescnn.mode": mode,
    "bayescnn.layout": layout,
    "bayescnn.config": JSON.stringify(model.config),
    "bayescnn.likelihood": JSON.stringify(likelihood.config),
    ...(model.threshold ? { "bayescnn.threshold": JSON.stringify(model.threshold) } : {}),
  };
  const onnx = new Lowering(model.store, {
    name: model.name,
    noiseMode: noiseMode[mode],
    seed,
    producerVersion: version,
    doc: documentation(model, options),
    metadata,
  });

  // The model once more as a trace: a leaf for the image, and for seeds and rows, which ONNX does without.
  const image = input("image", f32([batch, height, width, channels]));
  const rng = input("rng", i32([4]));
  const rows = input("rows", i32([batch]));
  const { result: heads } = model.apply(
    image,
    { mode: mode === "mean" ? "mean" : "sample", noise: { rng, rows } },
    (output) => likelihood.heads(output),
  );
  const names = Object.keys(heads);
  const net = (pixels: string): string[] => {
    const feeds = new Map([[image, pixels], [rng, ""], [rows, ""]]); // biome-ignore format: one line
    return onnx.lower(Object.values(heads), feeds);
  };

  const dims = layout === "nchw" ? [BATCH, channels, height, width] : [BATCH, height, width, channels];
  let pixels = onnx.input("image", dims, "float32", preprocess ? "pixels as the model was trained on" : "pixels");
  if (layout === "nhwc") pixels = onnx.emit("Transpose", [pixels], { perm: [0, 3, 1, 2] });
  if (preprocess) {
    const { scale, shift } = preprocess;
    pixels = onnx.emit("Mul", [pixels, onnx.constant(Float32Array.from(scale), [channels, 1, 1], "image/scale")]);
    pixels = onnx.emit("Add", [pixels, onnx.constant(Float32Array.from(shift), [channels, 1, 1], "image/shift")]);
    metadata["bayescnn.preprocess"] = JSON.stringify(preprocess);
  }

  const shapes = new Map(names.map((name) => [name, heads[name].shape.slice(1)]));
  const together = (values: readonly string[], S: number) => summary(model, onnx, shapes, values, S, batch);
  const publish = (name: string, value: string, shape: Shape, doc: string) => {
    const images = shape.length === 3 && layout === "nhwc";
    const out = images ? onnx.emit("Transpose", [value], { perm: [0, 2, 3, 1] }) : value;
    onnx.output(name, out, images ? [BATCH, ...shape] : onnx.layout.dims([batch, ...shape]), "float32", doc);
  };
  if (mode === "ensemble") {
    metadata["bayescnn.samples"] = String(samples);
    const unroll = Object.values(heads).some((head) => onnx.drawsWeights(head));
    if (unroll && samples > 1024)
      fail("export", 'at most 1024 samples of a model of estimator "weight", which is repeated for each', samples);
    for (const { name, value, shape } of together(ensemble(onnx, net, pixels, samples, unroll), samples))
      publish(name, value, shape, ENSEMBLE_DOCS[name] ?? `mean over ${samples} Monte-Carlo samples`);
  } else {
    const values = net(pixels);
    const of = mode === "mean" ? "of the mean weights" : "of one Monte-Carlo sample";
    for (const [i, name] of names.entries()) publish(name, values[i], shapes.get(name)!, of);
    for (const { name, value, shape } of together(values, 1))
      if (!shapes.has(name) && !(name in ENSEMBLE_DOCS)) publish(name, value, shape, of);
  }
  if (mode === "noise") metadata["bayescnn.noise"] = JSON.stringify(onnx.noiseSources);
  return onnx.encode();
}

const ENSEMBLE_DOCS: Readonly<Record<string, string>> = {
  epistemic: "variance between the samples: more data would lower it",
  aleatoric: "mean variance within the samples: no data would lower it",
};

/** The likelihood's summary of S samples as ONNX values: a program of its own on values [S, B, D]. */
function summary(
  model: Model,
  onnx: Lowering,
  shapes: ReadonlyMap<string, Shape>,
  values: readonly string[],
  S: number,
  batch: number,
): { name: string; value: string; shape: Shape }[] {
  const leaves: Record<string, Tensor> = {};
  const feeds = new Map<Tensor, string>();
  for (const [i, [name, shape]] of [...shapes].entries()) {
    const D = sizeOf(shape);
    leaves[name] = input(name, f32([S, batch, D]));
    feeds.set(leaves[name], onnx.emit("Reshape", [values[i], onnx.constant([S, -1, D], [3], "samples")]));
  }
  const results = model.likelihood.summary(leaves);
  const lowered = onnx.lower(Object.values(results), feeds);
  return Object.entries(results).map(([name, { shape: flat }], i) => {
    const D = flat[1];
    if (!sameShape(flat, [batch, D]))
      fail("export", `summary of likelihood ${model.likelihood.config.kind} to give [batch, values] as ${name}`, [
        ...flat,
      ]);
    const shape = [...shapes.values()].find((head) => sizeOf(head) === D) ?? [D]; // that of the head it was made from
    const dims = onnx.layout.dims([batch, ...shape]).map((d, axis) => (axis === 0 ? -1 : (d as number)));
    const value =
      dims.length === 2 ? lowered[i] : onnx.emit("Reshape", [lowered[i], onnx.constant(dims, [dims.length], "shape")]);
    return { name, shape, value };
  });
}

/**
 * S samples in one graph: the batch is repeated S times, sample-major, where every example draws its own noise; the net
 * itself is repeated where noise is drawn for the weights, once for the whole batch.
 */
function ensemble(
  onnx: Lowering,
  net: (pixels: string) => string[],
  pixels: string,
  samples: number,
  unroll: boolean,
): string[] {
  if (!unroll) return net(onnx.emit("Tile", [pixels, onnx.constant([samples, 1, 1, 1], [4], "samples")]));
  const parts = Array.from({ length: samples }, () => net(pixels));
  return parts[0].map((_, head) => onnx.emit("Concat", parts.map((p) => p[head]), { axis: 0 })); // biome-ignore format: one line
}

function documentation(model: Model, { mode, samples }: Checked): string {
  const what = {
    mean: "posterior means",
    noise: "one Monte-Carlo sample, its standard normals given as inputs",
    random: "one Monte-Carlo sample per run",
    ensemble: `${samples} Monte-Carlo samples per run`,
  }[mode];
  return `${model.name}, ${model.bayesian ? `a Bayesian convolutional network: ${what}` : "a convolutional network"}`;
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

import { checkNormalisation, type Normalisation } from "../data/prepare.ts";
import { BayesError, checkInt, checkOptions, checkPath, fail } from "../errors.ts";
import { f32, i32 } from "../graph/node.ts";
import { input } from "../graph/trace.ts";
import { checkModel, type Model } from "../models/model.ts";
import { writeFileAtomic } from "../util/atomic.ts";
import { version } from "../util/package.ts";
import { BATCH, type OnnxNoiseMode } from "./context.ts";
import { Lowering } from "./lower.ts";

/**
 * What an exported model does about the distributions of its weights:
 * - `mean`: every weight is its posterior mean; no noise;
 * - `noise`: one Monte-Carlo sample whose standard normals are inputs `noise/<layer>`: reproducible, runs anywhere;
 * - `random`: one Monte-Carlo sample per run, drawn by RandomNormalLike nodes;
 * - `ensemble`: `samples` Monte-Carlo samples per run and what they say together: probabilities and uncertainties.
 */
export type ExportMode = "mean" | "noise" | "random" | "ensemble";
export const exportModes: readonly ExportMode[] = ["mean", "noise", "random", "ensemble"];

export interface ExportOptions {
  /** Default "mean". */
  readonly mode?: ExportMode;
  /** File to write (whole or not at all), besides returning its bytes. */
  readonly path?: string;
  /** Order of the input "image": [batch, channels, height, width] (default) or [batch, height, width, channels]. */
  readonly layout?: "nchw" | "nhwc";
  /** Adds the output "probabilities", the softmax of "logits". Mode `ensemble` always has it. */
  readonly softmax?: boolean;
  /** Monte-Carlo samples in one run of mode `ensemble`; default 16. */
  readonly samples?: number;
  /**
   * Baked in at the input: image * scale + shift per channel, as training did it (see `normalise` in data). With the
   * scale and shift of byte images, the model takes float32 pixels from 0 to 255. Default: none.
   */
  readonly normalise?: Normalisation;
  /**
   * Seed of the RandomNormalLike nodes, 32 bits; default 0. ONNX Runtime goes on in the sequence from run to run and
   * starts it again with each session.
   */
  readonly seed?: number;
  /** Names of the classes, kept in the file. */
  readonly classNames?: readonly string[];
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
 * Input "image"; outputs "logits" [batch, classes] and, if asked for, "probabilities". Mode `ensemble` has the outputs
 * "probabilities", "epistemic" and "aleatoric", all [batch, classes]: with p the softmax of one sample and m the mean of
 * p over the samples (that is, "probabilities"), epistemic = mean (p - m)^2 and aleatoric = mean p (1 - p), which add up
 * to m (1 - m) (Kwon et al. 2018). The file's metadata holds the model's configuration, the mode, the noise inputs and
 * the class names, each as JSON under "bayescnn.*".
 *
 * @throws BayesError for an op without an ONNX form (names op and layer), a stochastic mode asked of a model without
 * Bayesian layers, or a path that cannot be written
 */
export function exportOnnx(model: Model, options: ExportOptions = {}): Uint8Array {
  const full = check(model, options);
  const bytes = build(model, full, 2);
  // Nothing may remember the batch of the trace: another batch must give the same file, bit for bit.
  if (!same(bytes, build(model, full, 3)))
    throw new BayesError(
      `[export] expected a model that works for any batch, received ${model.name}, whose graph holds the batch of its trace`,
    );
  if (options.path !== undefined) writeFileAtomic(options.path, bytes);
  return bytes;
}

type Checked = Required<Omit<ExportOptions, "path" | "normalise" | "classNames">> &
  Pick<ExportOptions, "normalise" | "classNames">;

function check(model: Model, options: ExportOptions): Checked {
  checkModel("export", model);
  checkOptions("export", options, {
    mode: "string",
    path: "string",
    layout: "string",
    softmax: "boolean",
    samples: "number",
    normalise: "object",
    seed: "number",
    classNames: "object",
  });
  if (options.path !== undefined) checkPath("export", options.path);
  const { mode = "mean", layout = "nchw", softmax = false, samples = 16, seed = 0, normalise, classNames } = options;
  if (!exportModes.includes(mode)) fail("export", `a mode of ${exportModes.join(", ")}`, mode);
  if (layout !== "nchw" && layout !== "nhwc") fail("export", 'layout "nchw" or "nhwc"', layout);
  if (mode !== "mean" && !model.bayesian) fail("export", 'mode "mean" for a model without Bayesian layers', mode);
  checkInt("export", "samples", samples, 1, 65536);
  checkInt("export", "the seed", seed, 0, 2 ** 32 - 1);
  if (normalise) checkNormalisation("export", normalise, model.inputShape[2]);
  if (
    classNames !== undefined &&
    !(
      Array.isArray(classNames) &&
      classNames.length === model.classes &&
      classNames.every((name) => typeof name === "string")
    )
  )
    fail("export", `${model.classes} class names`, classNames);
  return { mode, layout, softmax, samples, seed, normalise, classNames };
}

function build(model: Model, options: Checked, batch: number): Uint8Array {
  const { mode, layout, softmax, samples, seed } = options;
  const [height, width, channels] = model.inputShape;
  const metadata: Record<string, string> = {
    "bayescnn.version": version,
    "bayescnn.mode": mode,
    "bayescnn.layout": layout,
    "bayescnn.config": JSON.stringify(model.config),
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
  const { output } = model.apply(image, { mode: mode === "mean" ? "mean" : "sample", noise: { rng, rows } });
  const net = (pixels: string): string => onnx.lower([output], new Map([[image, pixels], [rng, ""], [rows, ""]]))[0]; // biome-ignore format: one line

  const dims = layout === "nchw" ? [BATCH, channels, height, width] : [BATCH, height, width, channels];
  let pixels = onnx.input(
    "image",
    dims,
    "float32",
    options.normalise ? "as stored, before normalisation" : "normalised as in training",
  );
  if (layout === "nhwc") pixels = onnx.emit("Transpose", [pixels], { perm: [0, 3, 1, 2] });
  if (options.normalise) {
    const { scale, shift } = options.normalise;
    pixels = onnx.emit("Mul", [pixels, onnx.constant(Float32Array.from(scale), [channels, 1, 1], "image/scale")]);
    pixels = onnx.emit("Add", [pixels, onnx.constant(Float32Array.from(shift), [channels, 1, 1], "image/shift")]);
    metadata["bayescnn.normalise"] = JSON.stringify({ scale, shift });
  }

  const publish = (name: string, value: string, doc: string) =>
    onnx.output(name, value, [BATCH, model.classes], "float32", doc);
  if (mode === "ensemble") {
    metadata["bayescnn.samples"] = String(samples);
    const { mean, epistemic, aleatoric } = ensemble(onnx, net, pixels, {
      samples,
      classes: model.classes,
      unroll: onnx.drawsWeights(output),
    });
    publish("probabilities", mean, `mean over ${samples} Monte-Carlo samples`);
    publish("epistemic", epistemic, "variance of the probability between the samples");
    publish("aleatoric", aleatoric, "mean of p (1 - p) within the samples");
  } else {
    const logits = net(pixels);
    publish("logits", logits, mode === "mean" ? "of the mean weights" : "of one Monte-Carlo sample");
    if (softmax) publish("probabilities", onnx.emit("Softmax", [logits], { axis: -1 }), "softmax of the logits");
  }
  if (mode === "noise") metadata["bayescnn.noise"] = JSON.stringify(onnx.noiseSources);
  if (options.classNames) metadata["bayescnn.classes"] = JSON.stringify(options.classNames);
  return onnx.encode();
}

/**
 * S samples in one graph: the batch is repeated S times, sample-major, where every example draws its own noise; the net
 * itself is repeated where noise is drawn for the weights, once for the whole batch.
 */
function ensemble(
  onnx: Lowering,
  net: (pixels: string) => string,
  pixels: string,
  { samples, classes, unroll }: { readonly samples: number; readonly classes: number; readonly unroll: boolean },
) {
  const tiled = () => net(onnx.emit("Tile", [pixels, onnx.constant([samples, 1, 1, 1], [4], "samples")]));
  const unrolled = () =>
    onnx.emit(
      "Concat",
      Array.from({ length: samples }, () => net(pixels)),
      { axis: 0 },
    );
  const logits = unroll ? unrolled() : tiled();
  const shape = onnx.constant([samples, -1, classes], [3], "shape");
  const p = onnx.emit("Reshape", [onnx.emit("Softmax", [logits], { axis: -1 }), shape]);
  const average = (x: string, keepdims = 0): string => onnx.emit("ReduceMean", [x], { axes: [0], keepdims });
  const spread = onnx.emit("Sub", [p, average(p, 1)]);
  const rest = onnx.emit("Sub", [onnx.scalar(1), p]);
  return {
    mean: average(p),
    epistemic: average(onnx.emit("Mul", [spread, spread])),
    aleatoric: average(onnx.emit("Mul", [p, rest])),
  };
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

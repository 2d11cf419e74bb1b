import { dirname, join } from "node:path";
import type { Command } from "commander";
import type { AnyDataset } from "../../data/dataset.ts";
import { inMemory } from "../../data/source.ts";
import { exportPosterior } from "../../models/posterior.ts";
import { exportModes, exportOnnx } from "../../onnx/export.ts";
import { type VerifyResult, verifyOnnx } from "../../onnx/verify.ts";
import { ensureDir } from "../../util/atomic.ts";
import { BayesError } from "../../util/errors.ts";
import { type Context, declare, inContext, integer, path, shared, type Values } from "../shared/options.ts";
import { bytes } from "../shared/output.ts";
import { runData } from "../shared/run-data.ts";
import { checkOutput, openRunFolder, unfinished } from "../shared/run-folder.ts";

const own = declare()
  .choice(
    "--mode <name>",
    "mean weights; noise as inputs; random noise in the model; an ensemble of samples with uncertainties",
    exportModes,
    "mean",
  )
  .choice("--layout <name>", "order of the image's dimensions", ["nchw", "nhwc"], "nchw")
  .value("--samples <n>", "samples of an ensemble", integer(1, 1024), 16)
  .flag("--verify", "run it in ONNX Runtime and compare it with the native run")
  .value("--posterior <dir>", "also write mean, sigma and KL of every weight as NumPy arrays into this folder", path)
  .value("--data-dir <dir>", "where the data sets are, for --verify (default: where they were)", path);
type ExportOptions = Values<typeof own>;

/** `bayescnn export RUNDIR`. */
export function exportCommand(root: Command): void {
  shared(
    root
      .command("export")
      .description("write a trained run as an ONNX model that takes pixels from 0 to 255")
      .argument("<rundir>", "folder of a run", path),
    own,
    {
      out: "file to write (default: RUNDIR/model-MODE.onnx)",
      seed: "seed of the random nodes (default: 1)",
      example: "bayescnn export runs/start --mode ensemble --out model.onnx --verify",
    },
  ).action((dir: string, options: ExportOptions) =>
    inContext(options, (context) => exportRun(dir, options, context), { product: false }),
  );
}

async function exportRun(dir: string, options: ExportOptions, { out }: Context): Promise<void> {
  const run = openRunFolder(dir);
  using model = run.model;
  const early = unfinished(run);
  if (early) out.note(early);
  const { mode, layout, samples, seed = 1 } = options;
  const path = options.out ?? join(dir, `model-${mode}.onnx`);
  checkOutput("export", options.out, dir);
  const test = options.verify ? (await runData(run.config, options.dataDir)).test : undefined;
  ensureDir(dirname(path));
  const written = exportOnnx(model, { mode, path, layout, samples, seed });
  const size = written.length;
  out.line(`${path}  (mode ${mode}, ${bytes(size)})`);
  const verified = test && (await verifyOnnx(model, written, await firstImages(test, 8), { seed }));
  if (options.posterior !== undefined) {
    const files = exportPosterior(model, options.posterior);
    out.line(`${options.posterior}  (${files.length} arrays)`);
  }
  out.event("done", { path, mode, layout, bytes: size, ...(verified ? { verified } : {}) });
  if (!verified) return;
  out.line(agreement(verified));
  if (!verified.agrees)
    throw new BayesError(
      `[export] expected ONNX Runtime and the native run to agree within ${verified.tolerance}, received a difference of ${verified.maxDifference}`,
      { code: "ERR_BAYES_NUMERIC" },
    );
}

/** The first images of a set as float32 pixels, as stored. */
export async function firstImages(data: AnyDataset, n: number): Promise<Float32Array> {
  const first = Array.from({ length: Math.min(n, data.count) }, (_, i) => i);
  return Float32Array.from((await inMemory(data, first)).images);
}

export function agreement({ mode, maxDifference, tolerance, agrees, compared }: VerifyResult): string {
  const exact = mode === "mean" || mode === "noise";
  const unit = exact ? "" : " standard errors";
  const difference = exact ? maxDifference.toExponential(1) : maxDifference.toFixed(2);
  return `ONNX Runtime and the native run ${agrees ? "agree" : "DISAGREE"}: largest difference ${difference}${unit} of ${compared} numbers (tolerance ${tolerance})`;
}

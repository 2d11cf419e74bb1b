import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Command, Option } from "commander";
import { threads } from "../device.ts";
import { pruneExperiment } from "../prune/report.ts";
import { type ScoreName, scoreNames } from "../prune/scores.ts";
import { saveCheckpoint } from "../train/checkpoint.ts";
import { version } from "../util/package.ts";
import { fitting } from "../util/text.ts";
import { type Context, decimal, inContext, integer, path, type SharedOptions, shared } from "./options.ts";
import { count, lines, percent, table } from "./output.ts";
import { qualityTable, testModel, writeOnnx, writeReport } from "./results.ts";
import { runData } from "./run-data.ts";
import { createRun, FILES, newRunDir, openRunFolder, type RunConfig, unfinished } from "./run-folder.ts";
import { announce, clearRun, discardRun, fitOptions, stoppedRun, testFields } from "./training.ts";

interface PruneOptions extends SharedOptions {
  readonly sparsity: number;
  readonly score?: ScoreName;
  readonly scope: "global" | "layer";
  readonly fineTune?: number;
  readonly rounds: number;
  readonly dataDir?: string;
}

/** `bayescnn prune RUNDIR`: a new run with fewer weights. */
export function pruneCommand(root: Command): void {
  shared(
    root
      .command("prune")
      .description("set the weights that say least to zero, fine-tune the rest, and write a new run folder")
      .argument("<rundir>", "folder of a run; it stays as it is", path)
      .option("--sparsity <share>", "share of the weights that goes", decimal(0, 0.9999), 0.9)
      .addOption(
        new Option("--score <name>", "what a weight is judged by (default: snr, with plain weights magnitude)").choices(
          scoreNames,
        ),
      )
      .addOption(
        new Option("--scope <name>", "one ranking for the whole model, or one a layer")
          .choices(["global", "layer"])
          .default("global"),
      )
      .option(
        "--fine-tune <epochs>",
        "epochs of training afterwards, pruned weights held at zero (default: half of the run's; 0: none)",
        integer(0),
      )
      .option("--rounds <n>", "prune in so many steps, fine-tuned after each", integer(1, 1000), 3)
      .option("--data-dir <dir>", "where the data sets are (default: where they were)", path),
    {
      out: "run folder, new or empty (default: runs/pruned-MODEL-DATA-TIME)",
      seed: "seed of the fine-tuning (default: the run's)",
      example: "bayescnn prune runs/start --sparsity 0.9 --fine-tune 5",
    },
  ).action((dir: string, options: PruneOptions) =>
    inContext(options, (context) => pruneRun(dir, options, context), { product: false, signals: "save" }),
  );
}

async function pruneRun(dir: string, options: PruneOptions, context: Context): Promise<void> {
  const { out, signal, until } = context;
  const run = openRunFolder(dir);
  using model = run.model;
  const early = unfinished(run);
  if (early) out.note(early);
  const data = await context.until(runData(run.config, options.dataDir));
  const { sparsity, scope, rounds } = options;
  const { fineTune = Math.ceil(run.config.training.epochs / 2) } = options;
  const firstSeed = options.seed ?? run.config.training.seed;
  const seed = firstSeed + rounds - 1; // each round has one of its own; the last is the run that the folder holds
  const config: RunConfig = {
    ...run.config,
    version,
    training: { ...run.config.training, epochs: Math.max(1, fineTune), seed, patience: undefined, weights: "final" },
    pruning: { from: dir, sparsity, score: options.score ?? null, scope, rounds, fineTune },
  };
  const runDir = options.out ?? newRunDir(`pruned-${model.name}`, run.config.data.name);
  using lock = createRun(runDir, config);
  announce(context, model, config, runDir, threads());

  const pruned = async () => {
    const { row, report } = await pruneExperiment(model, data, {
      sparsity,
      scope,
      rounds,
      ...(options.score ? { score: options.score } : {}),
      ...(fineTune > 0
        ? { fineTune: { ...fitOptions(model, data, config, runDir, false, context), seed: firstSeed } }
        : {}),
      predict: {
        samples: config.testSamples,
        seed: config.testSeed,
        precision: config.training.precision,
        signal,
      },
    });
    lock.check();
    if (fineTune === 0) saveCheckpoint(join(runDir, FILES.checkpoint), model);
    const tested = await testModel(model, data.test, config, { signal });
    lock.check();
    const parts = { title: `${model.name} on ${data.test.name}, pruned`, train: data.train, pruning: [row] };
    await until(writeReport(runDir, model, data.test, config, tested, parts));
    return { row, report, tested };
  };
  const { row, report, tested } = await pruned().catch((error: unknown) => {
    // without fine-tuning there is nothing to go on with, and little lost
    const goesOn = fineTune > 0 && existsSync(join(runDir, FILES.checkpoint));
    if (signal.aborted && !goesOn) clearRun(runDir);
    else discardRun(lock);
    throw signal.aborted && goesOn ? stoppedRun(context, runDir) : error;
  });
  writeOnnx(runDir, model);

  out.line();
  out.line([
    "bold",
    `${percent(report.sparsity)} of ${count(report.weights)} weights pruned by ${report.score}, ${count(report.kept)} left`,
  ]);
  for (const line of table([
    ["layer", "weights", "left", "pruned"],
    ...report.layers.map((l) => [fitting(`  ${l.name}`), count(l.weights), count(l.kept), percent(l.sparsity)]),
  ]))
    out.line(line);
  const stages = [
    ["before", row.before],
    ["after pruning", row.after],
    ...(row.fineTuned ? [["after fine-tuning", row.fineTuned] as const] : []),
  ] as const;
  out.line();
  const rows = stages.map(([name, metrics]) => ({ name, metrics }));
  for (const line of qualityTable(model.likelihood.figures.slice(0, 3), "", rows)) out.line(line);
  lines(out, "", `report  ${join(runDir, FILES.reportHtml)}`, `model   ${join(runDir, FILES.onnx)}`);
  out.event("done", {
    runDir,
    from: dir,
    score: report.score,
    scope: report.scope,
    sparsity: report.sparsity,
    weights: report.weights,
    kept: report.kept,
    parameters: report.parameters,
    layers: report.layers,
    before: row.before,
    after: row.after,
    fineTuned: row.fineTuned ?? null,
    test: testFields(tested),
  });
}

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { saveCheckpoint } from "../../checkpoints/checkpoint.ts";
import type { Quality } from "../../likelihoods/shared/likelihood.ts";
import { forgetChosen } from "../../models/chosen.ts";
import type { Model } from "../../models/model.ts";
import { precisionOn, threads } from "../../native/device.ts";
import { channelScores } from "../../prune/channelScores.ts";
import { type PruneExperimentOptions, type PruningRow, pruneExperiment } from "../../prune/pruneExperiment.ts";
import type { ScoreName } from "../../prune/scores.ts";
import { type ShrinkExperimentOptions, shrinkExperiment } from "../../prune/shrinkExperiment.ts";
import { speedsOf } from "../../speed/speed.ts";
import type { HeldLock } from "../../train/lock.ts";
import { version } from "../../util/package.ts";
import { fitting } from "../../util/text.ts";
import {
  type Context,
  decimal,
  declare,
  inContext,
  integer,
  path,
  runDataDir,
  shared,
  UsageError,
  type Values,
} from "../shared/options.ts";
import { count, lines, percent, table } from "../shared/output.ts";
import { qualityTable, testModel, writeOnnx, writeReport } from "../shared/results.ts";
import { type RunData, runData } from "../shared/run-data.ts";
import {
  createRun,
  FILES,
  newRunDir,
  type OpenRun,
  openRunFolder,
  type RunConfig,
  unfinished,
  writeConfig,
} from "../shared/run-folder.ts";
import { announce, clearRun, discardRun, fitOptions, stoppedRun, testFields } from "../shared/training.ts";

const own = declare()
  .value("--sparsity <share>", "share of the weights that goes (default: 0.9)", decimal(0, 0.9999))
  .flag("--structured", "take filters and units out for good, which makes the model smaller and faster")
  .value(
    "--flops <share>",
    "with --structured: share of the multiply-adds that stays (default: 0.5)",
    decimal(0.0001, 1),
  )
  .value("--parameters <share>", "with --structured, instead: share of the weights that stays", decimal(0.0001, 1))
  .choice(
    "--score <name>",
    "what a weight is judged by (default: snr, with plain weights magnitude), or a filter (default: taylor, the loss without it)",
    channelScores,
  )
  .choice("--scope <name>", "one ranking for the whole model, or one a layer (default: global)", ["global", "layer"])
  .value(
    "--fine-tune <epochs>",
    "epochs of training afterwards, pruned weights held at zero (default: half of the run's; 0: none)",
    integer(0),
  )
  .value("--rounds <n>", "prune in so many steps, fine-tuned after each", integer(1, 1000), 3)
  .and(runDataDir);
type PruneOptions = Values<typeof own>;

/** `bayescnn prune RUNDIR`: a new run with fewer weights. */
export function pruneCommand(root: Command): void {
  shared(
    root
      .command("prune")
      .description("set the weights that say least to zero, fine-tune the rest, and write a new run folder")
      .argument("<rundir>", "folder of a run; it stays as it is", path),
    own,
    {
      out: "run folder, new or empty (default: runs/pruned-MODEL-DATA-TIME)",
      seed: "seed of the fine-tuning (default: the run's)",
      example: "bayescnn prune runs/start --sparsity 0.9 --fine-tune 5",
    },
  ).action((dir: string, options: PruneOptions) =>
    inContext(options, (context) => pruneRun(dir, checked(options), context), { product: false, signals: "save" }),
  );
}

/** The options that go together: those of weights, or those of filters and units. */
function checked(options: PruneOptions): PruneOptions {
  const { structured, flops, parameters, sparsity, scope, score } = options;
  const one = (names: string, found: readonly (readonly [string, unknown])[]) => {
    const odd = found.find(([, value]) => value !== undefined);
    if (odd) throw new UsageError(`[prune] expected ${names}, received ${odd[0]}`);
  };
  if (structured) one("--flops or --parameters with --structured", [["--sparsity", sparsity], ["--scope", scope]]); // biome-ignore format: one line
  else one("--structured with it", [["--flops", flops], ["--parameters", parameters]]); // biome-ignore format: one line
  if (!structured && score === "taylor") throw new UsageError("[prune] expected --structured with --score taylor");
  if (flops !== undefined && parameters !== undefined)
    throw new UsageError("[prune] expected either --flops or --parameters, received both");
  return options;
}

/** What a run of pruning ends with. */
interface Pruned {
  readonly model: Model;
  readonly row: PruningRow & { readonly before: Quality; readonly after: Quality };
  /** Says what was done, in lines of text. */
  readonly lines: readonly (string | ["bold", string])[];
  readonly fields: object;
}

async function pruneRun(dir: string, options: PruneOptions, context: Context): Promise<void> {
  const run = openRunFolder(dir);
  using model = run.model;
  const early = unfinished(run);
  if (early) context.out.note(early);
  forgetChosen(model, context.out.note); // before all measurements alike
  const data = await context.until(runData(run.config, options.dataDir));
  const plan = planned(run, options);
  const runDir = options.out ?? newRunDir(`pruned-${model.name}`, run.config.data.name);
  using lock = createRun(runDir, plan.config);
  announce(context, model, plan.config, runDir, threads());
  const done = await pruned(model, data, plan, lock, context).catch((error: unknown) => {
    // without fine-tuning there is nothing to go on with, and little lost
    const goesOn = plan.fineTune > 0 && existsSync(join(runDir, FILES.checkpoint));
    if (context.signal.aborted && !goesOn) clearRun(runDir);
    else discardRun(lock);
    throw context.signal.aborted && goesOn ? stoppedRun(context, runDir) : error;
  });
  using small = done.model;
  writeOnnx(runDir, small);
  say(dir, runDir, done, context);
}

/** What is to be done, with every choice made, and the recipe of the new run. */
interface Plan {
  readonly options: PruneOptions;
  readonly fineTune: number;
  readonly firstSeed: number;
  /** What stays, of a structured one. */
  readonly budget: Readonly<Record<string, number>>;
  readonly sparsity: number;
  readonly scope: "global" | "layer";
  readonly config: RunConfig;
}

function planned({ dir, config }: OpenRun, options: PruneOptions): Plan {
  const { structured, rounds, score, flops, parameters, sparsity = 0.9, scope = "global" } = options;
  const { fineTune = Math.ceil(config.training.epochs / 2), seed: firstSeed = config.training.seed } = options;
  const budget: Record<string, number> = parameters === undefined ? { flops: flops ?? 0.5 } : { parameters };
  const how: Record<string, string | number | boolean | null> = structured
    ? { structured, ...budget, score: score ?? "taylor" }
    : { sparsity, score: score ?? null, scope };
  const seed = firstSeed + rounds - 1; // each round has one of its own; the last is the run that the folder holds
  const training = {
    ...config.training,
    epochs: Math.max(1, fineTune),
    seed,
    patience: undefined,
    weights: "final" as const,
  };
  const pruning = { from: dir, ...how, rounds, fineTune };
  return { options, fineTune, firstSeed, budget, sparsity, scope, config: { ...config, version, training, pruning } };
}

/** Prunes, fine-tunes, tests, and writes the report. */
async function pruned(model: Model, data: RunData, plan: Plan, lock: HeldLock, context: Context): Promise<Tested> {
  const { options, fineTune, firstSeed, budget, sparsity, scope } = plan;
  const { rounds, structured, score } = options;
  const { signal, until } = context;
  const runDir = lock.path;
  let { config } = plan;
  const common = {
    rounds,
    ...(fineTune > 0
      ? { fineTune: { ...fitOptions(model, data, config, runDir, false, context), seed: firstSeed } }
      : {}),
    predict: {
      samples: config.testSamples,
      seed: config.testSeed,
      precision: precisionOn(model.store.device, config.training.precision),
      signal,
    },
  };
  const done = structured
    ? await shrunk(model, data, { ...common, ...budget, ...(score ? { score } : {}) }, (small) => {
        lock.check(); // before its fine-tuning, which may be stopped and gone on with
        config = { ...config, model: { ...config.model, widths: small.config.widths as Record<string, number> } };
        writeConfig(runDir, config);
      })
    : await masked(model, data, { ...common, sparsity, scope, ...(score ? { score: score as ScoreName } : {}) });
  lock.check();
  if (fineTune === 0) saveCheckpoint(join(runDir, FILES.checkpoint), done.model);
  const tested = await testModel(done.model, data.test, config, { signal });
  lock.check();
  const parts = { title: `${model.name} on ${data.test.name}, pruned`, train: data.train, pruning: [done.row] };
  await until(writeReport(runDir, done.model, data.test, config, tested, parts));
  return { ...done, tested };
}

type Tested = Pruned & { readonly tested: Parameters<typeof testFields>[0] };

/** Prints what was done, and how good the model was at each stage. */
function say(dir: string, runDir: string, { model, row, lines: said, fields, tested }: Tested, { out }: Context): void {
  out.line();
  for (const line of said) out.line(line);
  const rows = [
    { name: "before", metrics: row.before },
    { name: "after pruning", metrics: row.after },
    ...(row.fineTuned ? [{ name: "after fine-tuning", metrics: row.fineTuned }] : []),
  ];
  out.line();
  for (const line of qualityTable(model.likelihood.figures.slice(0, 3), "", rows)) out.line(line);
  lines(out, "", `report  ${join(runDir, FILES.reportHtml)}`, `model   ${join(runDir, FILES.onnx)}`);
  out.event("done", {
    runDir,
    from: dir,
    ...fields,
    before: row.before,
    after: row.after,
    fineTuned: row.fineTuned ?? null,
    test: testFields(tested),
  });
}

/** Weights set to zero, in place. */
async function masked(model: Model, data: RunData, options: PruneExperimentOptions): Promise<Pruned> {
  const { row, report } = await pruneExperiment(model, data, options);
  const { score, scope, sparsity, weights, kept, parameters, layers } = report;
  const rows = layers.map((l) => [fitting(`  ${l.name}`), count(l.weights), count(l.kept), percent(l.sparsity)]);
  const lines = table([["layer", "weights", "left", "pruned"], ...rows]);
  const title = `${percent(sparsity)} of ${count(weights)} weights pruned by ${score}, ${count(kept)} left`;
  return {
    model,
    row,
    lines: [["bold", title], ...lines],
    fields: { score, scope, sparsity, weights, kept, parameters, layers },
  };
}

/** Filters and units taken out, in a model of its own. */
async function shrunk(
  whole: Model,
  data: RunData,
  options: ShrinkExperimentOptions,
  onShrunk: (model: Model) => void,
): Promise<Pruned> {
  const { model, row, costs } = await shrinkExperiment(whole, data, { ...options, onShrunk });
  const { before, after } = costs;
  const [slow, fast] = speedsOf([whole, model]);
  const milliseconds = (t: number) => `${t.toPrecision(3)} ms`;
  const shape = (dims: readonly number[]) => dims.join("x");
  const lines = [
    ...table([
      ["layer", "weights", "left", "multiply-adds", "left"],
      ...before.layers.map((l, i) => {
        const left = after.layers[i];
        return [
          fitting(`  ${l.name}`),
          shape(l.shape),
          shape(left.shape),
          count(l.multiplyAdds),
          count(left.multiplyAdds),
        ];
      }),
    ]),
    "",
    ...table([
      ["", "before", "after", "share"],
      ...(
        [
          ["weights and biases", before.weights, after.weights, count],
          ["multiply-adds", before.multiplyAdds, after.multiplyAdds, count],
          ["inference, 128 images", slow.inference, fast.inference, milliseconds],
          ["training step", slow.step, fast.step, milliseconds],
        ] as const
      ).map(([name, a, b, shown]) => [`  ${name}`, shown(a), shown(b), percent(b / a)]),
    ]),
  ];
  const title = `${count(after.weights)} of ${count(before.weights)} weights and ${percent(after.multiplyAdds / before.multiplyAdds)} of the multiply-adds left`;
  const fields = { costs, speed: { before: slow, after: fast } };
  return { model, row, lines: [["bold", title], ...lines], fields };
}

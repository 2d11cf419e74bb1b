import { join } from "node:path";
import { Argument, type Command } from "commander";
import { experiments } from "../../experiments/index.ts";
import { runExperiment } from "../../experiments/runner.ts";
import { states } from "../../experiments/units.ts";
import { openDevice } from "../../native/device.ts";
import { checkDir } from "../../util/atomic.ts";
import { figure } from "../../util/figures.ts";
import { duration } from "../../util/progress.ts";
import { type Context, dataDir, declare, inContext, path, shared, type Values } from "../shared/options.ts";
import { lines, table } from "../shared/output.ts";

const own = declare()
  .flag("--quick", "minutes in place of hours, on the embedded digits: the same code, and figures that say nothing")
  .flag("--list", "say which units there are, and what is done")
  .value("--only <names>", "units by name, * for anything, with commas between", path)
  .value("--work <dir>", "folder of what is begun, so that it can be gone on with", path, join("runs", "experiments"))
  .and(dataDir);
type ExperimentOptions = Values<typeof own>;

/** `bayescnn experiment classification`, and the others. */
export function experimentCommand(root: Command): void {
  const names = experiments.map((e) => e.name);
  shared(
    root
      .command("experiment")
      .description(`run an experiment of the paper, or what is left of it: ${names.join(", ")}`)
      .addArgument(new Argument("<name>", "which one").choices(names)),
    own,
    {
      out: "folder of the figures (default: results, with --quick runs/experiments/quick-results)",
      seed: "first of the seeds (default: 1)",
      example: "bayescnn experiment classification --quick",
    },
  ).action((name: string, options: ExperimentOptions) =>
    inContext(options, (context) => experiment(name, options, context), { product: false, signals: "save" }),
  );
}

async function experiment(name: string, options: ExperimentOptions, { out, signal, progress }: Context): Promise<void> {
  const which = experiments.find((e) => e.name === name)!;
  const { quick = false, only, work, dataDir, seed = 1 } = options;
  const folder = options.out ?? (quick ? join(work, "quick-results") : "results");
  checkDir(folder);
  const settings = {
    quick,
    only,
    work,
    dataDir,
    seed,
    out: folder,
    device: openDevice(options.device, "experiment").name,
    signal,
    progress,
    on: {
      say: (sentence: string) => out.note(sentence),
      begin: (unit: { name: string }, { number, of, left }: { number: number; of: number; left: string }) => {
        out.event("begin", { unit: unit.name, number, of });
        out.line(["bold", unit.name], ["dim", `  ${number} of ${of}, about ${left} left`]);
      },
      done: (unit: { name: string }, { figures, provenance }: { figures: object; provenance: { seconds: number } }) => {
        out.event("done", { unit: unit.name, figures, seconds: provenance.seconds });
        const shown = Object.entries(figures).filter(([, v]) => typeof v === "number");
        const text = shown.slice(0, 6).map(([key, v]) => `${key} ${figure(v)}`);
        out.line(`  ${text.join(", ")}  `, ["dim", duration(provenance.seconds)]);
      },
    },
  };
  if (options.list) {
    const all = states(experiments, which, settings);
    for (const { unit, state } of all) out.event("unit", { unit: unit.name, state, minutes: unit.minutes });
    lines(out, ...table(all.map(({ unit, state }) => [unit.name, state, duration(60 * unit.minutes)])));
    return;
  }
  await runExperiment(experiments, which, settings).catch((error: unknown) => {
    if (signal.aborted) lines(out, `stopped; saved in ${work}. The same command goes on.`);
    throw error;
  });
  out.event("end", { experiment: name, out: folder });
  lines(out, `figures  ${join(folder, name)}`);
}

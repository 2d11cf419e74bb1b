/**
 * Runs the units of an experiment, one after the other. What is done is left alone, what was stopped is gone on with, and
 * several processes may share the units of an experiment: each takes one that nobody works on.
 */
import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import type { TrainTest } from "../data/dataset.ts";
import { type DatasetName, loadData } from "../data/locate.ts";
import { threads } from "../native/device.ts";
import { type HeldLock, RunLock } from "../train/lock.ts";
import { ensureDir, writeFileAtomic } from "../util/atomic.ts";
import { BayesError, fail } from "../util/errors.ts";
import { frozenJson, readJson } from "../util/json.ts";
import { packageRoot, version } from "../util/package.ts";
import { duration } from "../util/progress.ts";
import type { Experiment, JsonObject, Unit, UnitOptions, Work } from "./shared/experiment.ts";
import { standIn } from "./shared/standIn.ts";

const record = z.record(z.string(), z.json());
const schema = z.strictObject({
  schema: z.literal(1),
  experiment: z.string(),
  unit: z.string(),
  quick: z.boolean(),
  settings: record,
  figures: record,
  provenance: z.strictObject({
    version: z.string(),
    /** Of the repository that it ran in; null outside of one, "+" behind it where files had changed. */
    commit: z.string().nullable(),
    command: z.string(),
    device: z.string(),
    threads: z.int(),
    node: z.string(),
    date: z.string(),
    /** From first to last step, stops left out; other work on the machine counts. */
    seconds: z.number(),
  }),
});
/** One file of figures. */
export type Result = z.infer<typeof schema>;

export interface RunnerOptions extends UnitOptions {
  /** Names of units, * for anything; default all. */
  readonly only?: string;
  /** Where the files of figures go. */
  readonly out: string;
  /** Where units keep what they need to go on. */
  readonly work: string;
  readonly dataDir?: string;
  readonly device: string;
  readonly signal: AbortSignal;
  readonly progress: boolean;
  readonly on: {
    say(sentence: string): void;
    begin(unit: Unit, at: { readonly number: number; readonly of: number; readonly left: string }): void;
    done(unit: Unit, result: Result): void;
  };
}

/** A unit with the experiment that it belongs to. */
interface Placed {
  readonly experiment: string;
  readonly unit: Unit;
}
const nameOf = ({ experiment, unit }: Placed): string => `${experiment}/${unit.name}`;

/** The state of a unit, for a list. */
export interface UnitState {
  readonly unit: Unit;
  readonly state: "done" | "begun" | "to do";
}

/**
 * The units that `only` names, with those that they need before them.
 * @throws BayesError that lists the units where none has such a name
 */
function chosen(experiments: readonly Experiment[], experiment: Experiment, options: RunnerOptions): Placed[] {
  const own = experiment.units(options);
  const pattern = new RegExp(
    `^(${(options.only ?? "*")
      .split(",")
      .map((part) => part.replace(/[^\w*]/g, "\\$&").replaceAll("*", ".*"))
      .join("|")})$`,
  );
  const wanted = own.filter((unit) => pattern.test(unit.name));
  if (wanted.length === 0)
    fail(`experiment ${experiment.name}`, `--only among ${own.map((u) => u.name).join(", ")}`, options.only);
  const all = new Map<string, Placed>();
  const add = (placed: Placed): void => {
    if (all.has(nameOf(placed))) return;
    for (const need of placed.unit.needs ?? []) add(find(experiments, placed.experiment, need, options));
    all.set(nameOf(placed), placed);
  };
  for (const unit of wanted) add({ experiment: experiment.name, unit });
  return [...all.values()];
}

/** The unit of this name: of the experiment at hand, or as "experiment/unit". */
function find(experiments: readonly Experiment[], at: string, name: string, options: UnitOptions): Placed {
  const [experiment, unit] = name.includes("/") ? name.split("/") : [at, name];
  const found = experiments
    .find((e) => e.name === experiment)
    ?.units(options)
    .find((u) => u.name === unit);
  if (!found)
    throw new BayesError(`[experiment ${at}] expected a unit ${name}, which another one needs, received none`);
  return { experiment, unit: found };
}

const fileOf = ({ out }: RunnerOptions, placed: Placed): string =>
  join(out, placed.experiment, `${placed.unit.name}.json`);
const folderOf = ({ work, quick }: RunnerOptions, { experiment, unit }: Placed): string =>
  join(work, quick ? `${experiment}-quick` : experiment, unit.name);

/** The figures of a unit; undefined where there are none, or of other settings. */
function resultOf(options: RunnerOptions, placed: Placed): Result | undefined {
  const path = fileOf(options, placed);
  if (!existsSync(path)) return undefined;
  const parsed = schema.safeParse(readJson(path));
  if (!parsed.success)
    throw new BayesError(`[${path}] expected figures of an experiment, received something else; remove it`, {
      code: "ERR_BAYES_FILE",
    });
  const { settings, quick } = parsed.data;
  return quick === options.quick && isDeepStrictEqual(settings, settingsOf(placed.unit)) ? parsed.data : undefined;
}

const settingsOf = ({ settings }: Unit): JsonObject => JSON.parse(JSON.stringify(settings));

/** How far each of the units is. */
export function states(
  experiments: readonly Experiment[],
  experiment: Experiment,
  options: RunnerOptions,
): UnitState[] {
  return chosen(experiments, experiment, options).map((placed) => {
    const begun = existsSync(join(folderOf(options, placed), SETTINGS));
    return { unit: placed.unit, state: resultOf(options, placed) ? "done" : begun ? "begun" : "to do" };
  });
}

/**
 * Runs what is not done.
 * @throws BayesError for an unknown name in `only`; the signal's reason when it aborts, with everything saved
 */
export async function runExperiment(
  experiments: readonly Experiment[],
  experiment: Experiment,
  options: RunnerOptions,
): Promise<void> {
  const { on, signal } = options;
  const units = chosen(experiments, experiment, options);
  const open = units.filter((placed) => !resultOf(options, placed));
  if (open.length < units.length) on.say(`${units.length - open.length} of ${units.length} units are done already`);
  const shared = { data: new Map<DatasetName, Promise<TrainTest>>(), commit: commit() };
  let [spent, planned] = [0, 0]; // seconds
  for (const [i, placed] of open.entries()) {
    const ahead = open.slice(i).reduce((sum, { unit }) => sum + 60 * unit.minutes, 0);
    const left = duration(planned > 0 ? (ahead * spent) / planned : ahead);
    const began = performance.now();
    await attempt(experiments, placed, options, shared, () =>
      on.begin(placed.unit, { number: i + 1, of: open.length, left }),
    );
    signal.throwIfAborted();
    spent += (performance.now() - began) / 1000;
    planned += 60 * placed.unit.minutes;
  }
}

const SETTINGS = "settings.json";
const SECONDS = "seconds.json";
const SAVE_SECONDS_MS = 10_000;

/** Computes one unit, unless another process is doing or has just done so. */
async function attempt(
  experiments: readonly Experiment[],
  placed: Placed,
  options: RunnerOptions,
  { data, commit }: { readonly data: Map<DatasetName, Promise<TrainTest>>; readonly commit: string | null },
  begin: () => void,
): Promise<void> {
  const { unit, experiment } = placed;
  const { out, dataDir, signal, progress, quick, on } = options;
  const dir = folderOf(options, placed);
  ensureDir(dir);
  let lock: HeldLock;
  try {
    lock = RunLock.take(dir);
  } catch (error) {
    if ((error as BayesError).code !== "ERR_BAYES_BUSY") throw error;
    return on.say(`${unit.name} is left out: another process works on it`);
  }
  try {
    if (resultOf(options, placed)) return on.say(`${unit.name} was done by another process meanwhile`);
    for (const need of unit.needs ?? [])
      if (!resultOf(options, find(experiments, experiment, need, options)))
        return on.say(`${unit.name} is left out: ${need}, which it needs, is not done yet`);
    begin();
    prepare(dir, unit);
    const earlier = existsSync(join(dir, SECONDS)) ? Number(readJson(join(dir, SECONDS))) || 0 : 0;
    const start = performance.now();
    const seconds = () => earlier + (performance.now() - start) / 1000;
    const save = () => writeFileAtomic(join(dir, SECONDS), String(Math.round(seconds())));
    const clock = setInterval(save, SAVE_SECONDS_MS).unref();
    const other = (name: string) => find(experiments, experiment, name, options);
    const work: Work = {
      dir,
      quick,
      signal,
      progress,
      dataDir,
      say: on.say,
      data: (name) => {
        const known = data.get(name) ?? (quick ? Promise.resolve(standIn(name)) : loadData(name, dataDir));
        data.set(name, known);
        return known;
      },
      file(name, bytes) {
        ensureDir(join(out, experiment));
        writeFileAtomic(join(out, experiment, `${unit.name}-${name}`), bytes);
      },
      dirOf: (name) => folderOf(options, other(name)),
      figuresOf: (name) => resultOf(options, other(name))?.figures as JsonObject,
    };
    try {
      const figures = frozenJson(`experiment ${unit.name}`, "figures", await unit.run(work));
      signal.throwIfAborted();
      const result: Result = {
        schema: 1,
        experiment,
        unit: unit.name,
        quick,
        settings: settingsOf(unit) as Result["settings"],
        figures: figures as Result["figures"],
        provenance: {
          version,
          commit,
          command: `npx bayescnn experiment ${experiment} --only ${unit.name}${quick ? " --quick" : ""}`,
          device: options.device,
          threads: threads(),
          node: process.version,
          date: new Date().toISOString().slice(0, 10),
          seconds: Math.round(seconds()),
        },
      };
      ensureDir(join(out, experiment));
      writeFileAtomic(fileOf(options, placed), fileText(result));
      on.done(unit, result);
    } finally {
      clearInterval(clock);
      save();
    }
  } finally {
    lock[Symbol.dispose]();
  }
}

/** JSON with a line for each field, and each list of numbers or texts on one. */
const fileText = (result: Result): string =>
  `${JSON.stringify(result, null, 1).replace(/\[\n\s+([^[\]{}]*?)\n\s+\]/g, (_, items: string) => `[${items.replace(/\n\s+/g, " ")}]`)}\n`;

/** The folder as a stopped attempt of the same settings left it; what one of others left is of no use. */
function prepare(dir: string, unit: Unit): void {
  const path = join(dir, SETTINGS);
  const settings = settingsOf(unit);
  if (existsSync(path)) {
    if (isDeepStrictEqual(readJson(path), settings)) return;
    for (const name of [SECONDS, "run"]) rmSync(join(dir, name), { recursive: true, force: true });
  }
  writeFileAtomic(path, `${JSON.stringify(settings)}\n`);
}

/** The commit of the repository that this package lies in; null in an installed one. */
function commit(): string | null {
  const git = (...args: string[]) => spawnSync("git", args, { cwd: packageRoot(), encoding: "utf8" });
  if (!existsSync(join(packageRoot(), ".git"))) return null;
  const { status, stdout } = git("rev-parse", "--short=10", "HEAD");
  if (status !== 0) return null;
  const changed = git("status", "--porcelain", "--untracked-files=no", "--", "lib", "native").stdout !== "";
  return stdout.trim() + (changed ? "+" : "");
}

/**
 * Runs the units of an experiment, one after the other. What is done is left alone, what was stopped is gone on with, and
 * several processes may share the units of an experiment: each takes one that nobody works on.
 */
import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { TrainTest } from "../data/dataset.ts";
import { type DatasetName, loadData } from "../data/locate.ts";
import { threads } from "../native/device.ts";
import { type HeldLock, RunLock } from "../train/lock.ts";
import { ensureDir, writeFileAtomic } from "../util/atomic.ts";
import type { BayesError } from "../util/errors.ts";
import { frozenJson, readJson } from "../util/json.ts";
import { packageRoot, version } from "../util/package.ts";
import { duration } from "../util/progress.ts";
import type { Experiment, JsonObject, Unit, Work } from "./shared/experiment.ts";
import { standIn } from "./shared/standIn.ts";
import {
  chosen,
  DONE,
  fileOf,
  find,
  folderOf,
  hasFolder,
  type Placed,
  type Result,
  type RunnerOptions,
  resultOf,
  SETTINGS,
  settingsOf,
} from "./units.ts";

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
    let [told, elsewhere] = [false, 0];
    const begin = () => {
      if (!told) on.begin(placed.unit, { number: i + 1, of: open.length, left });
      told = true;
    };
    await withFolders(experiments, placed, options, async (which, again) => {
      const start = performance.now();
      try {
        await attempt(experiments, which, options, { ...shared, again }, again ? () => {} : begin);
      } finally {
        if (again) elsewhere += performance.now() - start;
      }
    });
    signal.throwIfAborted();
    spent += (performance.now() - began - elsewhere) / 1000;
    planned += 60 * placed.unit.minutes;
  }
}

const SECONDS = "seconds.json";
const SAVE_SECONDS_MS = 10_000;

/** A unit asks for the folder of another one, whose figures alone are there. */
class Gone extends Error {
  readonly need: string;

  constructor(need: string) {
    super(need);
    this.need = need;
  }
}

/** Attempts a unit and, where it asks for folders that are gone, first those that they are of. */
async function withFolders(
  experiments: readonly Experiment[],
  placed: Placed,
  options: RunnerOptions,
  attempted: (placed: Placed, again: boolean) => Promise<void>,
  again = false,
): Promise<void> {
  try {
    await attempted(placed, again);
  } catch (error) {
    if (!(error instanceof Gone)) throw error;
    const need = find(experiments, placed.experiment, error.need, options);
    options.on.say(`${error.need} runs again, and its figures are written anew: its folder is not there, or not whole`);
    await withFolders(experiments, need, options, attempted, true);
    options.signal.throwIfAborted();
    if (hasFolder(options, need)) return withFolders(experiments, placed, options, attempted, again);
    options.on.say(`${placed.unit.name} is left out: ${error.need}, which it needs, is not done yet`);
  }
}

/** Computes one unit, unless another process is doing or has just done so. */
async function attempt(
  experiments: readonly Experiment[],
  placed: Placed,
  options: RunnerOptions,
  {
    data,
    commit,
    again,
  }: {
    readonly data: Map<DatasetName, Promise<TrainTest>>;
    readonly commit: string | null;
    /** though its figures are there */
    readonly again: boolean;
  },
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
    if (again ? hasFolder(options, placed) : resultOf(options, placed))
      return on.say(`${unit.name} was done by another process meanwhile`);
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
      dirOf(name) {
        if (!hasFolder(options, other(name))) throw new Gone(name);
        return folderOf(options, other(name));
      },
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
          command: `npx bayescnn experiment ${experiment} --only ${unit.name}${quick ? " --quick" : ""}${options.seed === 1 ? "" : ` --seed ${options.seed}`}`,
          device: options.device,
          threads: threads(),
          node: process.version,
          date: new Date().toISOString().slice(0, 10),
          seconds: Math.round(seconds()),
        },
      };
      ensureDir(join(out, experiment));
      writeFileAtomic(join(dir, DONE), ""); // before the figures: who sees those finds the folder whole
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
    for (const name of [SECONDS, DONE, "run"]) rmSync(join(dir, name), { recursive: true, force: true });
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

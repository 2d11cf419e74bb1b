/** The units of an experiment: which are meant, what they need, where their files are, and which are done. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { BayesError, fail } from "../util/errors.ts";
import { readJson } from "../util/json.ts";
import type { Experiment, JsonObject, Unit, UnitOptions } from "./shared/experiment.ts";

/** Files of a unit's folder: its settings, and one that is there once it has come to its end. */
export const SETTINGS = "settings.json";
export const DONE = "done";

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
export interface Placed {
  readonly experiment: string;
  readonly unit: Unit;
}
export const nameOf = ({ experiment, unit }: Placed): string => `${experiment}/${unit.name}`;

/** The state of a unit, for a list. */
export interface UnitState {
  readonly unit: Unit;
  readonly state: "done" | "begun" | "to do";
}

/**
 * The units that `only` names, with those that they need before them.
 * @throws BayesError that lists the units where none has such a name
 */
export function chosen(experiments: readonly Experiment[], experiment: Experiment, options: RunnerOptions): Placed[] {
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
export function find(experiments: readonly Experiment[], at: string, name: string, options: UnitOptions): Placed {
  const [experiment, unit] = name.includes("/") ? name.split("/") : [at, name];
  const found = experiments
    .find((e) => e.name === experiment)
    ?.units(options)
    .find((u) => u.name === unit);
  if (!found)
    throw new BayesError(`[experiment ${at}] expected a unit ${name}, which another one needs, received none`);
  return { experiment, unit: found };
}

export const fileOf = ({ out }: RunnerOptions, placed: Placed): string =>
  join(out, placed.experiment, `${placed.unit.name}.json`);
export const folderOf = ({ work, quick }: RunnerOptions, { experiment, unit }: Placed): string =>
  join(work, quick ? `${experiment}-quick` : experiment, unit.name);

/** The figures of a unit; undefined where there are none, or of other settings. */
export function resultOf(options: RunnerOptions, placed: Placed): Result | undefined {
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

/** Whether a unit has come to its end in this folder; results may come without, as in a clone of our repository. */
export function hasFolder(options: RunnerOptions, placed: Placed): boolean {
  const dir = folderOf(options, placed);
  return existsSync(join(dir, DONE)) && isDeepStrictEqual(readJson(join(dir, SETTINGS)), settingsOf(placed.unit));
}

export const settingsOf = ({ settings }: Unit): JsonObject => JSON.parse(JSON.stringify(settings));

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

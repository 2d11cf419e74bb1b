/** What every subcommand shares: options, number parsing, and the frame an action runs in. */
import { availableParallelism } from "node:os";
import { type Command, InvalidArgumentError, Option } from "commander";
import {
  checkDevice,
  type DeviceName,
  insteadOfGpu,
  openDevice,
  PRECISIONS,
  setDevice,
  setThreads,
} from "../../native/device.ts";
import { checkTarget, writeFileAtomic } from "../../util/atomic.ts";
import { BayesError, checkInt, checkNumber, checkPath, fail, words } from "../../util/errors.ts";
import { parseNumber } from "../../util/number.ts";
import { declare, type Options } from "./declare.ts";
import { type Output, output } from "./output.ts";
import { Interruption } from "./signals.ts";
import { standard } from "./standard.ts";

/** A mistake in how the command was called that only shows with all options known: exit code 2. */
export class UsageError extends BayesError {}

/** What an action gets besides its own arguments. */
export interface Context {
  readonly out: Output;
  /** Aborted by the first SIGINT (Ctrl-C), SIGTERM or SIGHUP; its reason is the {@link Interrupted} to end with. */
  readonly signal: AbortSignal;
  /** What `work` gives, which has nothing to save: given up when the signal aborts. */
  until<T>(work: Promise<T>): Promise<T>;
  /** Whether to draw progress on standard error. */
  readonly progress: boolean;
}

const DEBUG = "print the stack of an error, and its causes";
/** The option that has the stack of an error printed. */
export const debug = (): Option => new Option("--debug", DEBUG);

/** Turns the sentence of a failed check into commander's, which names the option. */
function argument<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof BayesError)) throw error;
      throw new InvalidArgumentError(
        error.message.replace(/^\[[^\]]*\] e/, "E").replace("received NaN", "received no number"),
      );
    }
  };
}

const numeric = (text: string): number => parseNumber(text) ?? Number.NaN;

/** Parser of an option that takes an integer in [min, max]. */
export const integer = (min: number, max?: number) =>
  argument((text) => checkInt("", "the value", numeric(text), min, max));
/** Parser of an option that takes a number in [min, max]. */
export const decimal = (min: number, max?: number) =>
  argument((text) => checkNumber("", "the value", numeric(text), min, max));
/** Parser of an option that takes a path or a name. What looks like an option was meant as one: its value was forgotten. */
export const path = argument((text) =>
  text === "" || text.startsWith("--")
    ? fail("", "a value (./ before one that begins with dashes)", text)
    : checkPath("", text),
);
/** The same of an option that may be given several times. */
export const several = (text: string, before: readonly string[] = []): readonly string[] => [...before, path(text)];
/** Parser of an option whose text another module understands; the text itself is kept. */
export const spec = (parse: (text: string) => unknown) =>
  argument((text) => {
    parse(text);
    return text;
  });
/** Parser of a list of integers: "3,17,20-25". */
export const integers = argument((text) => {
  const all: number[] = [];
  for (const part of text.split(",")) {
    const [from, to = from, ...more] = part.split("-").map(numeric);
    checkInt("", "an index", from, 0);
    checkInt("", "the end of a range", more.length > 0 ? Number.NaN : to, from);
    if (all.length + to - from >= 100_000) fail("", "at most 100000 indices", words("more"));
    for (let i = from; i <= to; i++) all.push(i);
  }
  return all;
});

const device = argument((text) => checkDevice("", text) as DeviceName);

/** --json, --seed, --device, --threads, --out and --debug. */
const common = (out = "also write the JSON lines to this file", seed = "seed of all that is random (default: 1)") =>
  declare()
    .flag("--json", "print JSON lines instead of text")
    .value("--seed <n>", seed, integer(0))
    .value("--device <name>", "where to run: cpu, cuda, cuda:1, …; auto is the best there is", device, "auto")
    .value(
      "--threads <n>",
      `threads; results do not depend on it (default: ${availableParallelism()}, the available cores)`,
      integer(1, 64),
    )
    .value("--out <path>", out, path)
    .flag("--debug", DEBUG)
    .under("Common options:");

export type SharedOptions = ReturnType<typeof common>["values"];
/** The values of declared options and of the shared ones, as an action receives them. */
export type Values<O extends Options<unknown>> = O["values"] & SharedOptions;
export { declare };

/** Adds a command's own options, those that all share, and one example. */
export function shared(
  command: Command,
  own: Options<unknown>,
  { out, seed, example }: { out?: string; seed?: string; example: string },
): Command {
  return own.and(common(out, seed)).addTo(command).addHelpText("after", `\nExample:\n  $ ${example}`);
}

const ARITHMETIC = "arithmetic of convolutions and linear layers";
export const precision = declare().choice("--precision <name>", ARITHMETIC, PRECISIONS, "fp32");

export const dataDir = declare().value(
  "--data-dir <dir>",
  "where the data sets are (default: BAYESCNN_DATA, else ./data)",
  path,
);
/** Of a run's data. */
export const runDataDir = declare().value(
  "--data-dir <dir>",
  "where the data sets are (default: where they were)",
  path,
);

/** What the commands that ask a trained run for predictions have in common. */
export const sampling = declare()
  .choice("--precision <name>", `${ARITHMETIC} (default: the run's)`, PRECISIONS)
  .and(runDataDir)
  .value("--samples <n>", "Monte-Carlo samples (default: the run's)", integer(1, 65_536))
  .choice("--mode <name>", "average over weights, or their means alone", ["sample", "mean"], "sample");

/**
 * Runs an action in the frame of the shared options.
 * @param device false for an action that works without the addon
 * @param linesTo file that gets the JSON lines, where --out means that
 * @param product whether what is printed is what the command is for, and not files that it writes
 * @param signals "stop": the first signal ends the action wherever it waits; "save": it listens to `signal` and has
 *   something to save first; "kill": nothing is in the way of a signal, for an action that never waits
 */
export async function inContext(
  options: SharedOptions,
  action: (context: Context) => Promise<void> | void,
  {
    device = true,
    linesTo,
    product = true,
    signals = "stop",
  }: { device?: boolean; linesTo?: string; product?: boolean; signals?: "stop" | "save" | "kill" } = {},
): Promise<void> {
  standard.product = product;
  if (device) openDevice(options.device, "--device"); // now, not after work that would be in vain
  if (device && options.threads !== undefined) setThreads(options.threads);
  if (linesTo !== undefined) checkTarget(linesTo); // now, not after the work
  const json = options.json === true;
  const before = options.device === "auto" ? undefined : setDevice(options.device);
  const lines: string[] = [];
  const out = output(json, lines);
  const why = device ? insteadOfGpu() : undefined;
  if (why !== undefined) out.note(`it runs on the CPU: ${why}`);
  const interruption = signals === "kill" ? undefined : new Interruption(signals === "save" && !json);
  try {
    const { signal, until } = interruption ?? NEVER;
    const context = { out, progress: !json && process.stderr.isTTY === true, signal, until };
    const work = Promise.resolve(action(context));
    await (signals === "stop" ? until(work) : work);
    if (linesTo !== undefined) writeFileAtomic(linesTo, lines.map((line) => `${line}\n`).join(""));
    await interruption?.heard();
  } finally {
    if (before !== undefined) setDevice(before);
    interruption?.release();
  }
}

const NEVER = { signal: new AbortController().signal, until: <T>(work: Promise<T>) => work };

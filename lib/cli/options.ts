/** What every subcommand shares: options, number parsing, and the frame an action runs in. */
import { availableParallelism } from "node:os";
import { type Command, InvalidArgumentError, Option } from "commander";
import { checkDevice, type DeviceName, setThreads } from "../device.ts";
import { BayesError, checkInt, checkNumber, fail } from "../errors.ts";
import type { Precision } from "../graph/trace.ts";
import { checkTarget, writeFileAtomic } from "../util/atomic.ts";
import { type Output, output } from "./output.ts";

/** Thrown when Ctrl-C ended a command after it has said all there is to say: exit code 130. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** A mistake in how the command was called that only shows with all options known: exit code 2. */
export class UsageError extends BayesError {}

export interface SharedOptions {
  readonly json?: boolean;
  readonly seed?: number;
  readonly device: DeviceName;
  readonly threads?: number;
  readonly out?: string;
}

/** What an action gets besides its own arguments. */
export interface Context {
  readonly out: Output;
  /** Aborted by the first Ctrl-C (or SIGTERM), a second one exits at once. Ask for it only where it is listened to. */
  readonly signal: AbortSignal;
  /** Whether to draw progress on standard error. */
  readonly progress: boolean;
}

const numeric = (text: string): number => (text.trim() === "" ? fail("", "a number", text) : Number(text));

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

/** Parser of an option that takes an integer in [min, max]. */
export const integer = (min: number, max?: number) =>
  argument((text) => checkInt("", "the value", numeric(text), min, max));
/** Parser of an option that takes a number in [min, max]. */
export const decimal = (min: number, max?: number) =>
  argument((text) => checkNumber("", "the value", numeric(text), min, max));
/** Parser of an option whose text another module understands; the text itself is kept. */
export const spec = (parse: (text: string) => unknown) =>
  argument((text) => {
    parse(text);
    return text;
  });
/** Parser of a list of integers: "3,17,20-25". */
export const integers = argument((text) =>
  text.split(",").flatMap((part) => {
    const [from, to = from] = part.split("-").map(numeric);
    checkInt("", "an index", from, 0);
    checkInt("", "the end of a range", to, from, from + 99_999);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  }),
);

/** Collects an option that may be given several times. */
export const several = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** Adds --json, --seed, --device, --threads and --out, and one example. */
export function shared(
  command: Command,
  { out, seed, example }: { out?: string; seed?: string; example: string },
): Command {
  command
    .addOption(new Option("--json", "print JSON lines instead of text").helpGroup("Common options:"))
    .addOption(
      new Option("--seed <n>", seed ?? "seed of all that is random (default: 1)")
        .argParser(integer(0))
        .helpGroup("Common options:"),
    )
    .addOption(
      new Option("--device <name>", "where to run")
        .choices(["auto", "cpu", "cuda"])
        .default("auto")
        .helpGroup("Common options:"),
    )
    .addOption(
      new Option(
        "--threads <n>",
        `threads; results do not depend on it (default: ${availableParallelism()}, the available cores)`,
      )
        .argParser(integer(1, 64))
        .helpGroup("Common options:"),
    )
    .addOption(
      new Option("--out <path>", out ?? "also write the JSON lines to this file").helpGroup("Common options:"),
    );
  return command.addHelpText("after", `\nExample:\n  $ ${example}`);
}

/** Adds --precision. @param otherwise what it is when nothing is said, if not fp32 */
export const precision = (command: Command, otherwise?: string): Command => {
  const option = new Option(
    "--precision <name>",
    `arithmetic of convolutions and linear layers${otherwise ? ` (default: ${otherwise})` : ""}`,
  ).choices(["fp32", "bf16"]);
  return command.addOption(otherwise === undefined ? option.default("fp32") : option);
};

/** What the commands that ask a trained run for predictions have in common. */
export interface SamplingOptions extends SharedOptions {
  readonly dataDir?: string;
  readonly samples?: number;
  readonly mode: "sample" | "mean";
  readonly precision?: Precision;
}

/** Adds them. */
export function sampling(command: Command): Command {
  return precision(command, "the run's")
    .option("--data-dir <dir>", "where the data sets are (default: where they were)")
    .option("--samples <n>", "Monte-Carlo samples (default: the run's)", integer(1, 65_536))
    .addOption(
      new Option("--mode <name>", "average over weights, or their means alone")
        .choices(["sample", "mean"])
        .default("sample"),
    );
}

/**
 * Runs an action in the frame of the shared options.
 * @param device false for an action that works without the addon
 * @param linesTo file that gets the JSON lines, where --out means that
 */
export async function inContext(
  options: SharedOptions,
  action: (context: Context) => Promise<void> | void,
  { device = true, linesTo }: { device?: boolean; linesTo?: string } = {},
): Promise<void> {
  checkDevice("--device", options.device);
  if (device && options.threads !== undefined) setThreads(options.threads);
  if (linesTo !== undefined) checkTarget(linesTo); // now, not after the work
  const json = options.json === true;
  const lines: string[] = [];
  const interrupt = new Interruption(json);
  try {
    await action({
      out: output(json, lines),
      progress: !json && process.stderr.isTTY === true,
      get signal() {
        return interrupt.signal;
      },
    });
    if (linesTo !== undefined) writeFileAtomic(linesTo, lines.map((line) => `${line}\n`).join(""));
  } finally {
    interrupt.release();
  }
}

/** Ctrl-C (and SIGTERM) as an AbortSignal, from the moment somebody asks for it; until then it just ends the process. */
class Interruption {
  readonly #abort = new AbortController();
  readonly #quiet: boolean;
  #listening = false;

  constructor(quiet: boolean) {
    this.#quiet = quiet;
  }

  get signal(): AbortSignal {
    if (!this.#listening) process.on("SIGINT", this.#onSignal).on("SIGTERM", this.#onSignal);
    this.#listening = true;
    return this.#abort.signal;
  }

  release(): void {
    process.off("SIGINT", this.#onSignal).off("SIGTERM", this.#onSignal);
  }

  readonly #onSignal = (): void => {
    if (this.#abort.signal.aborted) process.exit(130);
    if (!this.#quiet) process.stderr.write("\nstopping; press Ctrl-C again to exit at once\n");
    this.#abort.abort(new Interrupted("interrupted"));
  };
}

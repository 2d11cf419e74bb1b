import { inspect } from "node:util";
import { Command, CommanderError } from "commander";
import { asBayesError } from "../util/memory.ts";
import { version } from "../util/package.ts";
import { fitting, visible } from "../util/text.ts";
import { benchCommand } from "./commands/bench.ts";
import { dataCommand } from "./commands/data.ts";
import { evaluateCommand } from "./commands/evaluate.ts";
import { experimentCommand } from "./commands/experiment.ts";
import { exportCommand } from "./commands/export.ts";
import { infoCommand } from "./commands/info.ts";
import { predictCommand } from "./commands/predict.ts";
import { pruneCommand } from "./commands/prune.ts";
import { startCommand } from "./commands/start.ts";
import { superResolveCommand } from "./commands/super-resolve.ts";
import { thresholdCommand } from "./commands/threshold.ts";
import { trainCommand } from "./commands/train.ts";
import { debug, UsageError } from "./shared/options.ts";
import { complain } from "./shared/output.ts";
import { Interrupted } from "./shared/signals.ts";
import { standard } from "./shared/standard.ts";

/** All exit codes, and what they mean. */
export const EXIT_CODES = [
  [0, "done"],
  [1, "an error"],
  [2, "a wrong command line"],
  [3, "a fault of bayescnn itself"],
  [129, "stopped because the terminal closed (SIGHUP)"],
  [130, "stopped by Ctrl-C (SIGINT)"],
  [141, "nobody reads what the command is to print"],
  [143, "stopped by SIGTERM"],
] as const;

/** Those after a signal. */
export const INTERRUPTED: readonly number[] = [129, 130, 143];

/** The whole command line. A subcommand is one file and one line here. */
export function program(): Command {
  const root = new Command("bayescnn")
    .description("Bayesian convolutional networks: train, say how sure they are, prune, export")
    .version(version, "-V, --version", "print the version")
    .helpCommand(false)
    .exitOverride()
    .configureHelp({ showGlobalOptions: false })
    .addOption(debug())
    .configureOutput({
      writeOut: (text) => standard.write("stdout", text),
      writeErr: (text) => standard.write("stderr", text),
      outputError: (text, write) => write(`bayescnn: ${oneLine(text)}\n`),
    })
    .showHelpAfterError("(--help says what there is)")
    .addHelpText(
      "after",
      `\nExit codes: ${EXIT_CODES.map(([code, what]) => `${code} ${what}`).join(", ")}.\n\nExample:\n  $ bayescnn train --model lenet5 --data mnist --epochs 20 --seed 1`,
    );
  for (const add of [
    trainCommand,
    evaluateCommand,
    thresholdCommand,
    predictCommand,
    superResolveCommand,
    pruneCommand,
    exportCommand,
    dataCommand,
    infoCommand,
    benchCommand,
    experimentCommand,
    startCommand,
  ])
    add(root);
  return root;
}

/**
 * Runs one command line.
 * @returns the exit code, apart from what becomes of standard output; what went wrong is one line on standard error
 */
export async function run(args: readonly string[]): Promise<number> {
  const root = program();
  try {
    await root.parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has said it already
    if (error instanceof Interrupted) return error.exitCode;
    const stack = [root, ...root.commands, ...root.commands.flatMap((c) => c.commands)].some((c) => c.opts().debug);
    const known = asBayesError(args.find((arg) => !arg.startsWith("-")) ?? "bayescnn", error);
    if (!known) return unexpected(error, stack);
    complain(known.message);
    if (stack) printStack(error);
    return known instanceof UsageError ? 2 : 1;
  }
}

/** Says that an error was not foreseen. @returns its exit code */
export function unexpected(error: unknown, stack: boolean): number {
  const { name, message } = error instanceof Error ? error : { name: typeof error, message: inspect(error) };
  const help = stack ? "please report it with the stack below" : "please report it; --debug prints the stack";
  complain(`unexpected: ${fitting(`${name}: ${message}`, 300)}; ${help}`);
  if (stack) printStack(error);
  return 3;
}

const printStack = (error: unknown): void => standard.write("stderr", `${visible(inspect(error), true)}\n`);

/** A message of commander as one line, however long the argument is that it quotes. */
function oneLine(text: string): string {
  const [, sentence, hint = ""] = /^(?:error: )?(.*?)(?:\n(\(Did you mean [^\n]*\)))?\n?$/s.exec(text)!;
  return fitting(sentence, 600) + (hint && ` ${hint}`);
}

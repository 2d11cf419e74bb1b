import { Command, CommanderError } from "commander";
import { BayesError } from "../errors.ts";
import { version } from "../util/package.ts";
import { benchCommand } from "./bench.ts";
import { dataCommand } from "./data.ts";
import { evaluateCommand } from "./evaluate.ts";
import { exportCommand } from "./export.ts";
import { infoCommand } from "./info.ts";
import { Interrupted, UsageError } from "./options.ts";
import { predictCommand } from "./predict.ts";
import { pruneCommand } from "./prune.ts";
import { startCommand } from "./start.ts";
import { trainCommand } from "./train.ts";

/** The whole command line. A subcommand is one file and one line here. */
export function program(): Command {
  const root = new Command("bayescnn")
    .description("Bayesian convolutional networks: train, say how sure they are, prune, export")
    .version(version, "-V, --version", "print the version")
    .helpCommand(false)
    .exitOverride()
    .configureHelp({ showGlobalOptions: false })
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "bayescnn: ")) })
    .showHelpAfterError("(--help says what there is)")
    .addHelpText(
      "after",
      "\nExit codes: 0 done, 1 an error, 2 a wrong command line, 130 stopped by Ctrl-C.\n\nExample:\n  $ bayescnn train --model lenet5 --data mnist --epochs 20 --seed 1",
    );
  for (const add of [
    trainCommand,
    evaluateCommand,
    predictCommand,
    pruneCommand,
    exportCommand,
    dataCommand,
    infoCommand,
    benchCommand,
    startCommand,
  ])
    add(root);
  return root;
}

/**
 * Runs one command line.
 * @returns the exit code: 0 done, 1 an error (one line on standard error), 2 a wrong command line, 130 after Ctrl-C
 */
export async function run(args: readonly string[]): Promise<number> {
  try {
    await program().parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has said it already
    if (error instanceof Interrupted || (error as Error | undefined)?.name === "AbortError") return 130;
    if (error instanceof BayesError) {
      process.stderr.write(`bayescnn: ${error.message}\n`);
      return error instanceof UsageError ? 2 : 1;
    }
    // not foreseen: the stack is what a bug report needs
    process.stderr.write(`bayescnn: unexpected ${(error as Error)?.stack ?? String(error)}\n`);
    return 1;
  }
}

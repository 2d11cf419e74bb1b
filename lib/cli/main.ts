#!/usr/bin/env node
import { INTERRUPTED, run, unexpected } from "./program.ts";
import { endProcess } from "./shared/signals.ts";
import { standard } from "./shared/standard.ts";

standard.takeOver();
process.on("uncaughtException", (error) => process.exit(unexpected(error, process.argv.includes("--debug"))));
const code = await run(process.argv.slice(2));
if (INTERRUPTED.includes(code)) {
  await standard.flush(1000); // a reader that sleeps does not keep anybody waiting
  endProcess(code); // whatever was given up may still be under way
}
await standard.flush();
process.exitCode = standard.exitCode(code);

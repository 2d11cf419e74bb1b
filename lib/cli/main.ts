#!/usr/bin/env node
import { run } from "./program.ts";

// A reader that went away (`bayescnn ... | head`) is no error of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
process.exitCode = await run(process.argv.slice(2));

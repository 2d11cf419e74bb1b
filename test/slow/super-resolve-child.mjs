// Runs `bayescnn super-resolve` and says how much memory that took (MiB): for super-resolve.test.ts.
import { run } from "../../dist/cli/program.js";

process.exitCode = await run(["super-resolve", ...process.argv.slice(2)]);
console.log(process.resourceUsage().maxRSS / 1024);

import { dirname, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

// the library's own folder (lib/ or dist/): frames inside it are not the user's. In a bundle nobody can tell them apart.
const home = /^file:.*\/graph\/site\.[jt]s$/.test(import.meta.url ?? "")
  ? dirname(dirname(fileURLToPath(import.meta.url))) + sep
  : undefined;

/** The innermost line of the calling code outside this library's op and layer code, as "model.ts:12"; undefined if none. */
export function userSite(): string | undefined {
  if (home === undefined) return undefined;
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 32; // of calls within the library there are up to 18
  const stack = new Error().stack ?? "";
  Error.stackTraceLimit = limit;
  for (const line of stack.split("\n").slice(1)) {
    const match = /\(?((?:file:\/\/)?[^()\s]+):(\d+):\d+\)?$/.exec(line);
    if (!match || match[1].startsWith("node:")) continue;
    const file = match[1].startsWith("file://") ? fileURLToPath(match[1]) : match[1];
    if (file.startsWith(home) && !file.startsWith(`${home}models${sep}`)) continue;
    if (file.includes(`${sep}node_modules${sep}`)) continue;
    const path = relative(process.cwd(), file);
    return `${path.startsWith("..") ? file : path}:${match[2]}`;
  }
  return undefined;
}

import { dirname, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

// the library's own folder (lib/ or dist/): frames inside it are not the user's. In a bundle nobody can tell them apart.
const home = /^file:.*\/graph\/site\.[jt]s$/.test(import.meta.url ?? "")
  ? dirname(dirname(fileURLToPath(import.meta.url))) + sep
  : undefined;

/** Frames of the calling code that are looked at: of calls within the library there are up to 18. */
const MOST_FRAMES = 32;

/** Lines by the place that the engine has for them: to make one of them is to write a whole stack, and to parse it. */
const known = new Map<string, string | undefined>();

/** The innermost line of the calling code outside this library's op and layer code, as "model.ts:12"; undefined if none. */
export function userSite(): string | undefined {
  if (home === undefined) return undefined;
  const frame = frames().find((f) => isUsers(f.getFileName()));
  if (!frame) return undefined;
  const place = `${frame.getFileName()}:${frame.getLineNumber()}:${frame.getColumnNumber()}`;
  if (!known.has(place)) known.set(place, siteOf(stack() ?? ""));
  return known.get(place);
}

/** The stack as the process writes it: with the lines of the sources, where it knows them. */
function stack(): string | undefined {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = MOST_FRAMES;
  try {
    return new Error().stack;
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/** The frames themselves, of which no text is made. */
function frames(): readonly NodeJS.CallSite[] {
  const { prepareStackTrace } = Error;
  let found: readonly NodeJS.CallSite[] = [];
  Error.prepareStackTrace = (_, sites) => {
    found = sites;
    return "";
  };
  try {
    stack();
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
  }
  return found;
}

function siteOf(stack: string): string | undefined {
  for (const line of stack.split("\n").slice(1)) {
    const match = /\(?((?:file:\/\/)?[^()\s]+):(\d+):\d+\)?$/.exec(line);
    if (!match || !isUsers(match[1])) continue;
    const file = pathOf(match[1]);
    const path = relative(process.cwd(), file);
    return `${path.startsWith("..") ? file : path}:${match[2]}`;
  }
  return undefined;
}

const pathOf = (name: string): string => (name.startsWith("file://") ? fileURLToPath(name) : name);

const users = new Map<string, boolean>();
/** Whether that is a file of the caller's own. */
function isUsers(name: string | null | undefined): boolean {
  if (!name || home === undefined) return false;
  const before = users.get(name);
  if (before !== undefined) return before;
  const file = pathOf(name);
  const own = file.startsWith(home) && !file.startsWith(`${home}models${sep}`);
  const is = !name.startsWith("node:") && !own && !file.includes(`${sep}node_modules${sep}`);
  users.set(name, is);
  return is;
}

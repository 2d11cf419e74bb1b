/** JSON that others have written, or are to read: what JavaScript would take silently, or break on, is said in one sentence. */
import { BayesError, fail, failFile, shorten, show, words } from "./errors.ts";
import { readRegular } from "./regular.ts";

/** Far deeper than any configuration; whatever walks through a value calls itself for each level. */
const DEPTH = 100;
const MOST = 1 << 26;

/**
 * Parses JSON, believing nothing.
 * @param where the file's name, for the message
 * @param what what the text is, for the message
 * @param proto whether `__proto__` may be a key: only where the caller never copies the object key by key
 * @throws BayesError for anything else than JSON, more than 100 levels, a key that stands twice in an object
 */
export function parseJson(
  where: string,
  text: string,
  { what = "JSON", proto = false }: { what?: string; proto?: boolean } = {},
): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new BayesError(`[${where}] expected ${what}, received text that is not valid JSON`, {
      code: "ERR_BAYES_FILE",
      cause: error,
    });
  }
  checkKeys(where, text, proto);
  return value;
}

/** The JSON value in a file. */
export function readJson(path: string): unknown {
  const bytes = readRegular(path, { most: MOST });
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return failFile(path, "JSON in UTF-8", words("other bytes"));
  }
  return parseJson(path, text);
}

/** Goes through valid JSON once, by characters. */
function checkKeys(where: string, json: string, proto: boolean): void {
  const open: (Set<string> | undefined)[] = []; // the keys of the objects around the current place; undefined for a list
  for (let i = 0; i < json.length; i++) {
    const char = json[i];
    if (char === "{" || char === "[") {
      open.push(char === "{" ? new Set() : undefined);
      if (open.length > DEPTH) failFile(where, `JSON of at most ${DEPTH} levels`, words("more"));
    } else if (char === "}" || char === "]") open.pop();
    else if (char === '"') {
      const start = i++;
      for (; json[i] !== '"'; i++) if (json[i] === "\\") i++;
      let next = i + 1;
      while (next < json.length && " \t\r\n".includes(json[next])) next++;
      if (json[next] !== ":") continue;
      const key: string = JSON.parse(json.slice(start, i + 1));
      const keys = open[open.length - 1]!;
      if (keys.has(key))
        throw new BayesError(
          `[${where}] expected every key once in an object, received one where ${shorten(JSON.stringify(key))} stands twice`,
          { code: "ERR_BAYES_FILE" },
        );
      if (key === "__proto__" && !proto) failFile(where, "keys that are names", key);
      keys.add(key);
    }
  }
}

/**
 * A frozen copy of a value as JSON has it: fields without a value are left out.
 * @throws BayesError for what JSON cannot hold (functions, big integers, NaN, an object inside itself) and for nesting that
 *   no reader would take, naming the field
 */
export function frozenJson<T>(where: string, what: string, value: T): T {
  return copy(where, what, value, 0) as T;
}

function copy(where: string, at: string, value: unknown, depth: number): unknown {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value + 0; // JSON has no -0
  if (depth > DEPTH) fail(where, `${at.slice(0, 60)}… nested no deeper than ${DEPTH}, not inside itself`, value);
  if (Array.isArray(value)) return Object.freeze([...value].map((v, i) => copy(where, `${at}.${i}`, v, depth + 1)));
  const plain = typeof value === "object" && /^\[object Object\]$/.test(Object.prototype.toString.call(value));
  if (!plain) fail(where, `${at} as JSON can hold it`, typeof value === "symbol" ? show(value) : value);
  const own = Object.entries(value as object).filter(([, v]) => v !== undefined);
  return Object.freeze(Object.fromEntries(own.map(([key, v]) => [key, copy(where, `${at}.${key}`, v, depth + 1)])));
}

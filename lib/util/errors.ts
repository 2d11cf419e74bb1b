import { visible } from "./text.ts";

/**
 * What a program may want to tell apart. The sentence of an error may change from version to version, its code does not.
 *
 * | code | what |
 * | --- | --- |
 * | `ERR_BAYES_ARGUMENT` | an argument, an option or a model function is not as it has to be |
 * | `ERR_BAYES_DATA` | examples do not do: their numbers, targets or classes, or they do not fit the model |
 * | `ERR_BAYES_FILE` | a file or folder (or its download) is missing, damaged, something else, or cannot be read or written |
 * | `ERR_BAYES_CLOSED` | the model, store or program has been closed |
 * | `ERR_BAYES_BUSY` | a run or another `fit` is under way, or somebody else works in the run folder; later it works |
 * | `ERR_BAYES_QUEUE_FULL` | a {@link Predictor} has as many calls waiting as it may; later it works |
 * | `ERR_BAYES_NUMERIC` | a NaN or an infinity where there must be none, or results that do not agree |
 * | `ERR_BAYES_MEMORY` | there is not enough memory for what was asked, known before any of it is computed |
 * | `ERR_BAYES_MISSING` | the native addon, an optional package or a device is not there, or cannot be used |
 */
export type ErrorCode =
  | "ERR_BAYES_ARGUMENT"
  | "ERR_BAYES_DATA"
  | "ERR_BAYES_FILE"
  | "ERR_BAYES_CLOSED"
  | "ERR_BAYES_BUSY"
  | "ERR_BAYES_QUEUE_FULL"
  | "ERR_BAYES_NUMERIC"
  | "ERR_BAYES_MEMORY"
  | "ERR_BAYES_MISSING";

/**
 * The one error class users meet: a sentence that says what was wrong, what was expected, what was received, and where, and
 * a {@link ErrorCode | code} for programs. Whatever it quotes can be shown on a terminal: control characters in it are
 * escaped.
 */
export class BayesError extends Error {
  override readonly name: string = "BayesError";
  readonly code: ErrorCode;

  constructor(
    message: string,
    { code = "ERR_BAYES_ARGUMENT", ...options }: ErrorOptions & { readonly code?: ErrorCode } = {},
  ) {
    super(visible(message), options);
    this.code = code;
  }
}

/** `text`, cut to at most `most` characters: what was received may be of any length. */
export const shorten = (text: string, most = 100): string =>
  text.length > most ? `${text.slice(0, most - 3)}...` : text;

/** What was received, told in words: {@link fail} shows them as they stand, where it puts a text into quotation marks. */
class Words {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** See {@link Words}. */
export const words = (text: string): Words => new Words(text);

/** A short, safe picture of a received value for an error message: at most 160 characters, and nothing of it throws. */
export function show(value: unknown): string {
  try {
    return shorten(picture(value, 0), 160);
  } catch {
    return typeof value; // a proxy or a getter that throws
  }
}

function picture(value: unknown, depth: number): string {
  if (value instanceof Words) return value.text;
  if (typeof value === "string") return JSON.stringify(shorten(value, 60));
  if (typeof value === "bigint") return `${value}n`;
  if (Array.isArray(value)) {
    if (depth > 1) return `Array(${value.length})`;
    const few = value.slice(0, 8).map((v) => picture(v, depth + 1));
    return `[${few.join(", ")}${value.length > 8 ? ", ..." : ""}]`;
  }
  if (ArrayBuffer.isView(value))
    return `${value.constructor.name}(${(value as Uint8Array).length ?? value.byteLength})`;
  if (typeof value === "function") return `function ${shorten(value.name || "(anonymous)", 60)}`;
  if (typeof value === "object" && value !== null) return shorten(String(value.constructor?.name ?? "object"), 60);
  return String(value);
}

/**
 * Throws "[where] expected …, received …".
 * @param where op, function or file the message is about
 * @param expected what would have been right, as a phrase
 * @param received the offending value (shown shortened)
 * @param code default: an argument is wrong
 */
export function fail(where: string, expected: string, received: unknown, code?: ErrorCode): never {
  const place = typeof where === "string" && where !== "" ? where : "bayescnn"; // callers may name it
  throw new BayesError(`[${place}] expected ${expected}, received ${show(received)}`, { code });
}

/** {@link fail} of a module that reads files: what it does not expect is in one. */
export function failFile(where: string, expected: string, received: unknown): never {
  return fail(where, expected, received, "ERR_BAYES_FILE");
}

/** {@link fail} of a module that looks at examples. */
export function failData(where: string, expected: string, received: unknown): never {
  return fail(where, expected, received, "ERR_BAYES_DATA");
}

/**
 * Throws unless `options` is an object of known fields, each absent or of one of the kinds named ("number", "number|object";
 * as `typeof` says, null being no object): what a wrong type or a misspelt name would otherwise do silently.
 * @returns a frozen copy, for each field is read once: what the caller changes later, or a getter says next, is never seen
 */
export function checkOptions<T extends object>(
  where: string,
  options: T,
  kinds: { readonly [K in keyof T]-?: string },
): T {
  if (typeof options !== "object" || options === null) fail(where, "options as an object", options);
  const own: Partial<T> = {};
  try {
    for (const key of Object.keys(options))
      if (!Object.hasOwn(kinds, key)) fail(where, `options among ${Object.keys(kinds).join(", ")}`, key);
    for (const key of Object.keys(kinds) as (keyof T & string)[]) {
      const value = options[key];
      if (value === undefined) continue;
      const kind: string = kinds[key];
      const type = value === null ? "null" : typeof value;
      if (kind !== type && !kind.split("|").includes(type))
        fail(where, `${key} as ${kind.replaceAll("|", " or ")}`, value);
      own[key] = value;
    }
  } catch (error) {
    if (error instanceof BayesError) throw error;
    throw new BayesError(`[${where}] expected options that can be read, received ones that throw (${show(error)})`, {
      cause: error,
    });
  }
  return Object.freeze(own) as T;
}

/** Throws unless `value` is an object, whatever is in it. Returns it. */
export function checkObject<T extends object>(where: string, what: string, value: T): T {
  return typeof value === "object" && value !== null ? value : fail(where, what, value);
}

/** Throws unless `path` is a text that can name a file (or folder: `what`). Returns it. */
export function checkPath(where: string, path: unknown, what = "file"): string {
  if (typeof path === "string" && path !== "" && path.length <= 4096 && !path.includes("\0")) return path;
  const url = Object.prototype.toString.call(path) === "[object URL]";
  return fail(where, `the path of a ${what}${url ? " (fileURLToPath(url) makes one)" : ""}`, path);
}

/** Throws unless `value` is an integer in [min, max]. Returns it. */
export function checkInt(where: string, what: string, value: unknown, min = 0, max = Number.MAX_SAFE_INTEGER): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `an integer >= ${min}` : `an integer from ${min} to ${max}`;
  return fail(where, `${what} to be ${range}`, value);
}

/** Throws unless `value` is a finite number in [min, max]. Returns it. */
export function checkNumber(where: string, what: string, value: unknown, min = -Infinity, max = Infinity): number {
  if (typeof value === "number" && Number.isFinite(value) && value >= min && value <= max) return value;
  return fail(
    where,
    `${what} to be a finite number${min > -Infinity ? ` >= ${min}` : ""}${max < Infinity ? ` and <= ${max}` : ""}`,
    value,
  );
}

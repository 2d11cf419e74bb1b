/**
 * The one error class users meet: a sentence that says what was wrong, what was expected, what was received, and where.
 */
export class BayesError extends Error {
  override readonly name: string = "BayesError";
  /**
   * What a program may want to tell apart: "QUEUE_FULL" (try again later), "BAD_INPUT" (this image cannot be read or does not
   * fit the model). Most errors have none.
   */
  declare readonly code?: "QUEUE_FULL" | "BAD_INPUT";

  constructor(message: string, options: ErrorOptions & { code?: BayesError["code"] } = {}) {
    const { code, ...rest } = options;
    super(message, rest);
    if (code) (this as { code?: string }).code = code;
  }
}

/** `text`, cut to at most `most` characters: what was received may be of any length. */
export const shorten = (text: string, most = 100): string =>
  text.length > most ? `${text.slice(0, most - 3)}...` : text;

/** A short, safe picture of a received value for an error message: at most 160 characters, and nothing of it throws. */
export function show(value: unknown): string {
  try {
    return shorten(picture(value, 0), 160);
  } catch {
    return typeof value; // a proxy or a getter that throws
  }
}

function picture(value: unknown, depth: number): string {
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
 */
export function fail(where: string, expected: string, received: unknown): never {
  throw new BayesError(`[${where}] expected ${expected}, received ${show(received)}`);
}

/**
 * Throws unless `options` is an object of known fields, each absent or of one of the kinds named ("number", "number|object";
 * as `typeof` says, null being no object): what a wrong type or a misspelt name would otherwise do silently. Returns it.
 */
export function checkOptions<T extends object>(
  where: string,
  options: T,
  kinds: { readonly [K in keyof T]-?: string },
): T {
  if (typeof options !== "object" || options === null) fail(where, "options as an object", options);
  for (const [key, value] of Object.entries(options)) {
    if (!Object.hasOwn(kinds, key)) fail(where, `options among ${Object.keys(kinds).join(", ")}`, key);
    const kind = (kinds as Record<string, string>)[key];
    if (value !== undefined && !kind.split("|").includes(value === null ? "null" : typeof value))
      fail(where, `${key} as ${kind.replaceAll("|", " or ")}`, value);
  }
  return options;
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

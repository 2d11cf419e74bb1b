import { fail, show } from "../errors.ts";

/** Far deeper than any configuration, and far from where JSON's own functions run out of stack. */
const DEEPEST = 100;

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
  if (depth > DEEPEST) fail(where, `${at.slice(0, 60)}… nested no deeper than ${DEEPEST}, not inside itself`, value);
  if (Array.isArray(value)) return Object.freeze([...value].map((v, i) => copy(where, `${at}.${i}`, v, depth + 1)));
  const plain = typeof value === "object" && /^\[object Object\]$/.test(Object.prototype.toString.call(value));
  if (!plain) fail(where, `${at} as JSON can hold it`, typeof value === "symbol" ? show(value) : value);
  const own = Object.entries(value as object).filter(([, v]) => v !== undefined);
  return Object.freeze(Object.fromEntries(own.map(([key, v]) => [key, copy(where, `${at}.${key}`, v, depth + 1)])));
}

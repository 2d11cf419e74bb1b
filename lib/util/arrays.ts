/**
 * What a value is, whatever realm made it. Each vm context (a test runner has one per file) has constructors of its own,
 * so `instanceof` says nothing about a value from outside; these ask for what the value is inside.
 */
import { fail } from "./errors.ts";

const own = { Float32Array, Float64Array, Int32Array, Uint8Array, Uint16Array, Uint32Array, BigInt64Array } as const;
/** The kinds of typed arrays that the library takes. */
export type ArrayKind = keyof typeof own;
export type ArrayOf<K extends ArrayKind> = InstanceType<(typeof own)[K]>;

const getter = (name: string | symbol): (() => unknown) =>
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), name)!.get!;
const tagOf = getter(Symbol.toStringTag);
const bufferOf = getter("buffer");

/** "Float32Array", "Uint8ClampedArray", …: which typed array `value` is; undefined if none. */
export const arrayKind = (value: unknown): string | undefined => tagOf.call(value) as string | undefined;

/** Whether the memory of a typed array may shrink or grow under whoever reads it. */
function resizable(value: unknown): boolean {
  if (arrayKind(value) === undefined) return false;
  const buffer = bufferOf.call(value) as { readonly resizable?: boolean; readonly growable?: boolean };
  return buffer.resizable === true || buffer.growable === true;
}

/**
 * `value` as this realm's typed array of one of these kinds, on the same memory; undefined if it is of none of them. The
 * bytes of a Uint8ClampedArray (canvas pixels) count as a Uint8Array. Nothing is converted. An array on memory that can be
 * resized is none: its length would not stay what was checked.
 */
export function asArray<K extends ArrayKind>(value: unknown, ...kinds: readonly K[]): ArrayOf<K> | undefined {
  const tag = arrayKind(value);
  const kind = kinds.find((k) => k === (tag === "Uint8ClampedArray" ? "Uint8Array" : tag));
  if (kind === undefined || resizable(value)) return undefined;
  if (value instanceof own[kind]) return value as ArrayOf<K>;
  const { buffer, byteOffset, length } = value as Uint8Array<ArrayBuffer>;
  return new own[kind](buffer, byteOffset, length) as ArrayOf<K>;
}

/** A copy of an array's values, the caller's no more. Not by its own slice(): a Buffer's is a view. */
export function copyOf<T extends ArrayBufferView>(array: T): T {
  return new own[arrayKind(array) as "Float32Array"](array as unknown as Float32Array) as unknown as T;
}

/** {@link asArray}, or throws "expected `what` as a Float32Array, …", with how to make one of numbers that are none. */
export function checkArray<K extends ArrayKind>(
  where: string,
  what: string,
  value: unknown,
  ...kinds: readonly K[]
): ArrayOf<K> {
  return asArray(value, ...kinds) ?? fail(where, `${what} as ${kindsFor(value, ...kinds)}`, value);
}

/** A frozen copy of a caller's list. The copy is what is to be checked. @throws BayesError for what is none, or is far too long */
export function copyList<T>(where: string, what: string, list: readonly T[], most = 1 << 20): readonly T[] {
  if (!Array.isArray(list)) fail(where, `${what} as a list`, list);
  if (list.length > most) fail(where, `${what} as a list of at most ${most}`, list);
  return Object.freeze([...list]);
}

/** "a Float32Array or Int32Array" for a message, and how to make the first from `value`, if that is a list of numbers or on
 * memory that can be resized. */
export function kindsFor(value: unknown, ...kinds: readonly ArrayKind[]): string {
  const numbers = Array.isArray(value) || (arrayKind(value) !== undefined && !asArray(value, ...kinds));
  if (resizable(value)) return `${kinds.join(" or ")} of a fixed length (slice() makes one; its buffer can be resized)`;
  const article = /^[AEIOU]/.test(kinds[0]) && kinds[0] !== "Uint8Array" ? "an" : "a";
  return `${article} ${kinds.join(" or ")}${numbers ? ` (${kinds[0]}.from(x) makes one)` : ""}`;
}

/** The largest of any number of values; NaN where there is one. (`Math.max(...values)` overflows the stack.) */
export function largest(values: ArrayLike<number>): number {
  let most = -Infinity;
  for (let i = 0; i < values.length; i++) most = Math.max(most, values[i]);
  return most;
}

/** Whether `value` is an AbortSignal. */
export const isSignal = (value: unknown): value is AbortSignal =>
  Object.prototype.toString.call(value) === "[object AbortSignal]" &&
  typeof (value as AbortSignal).aborted === "boolean" &&
  typeof (value as AbortSignal).addEventListener === "function";

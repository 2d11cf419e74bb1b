// What somebody might pass by mistake or malice, and the one way in which the library may take it.
import fc from "fast-check";
import { BayesError } from "../lib/util/errors.ts";

/** One value of any kind: numbers at the edges, numbers as text, arrays, objects, functions. */
export const junk: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(
    undefined,
    null,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    0,
    -0,
    -1,
    0.5,
    1e300,
    2 ** 53,
    "3",
    "",
    "same",
    "__proto__",
    true,
    10n,
    Symbol("s"),
    [],
    [2, 3],
    [-1, 2, 3, 4],
    ["2", "3"],
    {},
    { length: 3 },
    { shape: [2], dtype: "f64" },
    new Float32Array(3).fill(Number.NaN),
    new Uint8Array(4),
    Int32Array.of(-1, 5),
    new Map(),
    () => 3,
  ),
  fc.integer({ min: -5, max: 5 }),
  fc.string({ maxLength: 5 }),
  fc.array(fc.integer({ min: -2, max: 5 }), { maxLength: 4 }),
);

/** An object with some of these fields, each of any kind, and now and then one that nobody knows. */
export const junkOf = (fields: readonly string[]): fc.Arbitrary<Record<string, unknown>> =>
  fc.dictionary(fc.constantFrom(...fields, "unknown"), junk, { maxKeys: 3, noNullPrototype: true });

function refused(error: unknown): "refused" {
  if (!(error instanceof BayesError)) throw error;
  if (error.message.includes("\n") || !/^\[.+\] \S/s.test(error.message)) throw new Error(`unclear: ${error.message}`);
  return "refused";
}

/** Runs `action`: it may work or throw a BayesError of one line; whatever else it throws is thrown on. */
export function only(action: () => unknown): "worked" | "refused" {
  try {
    action();
    return "worked";
  } catch (error) {
    return refused(error);
  }
}

/** The same for what is asynchronous. */
export async function onlyAsync(action: () => Promise<unknown>): Promise<"worked" | "refused"> {
  try {
    await action();
    return "worked";
  } catch (error) {
    return refused(error);
  }
}

/** A buffer of `bytes` bytes that can shrink or grow (ES2024, which the library's own "lib" does not have). */
export const resizable = <B extends ArrayBuffer | SharedArrayBuffer>(
  kind: new (bytes: number, options?: { maxByteLength: number }) => B,
  bytes: number,
): B => new kind(bytes, { maxByteLength: 2 * bytes });
/** A list whose every element is as it should be when it is first read, and `later` after that. */
export function shifty(list: readonly number[], later: number): number[] {
  const reads = new Map<PropertyKey, number>();
  return new Proxy([...list], {
    get(target, key, receiver) {
      const before = reads.get(key) ?? 0;
      reads.set(key, before + 1);
      const element = typeof key === "string" && /^\d+$/.test(key);
      return element && before > 0 ? later : Reflect.get(target, key, receiver);
    },
  });
}

/** What looks like this object, also to `instanceof`, and is not it. */
export const forged = <T extends object>(thing: T): T[] => [
  new Proxy(thing, {}),
  Object.create(Object.getPrototypeOf(thing), Object.getOwnPropertyDescriptors(thing)),
  Object.create(thing),
  { ...thing },
];

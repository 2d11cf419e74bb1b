// Damage to bytes, as lists of small steps that fast-check makes and shrinks.
import fc from "fast-check";

type Damage = readonly [kind: string, at: number, value: number];

/** What may stand in the place of a number in a text: other numbers, and what is none. */
const numbers = [
  "0",
  "-1",
  "1e999",
  "1e-999",
  "9007199254740993",
  "99999999999",
  "4294967296",
  "NaN",
  '"7"',
  "null",
  "[]",
  "1.5",
];
const places = fc.integer({ min: 0, max: 2 ** 30 });

/** One to three changes. Places are shares of the length: the same damage does for any file. */
export const damages: fc.Arbitrary<readonly Damage[]> = fc.array(
  fc.tuple(
    fc.constantFrom("flip", "set", "cut", "cut", "insert", "remove", "repeat", "number", "number", "head"),
    places,
    fc.nat(255),
  ),
  { minLength: 1, maxLength: 3 },
);

/** The bytes with this damage. */
export function damaged(bytes: Uint8Array, all: readonly Damage[]): Uint8Array {
  return all.reduce((now, [kind, share, value]) => {
    const at = Math.floor((share / 2 ** 30) * now.length);
    const part = now.subarray(at, at + 1 + (value >> 2));
    const joined = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
    switch (kind) {
      case "cut":
        return now.subarray(0, at);
      case "insert":
        return joined(now.subarray(0, at), Uint8Array.of(value), now.subarray(at));
      case "remove":
        return joined(now.subarray(0, at), now.subarray(at + part.length));
      case "repeat":
        return joined(now.subarray(0, at + part.length), part, now.subarray(at + part.length));
      case "number":
        return otherNumber(now, at, value);
      default: {
        const to = kind === "head" ? at % 32 : at; // the lengths and counts of most formats stand in front
        const changed = new Uint8Array(now);
        if (to < changed.length) changed[to] = kind === "flip" ? changed[to] ^ (1 << (value & 7)) : value;
        return changed;
      }
    }
  }, bytes);
}

// the number in the text at or behind this place, replaced
function otherNumber(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const text = Buffer.from(bytes).toString("latin1");
  const found = /\d+(\.\d+)?/.exec(text.slice(at, at + 4096));
  if (!found) return bytes;
  const from = at + found.index;
  const changed = text.slice(0, from) + numbers[value % numbers.length] + text.slice(from + found[0].length);
  return new Uint8Array(Buffer.from(changed, "latin1"));
}

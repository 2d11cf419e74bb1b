/**
 * What a slot is for. Files know a slot by its name alone, so the name says the role, and this is the only place that reads it:
 * "mask/conv1/weight" is the mask of conv1/weight, "optimizer/adam/m/conv1/weight/mu" a moment of conv1/weight/mu.
 */
export type SlotRole = "parameter" | "state" | "mask" | "moment" | "data";

const prefixes = { mask: "mask/", moment: "optimizer/", data: "data/" } as const;
/** Between a moment's prefix and its parameter: the optimizer, and which of its moments. */
const KIND = /^[^/]+\/[^/]+\//;

/** The name of a mask, a moment or data. */
export const slotName = (role: keyof typeof prefixes, of: string): string => `${prefixes[role]}${of}`;

/** What the name of a slot says: its role, unless it is the model's own, and what it belongs to (itself, else). */
export function roleOf(name: string): { readonly role: keyof typeof prefixes | undefined; readonly of: string } {
  for (const role of ["mask", "moment", "data"] as const) {
    if (!name.startsWith(prefixes[role])) continue;
    const of = name.slice(prefixes[role].length);
    return { role, of: role === "moment" ? of.replace(KIND, "") : of };
  }
  return { role: undefined, of: name };
}

import type { Data } from "../native/addon.ts";
import { BayesError, type ErrorCode } from "../util/errors.ts";

/**
 * What a slot may hold, so that a damaged file or a caller's mistake is known before a program computes with it: "finite"
 * numbers (of a trained model always: a step that would leave others is not committed), "not negative" ones (variances), a
 * "mask" of 0 and 1, or "any" (examples, whose first bad one a run names).
 */
export type Values = "finite" | "not negative" | "mask" | "any";

const rules: Readonly<Record<Values, { of: (v: number) => boolean; expected: string } | undefined>> = {
  finite: { of: Number.isFinite, expected: "finite values" },
  "not negative": { of: (v) => v >= 0 && v < Infinity, expected: "finite values of at least 0" },
  mask: { of: (v) => v === 0 || v === 1, expected: "a mask of 0 and 1" },
  any: undefined,
};

export const isValues = (name: string): name is Values => Object.hasOwn(rules, name);

/** Throws for the first of `data` that is not as `values` says. */
export function checkValues(where: string, values: Values, data: Data, code: ErrorCode): void {
  const rule = rules[values];
  if (!rule) return;
  const { of } = rule;
  for (let i = 0; i < data.length; i++)
    if (!of(data[i]))
      throw new BayesError(`[${where}] expected ${rule.expected}, received ${data[i]} at ${i}`, { code });
}

import { BayesError, type ErrorCode } from "../errors.ts";
import type { Data } from "../native/addon.ts";

const rules = {
  finite: { of: Number.isFinite, expected: "finite values" },
  "not negative": { of: (v: number) => v >= 0 && v < Infinity, expected: "finite values of at least 0" },
  mask: { of: (v: number) => v === 0 || v === 1, expected: "a mask of 0 and 1" },
  any: undefined,
} as const;

/**
 * What a slot may hold, so that a damaged file or a caller's mistake is known before a program computes with it: "finite"
 * numbers (of a trained model always: a step that would leave others is not committed), "not negative" ones (variances), a
 * "mask" of 0 and 1, or "any" (examples, whose first bad one a run names).
 */
export type Values = keyof typeof rules;

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

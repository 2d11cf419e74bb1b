/** Pieces of the sentences that say why a model does not answer. */
import type { Prediction } from "./likelihood.ts";

/**
 * ": " and where the larger part of example n's doubt comes from. One pass does not know: then nothing is said.
 * @param aleatoric what they agree about where they do: "it fits both"
 */
export function cause({ samples, epistemicTotal, aleatoricTotal }: Prediction, n: number, aleatoric: string): string {
  if (samples === 1) return "";
  return epistemicTotal[n] > aleatoricTotal[n]
    ? ": the model's samples disagree, as on images unlike its training images"
    : `: the samples agree that ${aleatoric}`;
}

/** Two different numbers as texts of so many digits that they differ. */
export function apart(a: number, b: number, text: (x: number, digits: number) => string): [string, string] {
  for (let digits = 2; digits < 17; digits++)
    if (text(a, digits) !== text(b, digits)) return [text(a, digits), text(b, digits)];
  return [String(a), String(b)];
}

/** {@link apart} for probabilities: "56 %". */
export const percents = (a: number, b: number): [string, string] =>
  apart(a, b, (x, digits) => `${(100 * x).toFixed(digits - 2)} %`);

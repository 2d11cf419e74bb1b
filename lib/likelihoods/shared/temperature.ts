/** The temperature of a likelihood of logits: one number that makes all of its probabilities less sure, or surer. */
import { checkNumber } from "../../util/errors.ts";
import { newArray } from "../../util/memory.ts";

export interface Tempered {
  /**
   * What predictions divide the logits by: above 1 they are less sure, 1 (default) leaves them alone. Training takes no notice of
   * it, and `fit` takes it back. `fitTemperature` finds it.
   */
  readonly temperature?: number;
}

/** From a thousandth to a thousandfold: beyond that probabilities are 0, 1 or all alike. */
export const TEMPERATURES = [1e-3, 1e3] as const;

/** The option as a configuration keeps it: left out where it changes nothing. */
export function checkTemperature(where: string, temperature = 1): Tempered {
  checkNumber(where, "the temperature", temperature, ...TEMPERATURES);
  return temperature === 1 ? {} : { temperature };
}

/** The logits divided by the temperature. */
export function temper(logits: Float32Array, { temperature = 1 }: Tempered): Float32Array {
  if (temperature === 1) return logits;
  const divided = newArray("predict", "f32", logits.length);
  for (let i = 0; i < divided.length; i++) divided[i] = logits[i] / temperature;
  return divided;
}

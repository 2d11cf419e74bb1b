/** Temperature and threshold: chosen on validation images for the weights that a model has, and no others. */
import { warn } from "../util/warn.ts";
import type { Model } from "./model.ts";

/** What a model can have that was chosen for its weights. */
export type Chosen = Pick<Model, "temperature" | "threshold">;

/**
 * Takes back what was chosen for other weights than the model has now, and says so of each.
 * @param had whose weights it was chosen for, where that is another model or the model before
 */
export function forgetChosen(model: Chosen, say: (sentence: string) => unknown = warn, had: Chosen = model): void {
  const temperature = had.temperature ?? model.temperature;
  const gone = [...(temperature === undefined ? [] : ["temperature"]), ...(had.threshold ? ["threshold"] : [])];
  model.temperature = undefined;
  model.threshold = undefined;
  for (const what of gone) say(`the model's ${what} was chosen for other weights and is gone: choose it again`);
}

import { BayesError, checkNumber, fail } from "../util/errors.ts";
import { quoted } from "./classes.ts";
import { type AnyClassDataset, checkDataset, type Examples } from "./dataset.ts";

/**
 * How much each example counts by its class, for `fit`'s option `exampleWeights`.
 * @param weights "balanced": every class that occurs counts alike in sum, N / (classes that occur * examples of the class);
 *   or a weight by class name, 1 for a class that is not named
 * @returns one weight an example, [N]
 * @throws BayesError for a data set without classes, a class that it does not have, or a weight below 0
 * @example
 * <!-- setup: import { createModel, embeddedMnist, split } from "bayescnn";
 * const { train } = split(embeddedMnist().train, { train: 640, valid: 64 }, 1);
 * const model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 }); -->
 * ```ts
 * import { classWeights, fit } from "bayescnn";
 *
 * await fit(model, { train }, { epochs: 20, exampleWeights: classWeights(train, { 7: 5 }) });
 * ```
 */
export function classWeights(
  data: AnyClassDataset,
  weights: "balanced" | Readonly<Record<string, number>> = "balanced",
): Float32Array {
  const where = "classWeights";
  checkDataset(where, data);
  const { targets, classes, name } = data as Examples;
  if (!(targets instanceof Int32Array) || !classes)
    throw new BayesError(`[${where}] expected a data set of classes, received ${name} with numbers as targets`, {
      code: "ERR_BAYES_DATA",
    });
  const each = weights === "balanced" ? balanced(targets, classes.length) : classes.map(() => 1);
  if (weights !== "balanced") {
    if (typeof weights !== "object" || weights === null || Array.isArray(weights))
      fail(where, '"balanced", or weights by class name', weights);
    for (const [key, weight] of Object.entries(weights)) {
      if (!classes.includes(key)) fail(where, `classes among ${quoted(classes)}, those of data set ${name}`, key);
      each[classes.indexOf(key)] = checkNumber(where, `the weight of class ${key}`, weight, 0);
    }
  }
  return Float32Array.from(targets, (label) => each[label]);
}

function balanced(labels: Int32Array, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (const label of labels) counts[label]++;
  const there = counts.filter((count) => count > 0).length;
  return counts.map((count) => labels.length / (there * count)); // infinite for a class that nobody has
}

/** What the rules of several ops look at. */
import { sameShape, type TensorType, typeName } from "../../graph/node.ts";
import { fail } from "../../util/errors.ts";

/** Throws unless every input is float32. */
export function checkFloats(op: string, inputs: readonly TensorType[]): void {
  for (const t of inputs) if (t.dtype !== "f32") fail(op, "float32 inputs", typeName(t));
}

/** Throws unless every input is float32 and of one shape. Returns that type. */
export function checkSame(op: string, inputs: readonly TensorType[]): TensorType {
  checkFloats(op, inputs);
  const [first, ...others] = inputs;
  for (const t of others)
    if (!sameShape(t.shape, first.shape)) fail(op, `inputs of one shape, ${typeName(first)}`, typeName(t));
  return first;
}

/** Throws unless `t` is a float32 scalar (a shape of one element). */
export function checkScalar(op: string, what: string, t: TensorType): void {
  if (t.dtype !== "f32" || t.shape.some((d) => d !== 1)) fail(op, `${what} to be a float32 scalar`, typeName(t));
}

/** Throws unless logAlpha is [1] (one for all weights) or has the shape of mu. */
export function checkAlpha(op: string, mu: TensorType, logAlpha: TensorType): void {
  checkFloats(op, [mu, logAlpha]);
  if (!sameShape(logAlpha.shape, [1]) && !sameShape(logAlpha.shape, mu.shape))
    fail(op, `logAlpha f32[1] or ${typeName(mu)}`, typeName(logAlpha));
}

/** Throws unless logits are f32 [S*B, C] and labels i32 [B]: row q of the logits has label q mod B. */
export function checkLabelled(op: string, logits: TensorType, labels: TensorType): void {
  checkFloats(op, [logits]);
  if (logits.shape.length !== 2) fail(op, "logits [rows, classes]", typeName(logits));
  if (labels.dtype !== "i32" || labels.shape.length !== 1 || logits.shape[0] % labels.shape[0] !== 0)
    fail(op, `labels i32[B] with B a divisor of the ${logits.shape[0]} rows of logits`, typeName(labels));
}

/** Throws unless inputs from `first` on come in groups of `size` tensors of one shape. */
export function checkGroups(op: string, inputs: readonly TensorType[], first: number, size: number): void {
  if (inputs.length === first || (inputs.length - first) % size)
    fail(op, `${size} tensors per parameter`, inputs.length - first);
  for (let k = first; k < inputs.length; k += size) checkSame(op, inputs.slice(k, k + size));
}

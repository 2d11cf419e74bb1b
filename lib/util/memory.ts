import { freemem } from "node:os";
import { BayesError } from "./errors.ts";

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toPrecision(3)} GiB`;

/** Bytes that are free for this process, as far as the system tells. */
export const freeMemory = (): number => process.availableMemory?.() ?? freemem();

/**
 * An error as this library throws it: what JavaScript itself says of an array, a text or a stack that is too large is a
 * lack of memory. Undefined for what nobody has foreseen.
 */
export function asBayesError(where: string, error: unknown): BayesError | undefined {
  if (error instanceof BayesError) return error;
  const { name, message } = (error ?? {}) as { name?: unknown; message?: unknown };
  if (name !== "RangeError" || !TOO_LARGE.test(String(message))) return undefined;
  return new BayesError(`[${where}] expected something that fits into memory, received what does not (${message})`, {
    code: "ERR_BAYES_MEMORY",
    cause: error,
  });
}

/** V8's and Node's sentences. */
const TOO_LARGE =
  /allocation failed|invalid (typed )?array( buffer)? length|invalid string length|cannot create a string longer|call stack size|set maximum size|map maximum size|value of "size" is out of range|file size .* is greater/i;

/**
 * Throws unless so much memory is there, of the machine or of the container this runs in. Asked before a large piece is
 * allocated: the system would promise it, and end the process when it is used.
 * @param advice what to do about it
 */
export function checkMemory(where: string, bytes: number, advice = "take a smaller batch or smaller images"): void {
  if (bytes < 2 ** 28) return;
  const there = freeMemory();
  if (bytes <= there) return;
  throw new BayesError(`[${where}] expected ${gib(bytes)} of free memory, received ${gib(there)}: ${advice}`, {
    code: "ERR_BAYES_MEMORY",
  });
}

const arrays = { f32: Float32Array, f64: Float64Array, i32: Int32Array, u8: Uint8Array } as const;
/** A typed array of zeros. @throws BayesError, in place of a RangeError, where there is no memory for it */
export function newArray<K extends keyof typeof arrays>(
  where: string,
  kind: K,
  length: number,
  advice?: string,
): InstanceType<(typeof arrays)[K]> {
  const bytes = length * arrays[kind].BYTES_PER_ELEMENT;
  checkMemory(where, bytes, advice);
  try {
    return new arrays[kind](length) as InstanceType<(typeof arrays)[K]>;
  } catch (error) {
    throw new BayesError(
      `[${where}] expected room for an array of ${length} values (${gib(bytes)}), received none: ${advice ?? "take smaller pieces"}`,
      { code: "ERR_BAYES_MEMORY", cause: error },
    );
  }
}

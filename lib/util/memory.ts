import { freemem } from "node:os";
import { BayesError } from "../errors.ts";

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toPrecision(3)} GiB`;

/** Bytes that are free for this process, as far as the system tells. */
export const freeMemory = (): number => process.availableMemory?.() ?? freemem();

/**
 * Throws unless so much memory is there, of the machine or of the container this runs in. Asked before a large piece is
 * allocated: the system would promise it, and end the process when it is used.
 * @param help what to do
 */
export function checkMemory(where: string, bytes: number, help = "take a smaller batch or smaller images"): void {
  if (bytes < 2 ** 28) return;
  const there = freeMemory();
  if (bytes <= there) return;
  throw new BayesError(`[${where}] expected ${gib(bytes)} of free memory, received ${gib(there)}: ${help}`, {
    code: "ERR_BAYES_MEMORY",
  });
}

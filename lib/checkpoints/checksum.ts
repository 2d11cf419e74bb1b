/** Checksums of a checkpoint, in its metadata: a safetensors file has none of its own. */
import { crc32 } from "node:zlib";
import { z } from "zod";
import { BayesError, fail, shorten } from "../util/errors.ts";
import { parseJson } from "../util/json.ts";
import type { SafeTensor } from "./safetensors.ts";

/** CRC-32 of the description and of each tensor's bytes by name, so that a flipped bit is found. */
export function checksums(description: string, tensors: ReadonlyMap<string, SafeTensor>): Record<string, string> {
  const sums = [...tensors].map(([name, { data }]): [string, string] => {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    let sum = 0;
    for (let at = 0; at < bytes.length; at += PIECE) sum = crc32(bytes.subarray(at, at + PIECE), sum);
    return [name, hex(sum)];
  });
  return Object.fromEntries([[DESCRIPTION, hex(crc32(description))], ...sums]);
}
/** Of one length, so that the size of a file does not depend on its numbers. */
const hex = (sum: number): string => sum.toString(16).padStart(8, "0");
const PIECE = 1 << 30; // zlib counts in 32 bits
const DESCRIPTION = ""; // no tensor's name

/** A file of an earlier version has no checksums. What is missing or too many is found by who knows what has to be there. */
export function checkSums(
  path: string,
  metadata: Readonly<Record<string, string>>,
  tensors: ReadonlyMap<string, SafeTensor>,
): void {
  if (metadata.crc32 === undefined) return;
  const parsed = z.record(z.string(), z.string()).safeParse(parseJson(path, metadata.crc32));
  const written = parsed.data ?? fail(path, "checksums by name", metadata.crc32, "ERR_BAYES_FILE");
  for (const [name, sum] of Object.entries(checksums(metadata.checkpoint, tensors)))
    if (Object.hasOwn(written, name) && written[name] !== sum)
      throw new BayesError(
        `[${path}${name && `: ${name}`}] expected the bytes that were written (CRC-32 ${shorten(written[name], 20)}), received others (${sum}): the file is damaged, or was changed by another program`,
        { code: "ERR_BAYES_FILE" },
      );
}

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { run } from "../lib/cli/program.ts";
import { type Dataset, subset } from "../lib/data/dataset.ts";
import { embeddedMnist } from "../lib/data/locate.ts";

export interface Captured {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as JSON lines; throws where a line is none. */
  // biome-ignore lint/suspicious/noExplicitAny: what the tests find out
  readonly events: Record<string, any>[];
}

/** Runs a command line in this process. */
export async function cli(...args: string[]): Promise<Captured> {
  const written = { stdout: "", stderr: "" };
  const original = { stdout: process.stdout.write, stderr: process.stderr.write };
  for (const name of ["stdout", "stderr"] as const)
    process[name].write = ((chunk: string | Uint8Array) => {
      written[name] += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString();
      return true;
    }) as typeof process.stdout.write;
  let code: number;
  try {
    code = await run(args);
  } finally {
    process.stdout.write = original.stdout;
    process.stderr.write = original.stderr;
  }
  return {
    code,
    ...written,
    get events() {
      return written.stdout
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line));
    },
  };
}

/** A temporary folder that is gone when the test file is done. */
export function temporaryFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), "bayescnn-cli-"));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Writes a small MNIST, 480 training and 60 test images, as IDX. */
export function writeIdx(dir: string): void {
  mkdirSync(dir, { recursive: true });
  const digits = embeddedMnist();
  const header = (...words: number[]) => {
    const bytes = Buffer.alloc(4 * words.length);
    for (const [i, word] of words.entries()) bytes.writeUInt32BE(word, 4 * i);
    return bytes;
  };
  const write = (name: string, part: Dataset) => {
    const [h, w] = part.shape;
    writeFileSync(
      join(dir, `${name}-images-idx3-ubyte`),
      Buffer.concat([header(0x803, part.count, h, w), part.images as Uint8Array]),
    );
    writeFileSync(
      join(dir, `${name}-labels-idx1-ubyte`),
      Buffer.concat([header(0x801, part.count), Uint8Array.from(part.targets)]),
    );
  };
  const first = (set: Dataset, n: number) =>
    subset(
      set,
      Array.from({ length: n }, (_, i) => i),
    );
  write("train", first(digits.train, 480));
  write("t10k", first(digits.test, 60));
}

import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { fileError, writeFileAtomic } from "../util/atomic.ts";

/**
 * A file of JSON lines, each with the `step` it belongs to. Everything in a line is reproducible but its field `wall`
 * (seconds, examplesPerSecond), which holds whatever the clock said: leave it out when comparing two runs.
 */
export class MetricsLog {
  readonly path: string;
  #fd: number;

  /**
   * Opens the file to append to it.
   * @param steps steps done so far: lines of a later step, and a last line cut off by a kill, are dropped first
   * @throws BayesError when it cannot be written
   */
  constructor(path: string, steps: number) {
    this.path = path;
    writeFileAtomic(path, steps > 0 ? linesBefore(path, steps) : "");
    try {
      this.#fd = openSync(path, "a");
    } catch (error) {
      throw fileError(error, "write", path);
    }
  }

  write(lines: readonly ({ readonly step: number } & Readonly<Record<string, unknown>>)[]): void {
    const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    this.#guard(() => {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    });
  }

  /** Makes what was written durable: before a checkpoint that counts on it. */
  sync(): void {
    this.#guard(() => fsyncSync(this.#fd));
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      throw fileError(error, "write", this.path);
    }
  }
}

function linesBefore(path: string, steps: number): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw fileError(error, "read", path);
  }
  const kept: string[] = [];
  for (const line of text.split("\n").slice(0, -1)) {
    const step = stepOf(line);
    if (step === undefined || step >= steps) break;
    kept.push(`${line}\n`);
  }
  return kept.join("");
}

function stepOf(line: string): number | undefined {
  try {
    const { step } = JSON.parse(line) as { step?: unknown };
    return typeof step === "number" ? step : undefined;
  } catch {
    return undefined;
  }
}

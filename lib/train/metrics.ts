import { closeSync, constants, fsyncSync, lstatSync, openSync, writeSync } from "node:fs";
import { fileError, writeFileAtomic } from "../util/atomic.ts";
import { BayesError } from "../util/errors.ts";
import { ReadFile } from "../util/read.ts";
import { kindOf } from "../util/regular.ts";

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
   * @param onDamage called with a sentence when other lines are dropped too: damaged, repeated or out of order
   * @throws BayesError when it cannot be written, or is no regular file
   */
  constructor(path: string, steps: number, onDamage: (sentence: string) => unknown = () => {}) {
    this.path = path;
    try {
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat?.isDirectory()) throw Object.assign(new Error("directory"), { code: "EISDIR" });
      if (stat && !stat.isFile())
        throw new BayesError(`[fit] expected a file for the metrics, received ${path}, which is ${kindOf(stat)}`, {
          code: "ERR_BAYES_FILE",
        });
      if (steps === 0 || !stat) writeFileAtomic(path, "");
      else keepLines(path, steps, onDamage);
      this.#fd = openSync(path, constants.O_WRONLY | constants.O_APPEND | (constants.O_NOFOLLOW ?? 0));
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

/** Writes the file anew with the lines of the first `steps` steps, each once and in their order, however long it is. */
function keepLines(path: string, steps: number, onDamage: (sentence: string) => unknown): void {
  const dropped: number[] = [];
  let count = 0;
  const drop = (line: number) => {
    if (++count <= 5) dropped.push(line);
  };
  {
    using file = new ReadFile(path);
    writeFileAtomic(path, kept(file, steps, drop));
  }
  if (count === 0) return;
  const which = `${count === 1 ? "line" : "lines"} ${dropped.join(", ")}${count > dropped.length ? ", …" : ""}`;
  onDamage(
    `${path}: ${count} damaged or repeated ${count === 1 ? "line was" : "lines were"} dropped (${which}); the others are kept`,
  );
}

/** A line, and its place: that of an epoch is behind its last step. */
interface Line {
  readonly number: number;
  readonly place: number;
  readonly bytes: Uint8Array;
}

/** The lines that stay. A line counts as out of its place where the next one fits behind the last one without it. */
function* kept(file: ReadFile, steps: number, drop: (line: number) => void): Generator<Uint8Array> {
  let last = -1;
  let waiting: Line | undefined;
  let late: number[] = []; // lines that the checkpoint knows nothing of, if they are the last
  for (const { number, bytes, cut } of linesOf(file)) {
    const place = bytes && placeOf(bytes);
    if (place === undefined && cut) continue; // by a kill
    if (place !== undefined && place >= steps) {
      late.push(number);
      continue;
    }
    late.forEach(drop);
    late = [];
    if (place === undefined || !bytes || place <= last || place === waiting?.place) {
      drop(number);
      continue;
    }
    if (waiting && place < waiting.place) drop(waiting.number);
    else if (waiting) {
      yield waiting.bytes;
      last = waiting.place;
    }
    waiting = { number, place, bytes };
  }
  if (waiting) yield waiting.bytes;
}

const NEWLINE = 10;
/** A line of the library has some hundred bytes. */
const LONGEST = 1 << 20;

/** The lines of a file with their ends, numbered from 1; no bytes of one that is too long. `cut`: the file has no end of it. */
function* linesOf(file: ReadFile): Generator<{ number: number; bytes: Uint8Array | undefined; cut?: boolean }> {
  const chunk = new Uint8Array(1 << 16);
  let begun: Uint8Array[] = [];
  let length = 0;
  let number = 1;
  for (let at = 0; ; ) {
    const got = file.readSome(chunk, at);
    if (got === 0) {
      if (begun.length > 0) yield { number, bytes: Buffer.concat([...begun, Uint8Array.of(NEWLINE)]), cut: true };
      return;
    }
    at += got;
    for (let from = 0; from < got; ) {
      const end = chunk.subarray(0, got).indexOf(NEWLINE, from) + 1;
      const piece = chunk.slice(from, end || got);
      length += piece.length;
      if (length <= LONGEST) begun.push(piece);
      else begun = [];
      from = end || got;
      if (end === 0) continue;
      yield { number: number++, bytes: length <= LONGEST ? Buffer.concat(begun) : undefined };
      begun = [];
      length = 0;
    }
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The step of a line, half a step later for that of an epoch; undefined for what is none of ours. */
function placeOf(line: Uint8Array): number | undefined {
  try {
    const { step, event } = JSON.parse(utf8.decode(line)) as { step?: unknown; event?: unknown };
    return Number.isSafeInteger(step) && (step as number) >= 0
      ? (step as number) + (event === undefined ? 0 : 0.5)
      : undefined;
  } catch {
    return undefined;
  }
}

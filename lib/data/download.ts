import { createHash } from "node:crypto";
import {
  closeSync,
  createReadStream,
  createWriteStream,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { finished } from "node:stream/promises";
import { BayesError, fail } from "../errors.ts";
import { fileError } from "../util/atomic.ts";

/** How a file is known to be the right one. */
export interface Checksum {
  readonly algorithm: "sha256" | "md5";
  readonly hex: string;
}

export interface DownloadOptions {
  /** called now and then with the bytes there so far and, where known, in all */
  readonly onProgress?: (received: number, total: number | undefined) => unknown;
  /** tries before giving up on a connection that breaks (default 4); each goes on where the last one stopped */
  readonly tries?: number;
  /** give up on a connection that is silent for so long (default 30,000 ms) */
  readonly silenceMs?: number;
}

/**
 * Downloads a file to `path`. What has come so far is kept as `path.part`, and the next try (or the next call) asks
 * only for the rest (HTTP Range). The file gets its name only after its size and all its checksums are right.
 * @param bytes size of the file; more than that is never taken
 * @throws BayesError for an HTTP error, a broken connection (what came is kept), or a wrong checksum (it is removed)
 */
export async function download(
  url: string,
  path: string,
  bytes: number,
  checksums: readonly Checksum[],
  options: DownloadOptions = {},
): Promise<void> {
  const { tries = 4 } = options;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) fail("download", "an http or https address", url);
  const part = `${path}.part`;
  for (let attempt = 1; sizeOf(part) !== bytes; attempt++) {
    try {
      await fetchRest(url, part, bytes, options);
      if (sizeOf(part) < bytes) throw new BrokenConnection(`it ended after ${sizeOf(part)} of ${bytes} bytes`);
    } catch (error) {
      if (!(error instanceof BrokenConnection)) throw fileError(error, "download to", part);
      if (attempt >= tries) {
        throw new BayesError(`[download] cannot get ${url}: ${error.message}; call again to go on with it`, {
          code: "ERR_BAYES_FILE",
        });
      }
      await new Promise((wake) => setTimeout(wake, Math.min(250 * 2 ** attempt, 4000)));
    }
  }
  for (const checksum of checksums) {
    const received = await fileHash(part, checksum.algorithm);
    if (received === checksum.hex) continue;
    rmSync(part, { force: true });
    const { algorithm, hex } = checksum;
    throw new BayesError(
      `[download] expected ${url} to have ${algorithm} ${hex}, received ${received}; it was removed`,
      { code: "ERR_BAYES_FILE" },
    );
  }
  try {
    const fd = openSync(part, "r+");
    fsyncSync(fd);
    closeSync(fd);
    renameSync(part, path);
  } catch (error) {
    throw fileError(error, "write", path);
  }
}

/** Hash of a file's content in hex, read as a stream. */
export async function fileHash(path: string, algorithm: Checksum["algorithm"]): Promise<string> {
  const hash = createHash(algorithm);
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  } catch (error) {
    throw fileError(error, "read", path);
  }
  return hash.digest("hex");
}

/** Something that another try may mend. */
class BrokenConnection extends Error {}

/** One request: appends to `part` what is missing, or starts it anew where the server cannot continue. */
async function fetchRest(url: string, part: string, bytes: number, options: DownloadOptions): Promise<void> {
  const { onProgress, silenceMs = 30_000 } = options;
  let have = sizeOf(part);
  if (have > bytes) {
    rmSync(part);
    have = 0;
  }
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(), silenceMs);
  // "identity": a .gz file must arrive as it is, not unpacked on the way.
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (have > 0) headers.range = `bytes=${have}-`;
  try {
    const response = await fetch(url, { headers, signal: abort.signal }).catch((error: unknown) => {
      throw new BrokenConnection(reason(error, silenceMs));
    });
    if (response.status === 416) {
      rmSync(part, { force: true });
      throw new BrokenConnection("the server refused to continue");
    }
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      const message = `the server answered ${response.status} ${response.statusText}`;
      if (response.status >= 500) throw new BrokenConnection(message);
      throw new BayesError(`[download] cannot get ${url}: ${message}`, { code: "ERR_BAYES_FILE" });
    }
    const range = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "");
    const continues = response.status === 206 && range !== null && Number(range[1]) === have;
    if (response.status === 206 && !continues) {
      await response.body.cancel();
      rmSync(part, { force: true });
      throw new BrokenConnection("the server continued at another place");
    }
    if (!continues) have = 0;
    const file = createWriteStream(part, { flags: continues ? "a" : "w" });
    const written = finished(file);
    written.catch(() => {}); // awaited below; without this an early failure would be an unhandled one
    try {
      for await (const chunk of chunks(response.body, silenceMs)) {
        clearTimeout(timer);
        timer = setTimeout(() => abort.abort(), silenceMs);
        have += chunk.length;
        if (have > bytes)
          throw new BayesError(`[download] expected ${url} to have ${bytes} bytes, received more`, {
            code: "ERR_BAYES_FILE",
          });
        if (!file.write(chunk)) await Promise.race([new Promise<void>((ready) => file.once("drain", ready)), written]);
        if (!onProgress) continue;
        clearTimeout(timer); // its time is not the server's
        await onProgress(have, bytes);
        timer = setTimeout(() => abort.abort(), silenceMs);
      }
    } finally {
      file.end();
      await written;
      if (have > bytes) rmSync(part, { force: true });
    }
  } finally {
    clearTimeout(timer);
  }
}

/** The body's chunks; a connection that breaks in between is told from an error of our own. */
async function* chunks(body: ReadableStream<Uint8Array>, silenceMs: number): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw new BrokenConnection(reason(error, silenceMs));
      });
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function reason(error: unknown, silenceMs: number): string {
  const { name, message, cause } = error as Error;
  if (name === "AbortError") return `the connection was silent for ${silenceMs / 1000} s`;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

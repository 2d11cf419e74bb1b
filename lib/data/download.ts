import { fileError } from "../util/atomic.ts";
import { BayesError, checkInt, checkNumber, fail, shorten, show } from "../util/errors.ts";
import { Part } from "./part.ts";

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
  /** give up on a connection that is silent for so long (default 30,000 ms), or in that time slower than `leastRate` */
  readonly silenceMs?: number;
  /** bytes a second that a connection has to give (default 1000), so that the whole takes no longer than they allow */
  readonly leastRate?: number;
}

/** Redirects that are followed, one after the other. */
const MOST_REDIRECTS = 5;

/**
 * Downloads a file to `path`. What has come so far is kept as `path.part`, and the next try (or the next call) asks
 * only for the rest (HTTP Range). The file gets its name only after its size and all its checksums are right.
 * @param bytes size of the file; more than that is never taken, and nothing where the server announces another size
 * @throws BayesError for an HTTP error, a broken or slow connection (what came is kept), a redirect that is not to be followed,
 *   something else than a file at `path.part`, or a wrong checksum (it is removed)
 */
export async function download(
  url: string,
  path: string,
  bytes: number,
  checksums: readonly Checksum[],
  options: DownloadOptions = {},
): Promise<void> {
  const tries = checkInt("download", "tries", options.tries ?? 4, 1, 1000);
  checkInt("download", "silenceMs", options.silenceMs ?? 1, 1, 0x7fffffff);
  checkNumber("download", "leastRate", options.leastRate ?? 0, 0);
  const from = URL.canParse(url) ? new URL(url) : undefined;
  if (!from || !isHttp(from) || from.username !== "" || from.password !== "")
    return fail("download", "an http or https address, without a user's name", url);
  const part = await Part.open(path);
  let whole = false;
  try {
    await fetchAll(from, part, bytes, tries, options);
    for (const { algorithm, hex } of checksums) {
      const received = await part.hash(algorithm);
      if (received === hex) continue;
      await part.restart();
      throw refusal(`expected ${from.href} to have ${algorithm} ${hex}, received ${received}; it was removed`);
    }
    await part.finish();
    whole = true;
  } catch (error) {
    throw fileError(error, "download to", `${path}.part`);
  } finally {
    if (!whole) await part.keep();
  }
}

const isHttp = ({ protocol }: URL): boolean => protocol === "http:" || protocol === "https:";

const refusal = (message: string): BayesError => new BayesError(`[download] ${message}`, { code: "ERR_BAYES_FILE" });

/** Something that another try may mend. */
class BrokenConnection extends Error {}

async function fetchAll(url: URL, part: Part, bytes: number, tries: number, options: DownloadOptions): Promise<void> {
  if (part.size > bytes) await part.restart();
  const known: { etag?: string } = {};
  for (let attempt = 1; part.size !== bytes; attempt++) {
    try {
      await fetchRest(url, part, bytes, options, known);
      if (part.size < bytes) throw new BrokenConnection(`it ended after ${part.size} of ${bytes} bytes`);
    } catch (error) {
      if (!(error instanceof BrokenConnection)) throw error;
      if (attempt >= tries) throw refusal(`cannot get ${url.href}: ${error.message}; call again to go on with it`);
      await new Promise((wake) => setTimeout(wake, Math.min(250 * 2 ** attempt, 4000)));
    }
  }
}

/** One request: appends to `part` what is missing, or starts it anew where the server cannot continue. */
async function fetchRest(
  url: URL,
  part: Part,
  bytes: number,
  { onProgress, silenceMs = 30_000, leastRate = 1000 }: DownloadOptions,
  known: { etag?: string },
): Promise<void> {
  const patience = new Patience(silenceMs, Math.max(1, (leastRate * silenceMs) / 1000));
  // "identity": a .gz file must arrive as it is, not unpacked on the way.
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (part.size > 0) headers.range = `bytes=${part.size}-`;
  if (part.size > 0 && known.etag !== undefined) headers["if-range"] = known.etag;
  let body: ReadableStream<Uint8Array> | null = null;
  try {
    const response = await patience.wait(ask(url, headers, patience.signal));
    body = response.body;
    const continues = await checkAnswer(url, response, part, bytes);
    if (!continues) await part.restart();
    const etag = response.headers.get("etag");
    known.etag = etag?.startsWith('"') ? etag : undefined;
    const reader = body!.getReader();
    try {
      for (;;) {
        const { done, value } = await patience.wait(reader.read());
        if (done) return;
        patience.came(value.length);
        if (part.size + value.length > bytes) {
          await part.restart();
          throw refusal(`expected ${url.href} to have ${bytes} bytes, received more`);
        }
        await part.append(value);
        await onProgress?.(part.size, bytes);
      }
    } finally {
      reader.releaseLock();
    }
  } finally {
    patience.end();
    void body?.cancel().catch(() => {});
  }
}

/** Follows redirects, from one http or https address to another, but never from https to http. */
async function ask(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
  for (let hops = 0, at = url; ; hops++) {
    const response = await fetch(at, { headers, signal, redirect: "manual" });
    const to = response.headers.get("location");
    if (to === null || ![301, 302, 303, 307, 308].includes(response.status)) return response;
    void response.body?.cancel().catch(() => {});
    if (hops === MOST_REDIRECTS) throw refusal(`cannot get ${url.href}: more than ${MOST_REDIRECTS} redirects`);
    const next = URL.canParse(to, at.href) ? new URL(to, at.href) : undefined;
    if (!next || !isHttp(next) || (at.protocol === "https:" && next.protocol === "http:"))
      throw refusal(
        `cannot get ${url.href}: expected a redirect to an ${at.protocol.slice(0, -1)} address, received ${show(to)}`,
      );
    at = next;
  }
}

/** Whether the server goes on where `part` ends; false where it begins anew. */
async function checkAnswer(url: URL, response: Response, part: Part, bytes: number): Promise<boolean> {
  const { status, headers } = response;
  if (status === 416) {
    await part.restart();
    throw new BrokenConnection("the server refused to continue");
  }
  if ((status !== 200 && status !== 206) || response.body === null) {
    const message = `the server answered ${`${status} ${plain(response.statusText)}`.trim()}`;
    if (status >= 500 || status === 408 || status === 429) throw new BrokenConnection(message);
    throw refusal(`cannot get ${url.href}: ${message}`);
  }
  const encoding = headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity")
    throw refusal(`expected ${url.href} as it is, received it in the encoding ${show(encoding)}`);
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get("content-range") ?? "");
  const announced = status === 200 ? headers.get("content-length") : range && range[2] !== "*" ? range[2] : null;
  if (announced !== null && Number(announced) !== bytes)
    throw refusal(
      `expected ${url.href} to have ${bytes} bytes, received ${Number(announced) > bytes ? "more" : "fewer"}: the server announces ${plain(announced)}`,
    );
  if (status === 206 && (range === null || Number(range[1]) !== part.size)) {
    await part.restart();
    throw new BrokenConnection("the server continued at another place");
  }
  return status === 206;
}

/** Waits for a server as long as it gives so many bytes in that time. Only the time spent waiting for it is counted. */
class Patience {
  readonly #abort = new AbortController();
  readonly #windowMs: number;
  readonly #least: number;
  #left: number;
  #came = 0;

  constructor(windowMs: number, least: number) {
    this.#windowMs = this.#left = windowMs;
    this.#least = least;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** @throws BrokenConnection when the connection breaks or the time is up; a BayesError as it is */
  async wait<T>(work: Promise<T>): Promise<T> {
    const started = performance.now();
    const timer = setTimeout(() => this.#abort.abort(), this.#left);
    try {
      return await work;
    } catch (error) {
      if (error instanceof BayesError) throw error;
      throw new BrokenConnection(this.signal.aborted ? this.#slow() : reason(error));
    } finally {
      clearTimeout(timer);
      this.#left -= performance.now() - started;
    }
  }

  came(bytes: number): void {
    this.#came += bytes;
    if (this.#came < this.#least) return;
    this.#came = 0;
    this.#left = this.#windowMs;
  }

  /** Lets the connection go. */
  end(): void {
    this.#abort.abort();
  }

  #slow(): string {
    const seconds = this.#windowMs / 1000;
    return this.#came === 0
      ? `the connection was silent for ${seconds} s`
      : `the connection gave ${this.#came} bytes in ${seconds} s`;
  }
}

function reason(error: unknown): string {
  const { message, cause } = error as Error;
  return plain(cause instanceof Error ? `${message}: ${cause.message}` : message);
}

/** What a server says, as it may be shown. */
const plain = (text: string): string => shorten(text.replace(/[^ -~]/g, "?"), 200);

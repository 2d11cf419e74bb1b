import { imageSize, type StreamedDataset } from "../data/dataset.ts";
import { readMany } from "../data/source.ts";
import { onAbort } from "../util/abort.ts";

/** Steps whose pixels are being read at a time. */
const READS = 4;
/** Bytes that are read ahead at least, however short the chunks are (and never fewer than one chunk). */
const AHEAD_BYTES = 16 << 20;
const AHEAD_STEPS = 8;

/** Reads the pixels of the steps that come, in their order, while those before are trained on. */
export class Prefetch {
  readonly #data: StreamedDataset;
  readonly #indicesOf: (step: number) => Int32Array | undefined;
  readonly #stop = new AbortController();
  readonly #deaf: (() => void) | undefined;
  readonly #reads = new Map<number, Promise<Uint8Array | Float32Array>>();
  #next: number;
  #until = 0;
  #running = 0;

  /**
   * @param indicesOf the examples of a step; undefined after the last one
   * @param signal stops it, as does {@link stop}
   */
  constructor(
    data: StreamedDataset,
    first: number,
    indicesOf: (step: number) => Int32Array | undefined,
    signal?: AbortSignal,
  ) {
    this.#data = data;
    this.#next = first;
    this.#indicesOf = indicesOf;
    if (signal?.aborted) this.#stop.abort(signal.reason);
    else this.#deaf = signal && onAbort(signal, () => this.#stop.abort(signal.reason));
  }

  /**
   * The pixels of `n` steps from `first` on, which are the steps after those of the call before.
   * @throws what the data set's `read` throws; the reason of whoever has stopped it
   */
  async take(first: number, n: number): Promise<Uint8Array | Float32Array> {
    const { pixels, shape } = this.#data;
    const size = imageSize(shape);
    const sizes = Array.from({ length: n }, (_, i) => size * this.#indicesOf(first + i)!.length);
    const bytes = sizes[0] * (pixels === "u8" ? 1 : 4);
    this.#until = first + n + Math.max(n, Math.min(AHEAD_STEPS, Math.floor(AHEAD_BYTES / bytes)));
    this.#pump();
    const all = new (pixels === "u8" ? Uint8Array : Float32Array)(sizes.reduce((a, b) => a + b, 0));
    let at = 0;
    for (let i = 0; i < n; i++) {
      this.#stop.signal.throwIfAborted();
      const read = this.#reads.get(first + i) ?? this.#begin(first + i);
      all.set(await read, at);
      this.#reads.delete(first + i);
      at += sizes[i];
    }
    return all;
  }

  #pump(): void {
    while (this.#running < READS && this.#next < this.#until && !this.#stop.signal.aborted)
      if (!this.#indicesOf(this.#next)) return;
      else this.#begin(this.#next);
  }

  #begin(step: number): Promise<Uint8Array | Float32Array> {
    const read = readMany(this.#data, this.#indicesOf(step)!, this.#stop.signal);
    this.#reads.set(step, read);
    this.#next = Math.max(this.#next, step + 1);
    this.#running++;
    const ended = () => {
      this.#running--;
      this.#pump();
    };
    // a failure is met by whoever takes the step, if anybody does
    read.then(ended, () => this.#running--);
    return read;
  }

  /** Stops whatever is being read. */
  stop(): void {
    this.#deaf?.();
    this.#stop.abort();
    this.#reads.clear();
  }
}

/** Which steps a run has: the examples that each one takes, and which run together. */
import { type AnyDataset, imageSize } from "../data/dataset.ts";
import { epochOrder } from "../data/order.ts";
import type { Settings } from "./options.ts";

/** Bytes of images that a chunk is fed with, where they are streamed (or one step's, if that is more). */
const CHUNK_BYTES = 16 << 20;
/** The steps of a chunk: `n` from `first` on, of one epoch (`at`: how far into it), each of `size` examples. */
export interface Chunk {
  readonly first: number;
  readonly n: number;
  readonly size: number;
  readonly epoch: number;
  readonly at: number;
}

/** Steps of one epoch. */
export const stepsPerEpoch = (
  count: number,
  { batchSize, dropLast }: Pick<Settings, "batchSize" | "dropLast">,
): number => (dropLast ? Math.floor : Math.ceil)(count / batchSize);

export class Steps {
  readonly perEpoch: number;
  readonly total: number;
  readonly #train: AnyDataset;
  readonly #s: Settings;
  readonly #orders = new Map<number, Int32Array>();
  /** The next step to run. */
  #next: number;

  constructor(train: AnyDataset, settings: Settings, next: number) {
    this.#train = train;
    this.#s = settings;
    this.#next = next;
    this.perEpoch = stepsPerEpoch(train.count, settings);
    this.total = settings.epochs * this.perEpoch;
  }

  /** How many examples a step takes. */
  batchAt(step: number): number {
    const { batchSize } = this.#s;
    return Math.min(batchSize, this.#train.count - (step % this.perEpoch) * batchSize);
  }

  /** The order of an epoch; those of past ones are forgotten. */
  order(epoch: number): Int32Array {
    const known = this.#orders.get(epoch);
    if (known) return known;
    const order = epochOrder(this.#train.count, this.#s.seed, epoch);
    for (const old of this.#orders.keys()) if (old < Math.floor(this.#next / this.perEpoch)) this.#orders.delete(old);
    this.#orders.set(epoch, order);
    return order;
  }

  /** The examples that a step takes; undefined of one beyond the last. */
  indicesOf(step: number): Int32Array | undefined {
    if (step >= this.total) return undefined;
    const at = (step % this.perEpoch) * this.#s.batchSize;
    return this.order(Math.floor(step / this.perEpoch)).subarray(at, at + this.batchAt(step));
  }

  /** The chunk that begins with a step: at most `longest`, and no further than to where something happens. */
  plan(first: number, longest: number): Chunk {
    this.#next = first;
    const { batchSize, checkpoint, stream } = this.#s;
    const { count, shape } = this.#train;
    const [epoch, at] = [Math.floor(first / this.perEpoch), first % this.perEpoch];
    const size = this.batchAt(first);
    const sameSize = size < batchSize ? 1 : Math.floor(count / batchSize) - at;
    const untilSave = checkpoint.steps ? checkpoint.steps - (first % checkpoint.steps) : sameSize;
    const bytes = size * imageSize(shape) * (stream === "f32" ? 4 : 1);
    const most = stream ? Math.max(1, Math.floor(CHUNK_BYTES / bytes)) : longest;
    return { first, n: Math.min(longest, sameSize, untilSave, most), size, epoch, at };
  }

  /** A step, as schedules see it. */
  moment(step: number) {
    return { step, stepsPerEpoch: this.perEpoch, totalSteps: this.total };
  }
}

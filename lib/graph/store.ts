// a user's "lib" may lack [Symbol.dispose]:
/// <reference lib="esnext.disposable" preserve="true" />
import { type Device, type DeviceName, openDevice } from "../device.ts";
import { BayesError, checkInt, fail, words } from "../errors.ts";
import type { Data, NativeStore } from "../native/addon.ts";
import { asArray, kindsFor } from "../util/arrays.ts";
import { checkMemory } from "../util/memory.ts";
import { type DType, leaf, type Shape, sameShape, sizeOf, type Tensor } from "./node.ts";
import { type Turn, Turns } from "./turns.ts";

/** One named buffer: a parameter, an optimizer moment, a running statistic, a resident data set. */
export interface Slot {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly trainable: boolean;
  /** Number of the native buffer. */
  readonly index: number;
}

const arrays = { f32: Float32Array, i32: Int32Array, u8: Uint8Array } as const;
const arrayOf = { f32: "Float32Array", i32: "Int32Array", u8: "Uint8Array" } as const;

/**
 * Named persistent memory on one device. Everything a training run must not lose lies here; everything else is a plan's
 * arena. Close it explicitly (or with `using`).
 */
export class Store {
  readonly device: Device;
  /** @internal */
  readonly native: NativeStore;
  readonly slots = new Map<string, Slot>();
  /** Noise stream of every stochastic node, by name: the ordinal at which it was first traced, kept in checkpoints. */
  readonly streams = new Map<string, number>();
  #closed = false;
  #version = 0;
  readonly #turns = new Turns();
  readonly #garbage: number[] = [];
  readonly #closers = new Set<() => void>();

  /** @throws BayesError for a device that this build does not have */
  constructor(device: DeviceName | Device = "auto") {
    this.device = openDevice(device, "store");
    this.native = new this.device.addon.Store();
  }

  /**
   * The slot of this name, made and filled on first use. Asking again with another shape or dtype is an error.
   * @param options dtype (default "f32"), trainable (default false), init: the first contents; zeros if absent
   */
  define(name: string, shape: Shape, options: { dtype?: DType; trainable?: boolean; init?: () => Data } = {}): Slot {
    const { dtype = "f32", trainable = false, init } = options;
    if (!Object.hasOwn(arrays, dtype)) fail(`store ${name}`, `dtype ${Object.keys(arrays).join(", ")}`, dtype);
    if (!Array.isArray(shape)) fail(`store ${name}`, "a shape, as a list of integers", shape);
    for (const d of shape) checkInt(`store ${name}`, "every dimension", d, 1);
    const old = this.slots.get(name);
    if (old) {
      if (sameShape(old.shape, shape) && old.dtype === dtype) return old;
      return fail(`store ${name}`, `${old.dtype}[${old.shape}] as it was first defined`, words(`${dtype}[${shape}]`));
    }
    this.checkOpen(`store ${name}`);
    const index = this.alloc(name, sizeOf(shape) * (dtype === "u8" ? 1 : 4));
    const slot: Slot = { name, shape, dtype, trainable, index };
    try {
      if (init) this.#write(slot, init());
    } catch (error) {
      this.native.free(index);
      throw error;
    }
    this.slots.set(name, slot); // a slot that could not be filled is none
    this.#version++;
    return slot;
  }

  /** Another number after every change of what a trace sees: slots made or deleted, streams replaced. Not of contents. */
  get version(): number {
    return this.#version;
  }

  /** Replaces the noise streams by those of a checkpoint. A node that it does not know gets a new one when it is traced. */
  setStreams(streams: Readonly<Record<string, number>>): void {
    const entries = Object.entries(streams);
    if (entries.length === this.streams.size && entries.every(([name, s]) => this.streams.get(name) === s)) return;
    this.streams.clear();
    for (const [name, stream] of entries) this.streams.set(name, stream);
    this.#version++;
  }

  /** Native memory for a program or a slot called `name`. Throws a BayesError when there is not enough. */
  alloc(name: string, bytes: number): number {
    checkMemory(`store ${name}`, bytes);
    try {
      return this.native.alloc(bytes);
    } catch (error) {
      throw new BayesError(
        `[store ${name}] expected memory for ${bytes} bytes, received none (${(error as Error).message})`,
        { code: "ERR_BAYES_MEMORY" },
      );
    }
  }

  /** Gives it back: now, or as soon as the run under way is over. */
  release(index: number): void {
    if (this.#closed) return;
    this.#garbage.push(index);
    this.#sweep();
  }

  #sweep(): void {
    if (!this.#garbage.length || this.#closed || this.native.busy) return;
    for (const index of this.#garbage.splice(0)) this.native.free(index);
  }

  /**
   * Calls `work` as soon as it is its turn; turns are taken one at a time, first come first served, and runs off the event
   * loop are part of one. Inside, nobody else's run is under way, so everything synchronous is allowed, and
   * {@link Program.runAsync} with `turn`. Waiting for another turn inside one would be waiting for oneself.
   * @param owner who it is, as a phrase for messages to others: "fit of lenet5"
   * @throws BayesError when the store is closed, also while waiting
   * @example
   * <!-- setup: import { createModel } from "bayescnn";
   * const model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 }); -->
   * ```ts
   * import { saveModel } from "bayescnn";
   *
   * await model.store.turn("saving", () => saveModel(model, "model.safetensors")); // between two predictions
   * ```
   */
  async turn<T>(owner: string, work: (turn: Turn) => T | Promise<T>): Promise<T> {
    if (typeof owner !== "string" || !owner) fail("turn", "the owner's name", owner);
    if (typeof work !== "function") fail("turn", "a function", work);
    this.checkOpen(owner);
    return this.#turns.take(owner, async (turn) => {
      this.checkOpen(owner);
      try {
        return await work(turn);
      } finally {
        this.#sweep();
      }
    });
  }

  /** Throws unless it is that turn now. */
  checkTurn(where: string, turn: Turn): void {
    if (this.#turns.current !== turn) fail(where, "the turn that is on", turn);
  }

  /** Calls `closer` when the store is closed. */
  onClose(closer: () => void): void {
    this.checkOpen("store");
    this.#closers.add(closer);
  }

  /** Whether a run is under way: the contents belong to it. */
  get busy(): boolean {
    return !this.#closed && this.native.busy;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Throws if the store has been closed. */
  checkOpen(where: string): void {
    if (this.#closed)
      throw new BayesError(`[${where}] expected an open store or model, received one that was closed`, {
        code: "ERR_BAYES_CLOSED",
      });
  }

  /** Throws if the store has been closed or a run is under way. */
  checkIdle(where: string): void {
    this.checkOpen(where);
    if (this.busy)
      throw new BayesError(
        `[${where}] expected an idle store or model, received one with a run under way (${this.#turns.current?.owner}); await it first`,
        { code: "ERR_BAYES_BUSY" },
      );
  }

  slot(name: string): Slot {
    const slot = this.slots.get(name);
    if (!slot) fail("store", "a defined name", name);
    return slot;
  }

  /** A copy of the contents. */
  get(name: string): Data {
    this.checkIdle(`store ${name}`);
    const slot = this.slot(name);
    const data = new arrays[slot.dtype](sizeOf(slot.shape));
    this.native.read(slot.index, 0, data);
    return data;
  }

  /** Replaces the contents: same number of elements, same kind of array. */
  set(name: string, data: Data): void {
    this.checkIdle(`store ${name}`);
    this.#write(this.slot(name), data);
  }

  #write(slot: Slot, data: Data): void {
    const values = asArray(data, arrayOf[slot.dtype]);
    if (values?.length !== sizeOf(slot.shape))
      fail(`store ${slot.name}`, `${sizeOf(slot.shape)} values as ${kindsFor(data, arrayOf[slot.dtype])}`, data);
    this.native.write(slot.index, 0, values);
  }

  delete(name: string): void {
    this.checkIdle(`store ${name}`);
    this.native.free(this.slot(name).index);
    this.slots.delete(name);
    this.#version++;
  }

  /** The slot as a leaf of the program being traced. */
  tensor(name: string): Tensor {
    const { shape, dtype, trainable } = this.slot(name);
    return leaf({ shape, dtype }, { kind: "store", name, trainable });
  }

  /**
   * Frees everything; a second call does nothing. Runs and turns that wait are refused. Throws a BayesError while a run is
   * under way: `store.turn("closing", () => store.close())` waits for its end.
   */
  close(): void {
    if (this.#closed) return;
    this.checkIdle("store");
    this.#closed = true;
    for (const closer of this.#closers) closer();
    this.native.close();
    this.slots.clear();
    this.#turns.refuse(
      new BayesError("[store] expected to stay open until its turn, received close()", { code: "ERR_BAYES_CLOSED" }),
    );
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

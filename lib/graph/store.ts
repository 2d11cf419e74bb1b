// a user's "lib" may lack [Symbol.dispose]:
/// <reference lib="esnext.disposable" preserve="true" />

import type { Data, NativeStore } from "../native/addon.ts";
import { type Device, type DeviceName, openDevice } from "../native/device.ts";
import { asArray, kindsFor } from "../util/arrays.ts";
import { BayesError, checkInt, checkOptions, fail, show, words } from "../util/errors.ts";
import { MapView } from "../util/map-view.ts";
import { checkMemory, newArray } from "../util/memory.ts";
import { FIRST_RESERVED_STREAM } from "../util/philox.ts";
import { checkShape, type DType, leaf, type Shape, sameShape, sizeOf, type Tensor } from "./node.ts";
import { roleOf, type SlotRole } from "./roles.ts";
import { type Turn, Turns } from "./turns.ts";
import { checkValues, isValues, type Values } from "./values.ts";

/** One named buffer: a parameter, an optimizer moment, a running statistic, a resident data set. Frozen. */
export interface Slot {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  /** What it is for: a trained parameter, the model's own state, or what is kept beside them. */
  readonly role: SlotRole;
  /** The slot that a mask or a moment belongs to; itself, else. */
  readonly of: string;
  readonly trainable: boolean;
  /** What it may hold. */
  readonly values: Values;
}

/** How a slot is made; see {@link Store.define}. */
export interface SlotOptions {
  /** Default "f32". */
  readonly dtype?: DType;
  /** Default false. */
  readonly trainable?: boolean;
  /** The first contents; zeros if absent. */
  readonly init?: () => Data;
  /** What it may hold, of f32; default "finite", of a mask "mask". */
  readonly values?: Values;
}

export const arrayOf = { f32: "Float32Array", i32: "Int32Array", u8: "Uint8Array" } as const;
const whereOf = (name: unknown): string => (typeof name === "string" ? `store ${name}` : "store");
const bytesOf = ({ shape, dtype }: Slot): number => sizeOf(shape) * (dtype === "u8" ? 1 : 4);

/**
 * Named persistent memory on one device. Everything a training run must not lose lies here; everything else is a plan's
 * arena. Close it explicitly (or with `using`). A leaf knows its store and slot: a program that reads another's, or one of before a deletion,
 * is refused. Slots that a trace defines are made when it is over, together: a trace that fails leaves none.
 */
export class Store {
  readonly device: Device;
  /** @internal */
  readonly native: NativeStore;
  /** To be read; {@link define} and {@link delete} change it. */
  readonly slots: ReadonlyMap<string, Slot>;
  /** Noise stream of every stochastic node, by name: the ordinal at which it was first traced, kept in checkpoints. */
  readonly streams: ReadonlyMap<string, number>;
  readonly #slots = new Map<string, Slot>();
  readonly #streams = new Map<string, number>();
  /** Numbers of the native buffers; of slots that wait for the end of a trace there is none yet. */
  readonly #buffers = new Map<Slot, number>();
  readonly #waiting = new Map<Slot, SlotOptions["init"]>();
  #together: Slot[] | undefined; // those made since `together` began
  #closed = false;
  #version = 0;
  readonly #turns = new Turns();
  readonly #garbage: number[] = [];
  readonly #closers = new Set<() => void>();

  /** @throws BayesError for a device that this build does not have */
  constructor(device: DeviceName | Device = "auto") {
    this.device = openDevice(device, "store");
    const { addon, of } = this.device;
    this.native = of ? new addon.Store(of.library, of.index) : new addon.Store();
    this.slots = new MapView(this.#slots);
    this.streams = new MapView(this.#streams);
    Object.freeze(this);
  }

  /**
   * The slot of this name, made and filled on first use. Asking again with another shape or dtype is an error. Inside a trace
   * memory is taken and `init` asked when the trace is over, or when somebody looks at the contents.
   */
  define(name: string, shape: Shape, options: SlotOptions = {}): Slot {
    if (typeof name !== "string" || name === "") fail("store", "a name for a slot", name);
    const where = `store ${name}`;
    const own = checkOptions<SlotOptions>(where, options, {
      dtype: "string",
      trainable: "boolean",
      init: "function",
      values: "string",
    });
    const { role: named, of } = roleOf(name);
    const { dtype = "f32", trainable = false, init } = own;
    const { values = dtype !== "f32" ? "any" : named === "mask" ? "mask" : "finite" } = own;
    const role = named ?? (trainable ? "parameter" : "state");
    if (!Object.hasOwn(arrayOf, dtype)) fail(where, `dtype ${Object.keys(arrayOf).join(", ")}`, dtype);
    if (!isValues(values)) fail(where, 'values "finite", "not negative", "mask" or "any"', values);
    const slot: Slot = Object.freeze({ name, shape: checkShape(where, shape), dtype, role, of, trainable, values });
    const old = this.#slots.get(name);
    if (old) {
      if (own.values !== undefined && own.values !== old.values)
        fail(where, `values "${old.values}" as it was first defined`, own.values);
      if (sameShape(old.shape, slot.shape) && old.dtype === dtype) return old;
      return fail(where, `${old.dtype}[${old.shape}] as it was first defined`, words(`${dtype}[${slot.shape}]`));
    }
    this.checkOpen(where);
    this.#slots.set(name, slot);
    this.#waiting.set(slot, init);
    this.#version++;
    if (this.#together) this.#together.push(slot);
    else this.together(() => this.#together!.push(slot)); // a slot that could not be filled is none
    return slot;
  }

  /**
   * Runs `work`, then makes the slots that it has defined: there is memory for all of them, or none is filled and none is left,
   * as where `work` throws.
   * @internal
   */
  together<T>(work: () => T): T {
    if (this.#together) return work();
    const made: Slot[] = [];
    const streams = new Map(this.#streams);
    this.#together = made;
    try {
      const result = work();
      this.#fill();
      return result;
    } catch (error) {
      for (const slot of made) this.#remove(slot);
      if (streams.size !== this.#streams.size) this.setStreams(Object.fromEntries(streams));
      throw error;
    } finally {
      this.#together = undefined;
    }
  }

  /** Memory and first contents for the slots that have none yet. */
  #fill(): void {
    if (this.#waiting.size === 0) return;
    const slots = [...this.#waiting.keys()];
    const largest = slots.reduce((a, b) => (bytesOf(b) > bytesOf(a) ? b : a));
    const where = `store ${largest.name}`;
    this.checkOpen(where);
    const bytes = slots.reduce((sum, slot) => sum + bytesOf(slot), 0);
    const others = slots.length > 1 ? ` (${slots.length} tensors, this one the largest)` : "";
    // what init gives is there beside the slot
    this.checkMemory(
      where,
      bytes + (this.#waiting.get(largest) ? bytesOf(largest) : 0),
      `take a smaller model or smaller images${others}`,
    );
    for (const [slot, init] of [...this.#waiting]) {
      this.#waiting.delete(slot);
      try {
        this.#buffers.set(slot, this.alloc(slot.name, bytesOf(slot)));
        if (init) this.#write(slot, init());
      } catch (error) {
        this.#remove(slot); // also for who catches this inside a trace and goes on
        throw error;
      }
    }
  }

  #remove(slot: Slot): void {
    const index = this.#buffers.get(slot);
    if (index !== undefined) this.release(index); // maybe not before a run is over that `init` has begun
    this.#buffers.delete(slot);
    this.#waiting.delete(slot);
    if (this.#slots.get(slot.name) === slot) this.#slots.delete(slot.name);
    this.#version++;
  }

  /**
   * The native buffer of a slot.
   * @throws BayesError for one that is not (or no longer) the store's
   * @internal
   */
  bufferOf(slot: Slot): number {
    if (this.#waiting.has(slot)) this.#fill();
    const index = this.#buffers.get(slot);
    if (index === undefined)
      fail("store", "one of its own slots, as it is now", words(`${slot.name} of before or of another`));
    return index;
  }

  /** Another number after every change of what a trace sees: slots made or deleted, streams replaced. Not of contents. */
  get version(): number {
    return this.#version;
  }

  /**
   * Replaces the noise streams by those of a checkpoint. A node that it does not know gets a new one when it is traced.
   * @throws BayesError for a stream that is none, or one for two nodes, whose noise would be the same
   */
  setStreams(streams: Readonly<Record<string, number>>): void {
    if (typeof streams !== "object" || streams === null) fail("store", "streams by name", streams);
    const entries = Object.entries(streams);
    for (const [name, s] of entries) checkInt("store", `the stream of ${name}`, s, 0, FIRST_RESERVED_STREAM - 1);
    if (new Set(entries.map(([, s]) => s)).size < entries.length)
      fail("store", "a stream of its own for every node", streams);
    if (entries.length === this.#streams.size && entries.every(([name, s]) => this.#streams.get(name) === s)) return;
    this.#streams.clear();
    for (const [name, stream] of entries) this.#streams.set(name, stream);
    this.#version++;
  }

  /** The noise stream of the stochastic node `name`: a new one, when it is seen for the first time. */
  streamOf(name: string): number {
    const known = this.#streams.get(name);
    if (known !== undefined) return known;
    let next = 0;
    for (const s of this.#streams.values()) next = Math.max(next, s + 1);
    if (next >= FIRST_RESERVED_STREAM)
      throw new BayesError(`[${name}] expected fewer than ${FIRST_RESERVED_STREAM} stochastic nodes`);
    this.#streams.set(name, next);
    return next;
  }

  /**
   * Throws unless the machine has so much memory, where that is the device's; another device says so itself.
   * @internal
   */
  checkMemory(where: string, bytes: number, advice?: string): void {
    if (this.device.kind !== "cuda") checkMemory(where, bytes, advice);
  }

  /**
   * Native memory for a program or a slot called `name`. Throws a BayesError when there is not enough.
   * @internal
   */
  alloc(name: string, bytes: number): number {
    checkInt(whereOf(name), "bytes", bytes, 0);
    this.checkMemory(`store ${name}`, bytes);
    try {
      return this.native.alloc(bytes);
    } catch (error) {
      const why = (error as Error).message;
      if (/is (busy|closed)/.test(why))
        throw new BayesError(`[store ${name}] expected an idle store, received one that cannot be written to: ${why}`, {
          code: why.includes("is busy") ? "ERR_BAYES_BUSY" : "ERR_BAYES_CLOSED",
        });
      throw new BayesError(`[store ${name}] expected memory for ${bytes} bytes, received none (${why})`, {
        code: why.includes("has stopped") ? "ERR_BAYES_MISSING" : "ERR_BAYES_MEMORY",
      });
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
    if (typeof closer !== "function") fail("store", "a function to be called when it is closed", closer);
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
    const slot = this.#slots.get(name);
    if (!slot) fail("store", "a defined name", name);
    return slot;
  }

  /** A copy of the contents. */
  get(name: string): Data {
    this.checkIdle(whereOf(name));
    const slot = this.slot(name);
    const index = this.bufferOf(slot);
    const data = newArray(`store ${name}`, slot.dtype, sizeOf(slot.shape));
    this.native.read(index, 0, data);
    return data;
  }

  /**
   * Replaces the contents: same number of elements, same kind of array.
   * @throws BayesError also for values that the slot may not hold, such as NaN; nothing has changed then
   */
  set(name: string, data: Data): void {
    this.checkIdle(whereOf(name));
    this.#write(this.slot(name), data);
  }

  #write(slot: Slot, data: Data): void {
    const values = asArray(data, arrayOf[slot.dtype]);
    if (values?.length !== sizeOf(slot.shape))
      fail(`store ${slot.name}`, `${sizeOf(slot.shape)} values as ${kindsFor(data, arrayOf[slot.dtype])}`, data);
    checkValues(`store ${slot.name}`, slot.values, values, "ERR_BAYES_NUMERIC");
    this.native.write(this.bufferOf(slot), 0, values);
  }

  delete(name: string): void {
    this.checkIdle(whereOf(name));
    this.#remove(this.slot(name));
  }

  /** The slot as a leaf of the program being traced. */
  tensor(name: string): Tensor {
    const slot = this.slot(name);
    const { shape, dtype, trainable } = slot;
    return leaf({ shape, dtype }, { kind: "store", name, trainable, of: Object.freeze({ store: this, slot }) });
  }

  /**
   * Frees everything; a second call does nothing. Runs and turns that wait are refused. Throws a BayesError while a run is
   * under way: `store.turn("closing", () => store.close())` waits for its end.
   */
  close(): void {
    if (this.#closed) return;
    this.checkIdle("store");
    this.#closed = true;
    let wrong: unknown;
    for (const closer of this.#closers)
      try {
        closer();
      } catch (error) {
        wrong ??= error ?? "nothing";
      }
    this.native.close();
    this.#slots.clear();
    this.#buffers.clear();
    this.#turns.refuse(
      new BayesError("[store] expected to stay open until its turn, received close()", { code: "ERR_BAYES_CLOSED" }),
    );
    if (wrong !== undefined)
      throw new BayesError(`[store] expected closers that do not throw, received one that did: ${show(wrong)}`, {
        cause: wrong,
      });
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

import type { Device } from "../device.ts";
import { BayesError, checkInt, fail } from "../errors.ts";
import type { Data, NativeStore } from "../native/addon.ts";
import { asArray, kindsFor } from "../util/arrays.ts";
import { type DType, leaf, type Shape, sameShape, sizeOf, type Tensor } from "./node.ts";

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

  constructor(device: Device) {
    this.device = device;
    this.native = new device.addon.Store();
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
      return fail(`store ${name}`, `${old.dtype}[${old.shape}] as it was first defined`, `${dtype}[${shape}]`);
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
    return slot;
  }

  /** Native memory for a program or a slot called `name`. Throws a BayesError when there is not enough. */
  alloc(name: string, bytes: number): number {
    try {
      return this.native.alloc(bytes);
    } catch (error) {
      throw new BayesError(
        `[store ${name}] expected memory for ${bytes} bytes, received none (${(error as Error).message})`,
      );
    }
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
    if (this.#closed) throw new BayesError(`[${where}] expected an open store or model, received one that was closed`);
  }

  /** Throws if the store has been closed or a run is under way. */
  checkIdle(where: string): void {
    this.checkOpen(where);
    if (this.busy)
      throw new BayesError(
        `[${where}] expected an idle store or model, received one with a run under way; await it first`,
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
  }

  /** The slot as a leaf of the program being traced. */
  tensor(name: string): Tensor {
    const { shape, dtype, trainable } = this.slot(name);
    return leaf({ shape, dtype }, { kind: "store", name, trainable });
  }

  /** Frees everything; a second call does nothing. Throws a BayesError while a run is under way. */
  close(): void {
    if (this.#closed) return;
    this.checkIdle("store");
    this.#closed = true;
    this.native.close();
    this.slots.clear();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

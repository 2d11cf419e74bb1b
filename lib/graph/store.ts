import type { Device } from "../device.ts";
import { BayesError, fail } from "../errors.ts";
import type { Data, NativeStore } from "../native/addon.ts";
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

/**
 * Named persistent memory on one device. Everything a training run must not lose lies here; everything else is a plan's
 * arena. Close it explicitly (or with `using`).
 */
export class Store {
  readonly device: Device;
  readonly native: NativeStore;
  readonly slots = new Map<string, Slot>();
  /** Noise stream of every stochastic node, by name: the ordinal at which it was first traced, kept in checkpoints. */
  readonly streams = new Map<string, number>();

  constructor(device: Device) {
    this.device = device;
    this.native = new device.addon.Store();
  }

  /**
   * The slot of this name, made and filled on first use. Asking again with another shape or dtype is an error.
   * @param init the first contents; zeros if absent
   */
  define(name: string, shape: Shape, options: { dtype?: DType; trainable?: boolean; init?: () => Data } = {}): Slot {
    const { dtype = "f32", trainable = false, init } = options;
    const old = this.slots.get(name);
    if (old) {
      if (sameShape(old.shape, shape) && old.dtype === dtype) return old;
      return fail(`store ${name}`, `${old.dtype}[${old.shape}] as it was first defined`, `${dtype}[${shape}]`);
    }
    const slot: Slot = {
      name,
      shape,
      dtype,
      trainable,
      index: this.native.alloc(sizeOf(shape) * (dtype === "u8" ? 1 : 4)),
    };
    this.slots.set(name, slot);
    if (init) this.set(name, init());
    return slot;
  }

  slot(name: string): Slot {
    const slot = this.slots.get(name);
    if (!slot) throw new BayesError(`[store] expected a defined name, received "${name}"`);
    return slot;
  }

  /** A copy of the contents. */
  get(name: string): Data {
    const slot = this.slot(name);
    const data = new arrays[slot.dtype](sizeOf(slot.shape));
    this.native.read(slot.index, 0, data);
    return data;
  }

  /** Replaces the contents: same number of elements, same kind of array. */
  set(name: string, data: Data): void {
    const slot = this.slot(name);
    if (!(data instanceof arrays[slot.dtype]) || data.length !== sizeOf(slot.shape))
      fail(`store ${name}`, `${arrays[slot.dtype].name} of ${sizeOf(slot.shape)} values`, data);
    this.native.write(slot.index, 0, data);
  }

  delete(name: string): void {
    this.native.free(this.slot(name).index);
    this.slots.delete(name);
  }

  /** The slot as a leaf of the program being traced. */
  tensor(name: string): Tensor {
    const { shape, dtype, trainable } = this.slot(name);
    return leaf({ shape, dtype }, { kind: "store", name, trainable });
  }

  close(): void {
    this.native.close();
    this.slots.clear();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

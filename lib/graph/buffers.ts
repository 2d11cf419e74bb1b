/** Which tensors of a program share memory, and how long each piece is needed. */
import type { Node, Tensor } from "./node.ts";

/** A piece of memory: that of one result, or a part of the arena while it lives. */
export interface Buffer {
  readonly bytes: number;
  readonly from: number;
  to: number;
  /** The number of the result that it is, if it is one. */
  readonly result: number | undefined;
  offset: number;
}

/** The tensor whose memory it is: a view has its input's. */
export const base = (t: Tensor): Tensor => (t.node.op.view ? base(t.node.inputs[0]) : t);

/** A buffer for every tensor of `order` that somebody reads and that is neither leaf nor view. */
export class Buffers {
  readonly all: Buffer[] = [];
  readonly #of = new Map<Tensor, Buffer>();
  /** The last step that reads each tensor's memory. */
  readonly #lastUse = new Map<Tensor, number>();
  readonly #results: ReadonlySet<Tensor>;
  readonly #end: number;

  /** @param direct tensors that are computed straight into a result, and which */
  constructor(order: readonly Node[], results: readonly Tensor[], direct: ReadonlyMap<Tensor, number>) {
    this.#results = new Set(results.map(base));
    this.#end = order.length;
    for (const [step, n] of order.entries()) for (const i of n.inputs) this.#lastUse.set(base(i), step);
    for (const [step, n] of order.entries())
      if (!n.op.view) for (const o of n.outputs) if (this.used(o)) this.#give(o, step, direct.get(o));
  }

  of(t: Tensor): Buffer | undefined {
    return this.#of.get(t);
  }

  /** Whether anybody reads it. */
  used(t: Tensor): boolean {
    return this.#lastUse.has(t) || this.#results.has(t);
  }

  #give(o: Tensor, step: number, result: number | undefined): void {
    let buffer = o.index === 0 && result === undefined ? this.#takenOver(o, step) : undefined;
    if (!buffer) this.all.push((buffer = { bytes: o.bytes, from: step, to: step, result, offset: 0 }));
    buffer.to = Math.max(buffer.to, this.#results.has(o) ? this.#end : (this.#lastUse.get(o) ?? step));
    this.#of.set(o, buffer);
  }

  /** The memory of an input that the op may write over, where this step is the last to need it. */
  #takenOver(o: Tensor, step: number): Buffer | undefined {
    const { op, inputs } = o.node;
    for (const i of op.inplace ?? []) {
      const x = inputs[i];
      const buffer = x && this.#of.get(base(x));
      if (!buffer || buffer.result !== undefined || buffer.to !== step) continue;
      if (x.bytes === o.bytes && !this.#results.has(base(x))) return buffer;
    }
    return undefined;
  }
}

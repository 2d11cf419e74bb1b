/** Which tensors of a program share memory, and how long each piece is needed. */
import type { Node, Tensor } from "./node.ts";
import { frozenNodes } from "./walk.ts";

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
  /** Tensors that are computed straight into a result, and which: one that is no leaf or view and not frozen, and its first result. */
  readonly direct: ReadonlyMap<Tensor, number>;
  /** How many of the steps are frozen, the first ones: what the others read of them stays from run to run. */
  readonly frozen: number;
  readonly #of = new Map<Tensor, Buffer>();
  /** The last step that reads each tensor's memory. */
  readonly #lastUse = new Map<Tensor, number>();
  readonly #results: ReadonlySet<Tensor>;
  readonly #end: number;

  /** @param order of the run: views too, which are no steps of the device */
  constructor(order: readonly Node[], results: readonly Tensor[]) {
    const frozen = frozenNodes(order);
    this.frozen = frozen.size;
    const direct = new Map<Tensor, number>();
    for (const [k, t] of results.entries())
      if (!t.node.leaf && !t.node.op.view && !frozen.has(t.node) && !direct.has(t)) direct.set(t, k);
    this.direct = direct;
    this.#results = new Set(results.map(base));
    this.#end = order.length;
    for (const [step, n] of order.entries()) for (const i of n.inputs) this.#lastUse.set(base(i), step);
    for (const [step, n] of order.entries()) {
      if (n.op.view) continue;
      const free = this.#readOnce(n);
      for (const o of n.outputs) if (this.used(o)) this.#give(o, step, direct.get(o), free);
    }
  }

  of(t: Tensor): Buffer | undefined {
    return this.#of.get(t);
  }

  /** Whether anybody reads it. */
  used(t: Tensor): boolean {
    return this.#lastUse.has(t) || this.#results.has(t);
  }

  #give(o: Tensor, step: number, result: number | undefined, free: ReadonlySet<Buffer> | undefined): void {
    let buffer = result === undefined ? this.#takenOver(o, step, free) : undefined;
    if (!buffer) this.all.push((buffer = { bytes: o.bytes, from: step, to: step, result, offset: 0 }));
    const last = this.#results.has(o) ? this.#end : (this.#lastUse.get(o) ?? step);
    buffer.to = Math.max(buffer.to, step < this.frozen && last >= this.frozen ? this.#end : last);
    this.#of.set(o, buffer);
  }

  /** Where one output could take what another still needs, of another group or of a gradient: what one input alone has. */
  #readOnce({ inputs, members, attrs }: Node): ReadonlySet<Buffer> | undefined {
    if (!members && !attrs.onto) return undefined;
    const once = new Set<Buffer>();
    const more = new Set<Buffer>();
    for (const t of inputs) {
      const buffer = this.#of.get(base(t));
      if (buffer) (once.has(buffer) ? more : once).add(buffer);
    }
    for (const buffer of more) once.delete(buffer);
    return once;
  }

  /** The memory of an input that the op may write over, where this step is the last to need it. */
  #takenOver(o: Tensor, step: number, free: ReadonlySet<Buffer> | undefined): Buffer | undefined {
    const { inputs } = o.node;
    for (const i of overwritable(o)) {
      const x = inputs[i];
      const buffer = x && this.#of.get(base(x));
      if (!buffer || buffer.result !== undefined || buffer.to !== step) continue;
      if (free && !free.has(buffer)) continue;
      if (x.bytes === o.bytes && !this.#results.has(base(x))) return buffer;
    }
    return undefined;
  }
}

/** The inputs whose memory an output may take: of its own group. */
function overwritable({ node, index }: Tensor): readonly number[] {
  const { op, attrs, inputs, outputs, members = [node] } = node;
  const shared = op.lists?.(node) ?? 0;
  const [own, made] = [(inputs.length - shared) / members.length, outputs.length / members.length];
  const [group, k] = [Math.floor(index / made), index % made];
  const within = attrs.onto ? [shared + own - made + k] : k === 0 ? (op.inplace ?? []) : [];
  return within.map((i) => group * own + i);
}

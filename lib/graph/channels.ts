import { type Node, sameShape, type Tensor } from "./node.ts";
import type { Slot } from "./store.ts";
import { reached, topo } from "./walk.ts";

/**
 * For every position of a tensor's last axis, the channel that it shows. Two positions show the same one where neither
 * can go without the other: what an addition adds, or the pixels of a channel behind a flatten.
 */
export type Channels = readonly number[];

/** A convolution or linear layer: sums over the channels that it reads, and makes others. */
export interface Product {
  readonly node: Node;
  /** Its input's channels that it sums over (a depthwise one: none), and its output's. */
  readonly reads: Channels;
  readonly makes: Channels;
  /** The slots of its weights (those of Gaussian ones: mean, spread, masks) and of its bias. */
  readonly weights: readonly Slot[];
  readonly biases: readonly Slot[];
  /** Which axis of the weights runs over which. */
  readonly axes: ProductAxes;
  /** Multiply-adds of one pass over the traced batch with the mean weights. */
  readonly multiplyAdds: number;
}

/** How a product's tensors lie: which axis of the weights runs over the channels it reads, and which over those it makes. */
export interface ProductAxes {
  readonly reads: number;
  readonly makes: number;
}

/**
 * Follows the channels of a traced model function from the layers that make them to those that read them: which may be
 * taken away, and what goes with them. Every op says what it does in its record (`channels`); of one that does not, of
 * parameters made by hand and of the output, the channels stay.
 */
export class ChannelFlow {
  /** All that runs over channels, by the slot's name: conv1/weight/mu, [kh, kw, channels, filters], as { 2: …, 3: … }. */
  readonly slots = new Map<string, { readonly slot: Slot; readonly axes: Map<number, Channels> }>();
  readonly products: Product[] = [];
  /** Normalizations: the tensor whose channels have this slot subtracted. */
  readonly centres = new Map<Tensor, Slot>();
  /** The nodes between image and output, in order, and the channels of their first outputs. */
  readonly nodes: Node[] = [];
  readonly #of = new Map<Tensor, Channels>();
  readonly #parent: number[] = [];
  /** The node for which a group stays; true: it is in the output. */
  readonly #stays: (Node | true | undefined)[] = [];
  #at: Node | true = true;
  readonly #fixed = new Set<string>();
  readonly #resizable: (layer: string) => boolean;

  /**
   * @param resizable whether the layer of that name takes its number of filters from the trace (see `widthOf`)
   */
  constructor(image: Tensor, output: Tensor, resizable: (layer: string) => boolean) {
    this.#resizable = resizable;
    const order = topo([output]);
    const seen = reached(order, [image]);
    for (const node of order) {
      if (!node.inputs.some((t) => seen.has(t))) continue; // made of parameters and noise alone
      this.nodes.push(node);
      this.#at = node;
      const through = node.op.channels?.(this, node);
      if (!through) for (const t of node.inputs) this.stay(this.of(t));
      for (const t of node.outputs) {
        const known = through?.length === t.shape.at(-1) ? through : undefined;
        this.#of.set(t, known ?? this.stay(this.#fresh(t.shape.at(-1) ?? 1)));
      }
    }
    this.#at = true;
    this.stay(this.of(output));
  }

  /** The channels of a tensor; of one that is made of parameters alone, ones that stay, as do those of the parameters. */
  of(t: Tensor): Channels {
    const known = this.#of.get(t);
    if (known) return known;
    for (const { slot } of slotsOf(t)) {
      this.#fixed.add(slot.name);
      for (const channels of this.slots.get(slot.name)?.axes.values() ?? []) this.stay(channels);
    }
    const fresh = this.stay(this.#fresh(t.shape.at(-1) ?? 1));
    this.#of.set(t, fresh);
    return fresh;
  }

  /**
   * Of tensors that are combined element by element: the same channels. Those with one only are stretched over all. Parameters
   * of the layer that does it have a number for every channel that the layer is given.
   */
  joined({ inputs, layer }: Pick<Node, "inputs" | "layer">): Channels {
    const own = inputs.filter(({ node: { leaf }, shape }) => shape.length === 1 && isOf(layer, leaf));
    const all = inputs.flatMap((t) => (own.includes(t) ? [] : [this.of(t)]));
    const most = Math.max(...all.map((c) => c.length));
    const wide = all.filter((c) => c.length === most);
    for (const narrow of all) if (narrow.length !== most) this.stay(narrow);
    const joint = wide.reduce((a, b) => this.join(a, b));
    for (const t of own) for (const { slot } of slotsOf(t)) this.#run(slot, new Map([[0, joint]]));
    return joint;
  }

  /** What a convolution or linear layer makes: channels of its own, but for a depthwise one, whose go with those it is given. */
  product(
    node: Node,
    x: Tensor,
    weights: readonly Tensor[],
    axes: ProductAxes,
    biases: readonly Tensor[],
    { groups, multiplyAdds }: { readonly groups: number; readonly multiplyAdds: number },
  ): Channels {
    const { reads, makes } = axes;
    const from = this.of(x);
    const { shape } = weights[0];
    const slots = weights.flatMap((w) => slotsOf(w, shape));
    const others = biases.flatMap((b) => slotsOf(b, b.shape));
    const depthwise = groups > 1 && shape[reads] === 1 && [from.length, shape[makes]].every((n) => n === groups);
    const known = this.slots.get(slots[0]?.slot.name)?.axes.get(makes);
    const to = depthwise ? from : (known ?? this.#fresh(node.outputs[0].shape.at(-1)!));
    const layer = node.layer ?? "";
    const own = [...slots, ...others].every(({ slot }) => slot.of.startsWith(`${layer}/`));
    if ((groups > 1 && !depthwise) || !own || slots.length === 0 || !this.#resizable(layer)) {
      this.stay(from);
      this.stay(to);
    }
    for (const { slot, alike } of slots) if (alike) this.#run(slot, new Map([[reads, from], [makes, to]])); // biome-ignore format: one line
    for (const { slot, alike } of others) if (alike) this.#run(slot, new Map([[0, to]]));
    const [mine, bias] = [slots, others].map((list) => list.filter((s) => s.alike).map((s) => s.slot));
    this.products.push({
      node,
      reads: depthwise ? [] : from,
      makes: to,
      weights: mine,
      biases: bias,
      axes,
      multiplyAdds,
    });
    return to;
  }

  /** What a normalization makes: a number for every channel in each of these parameters, one of them subtracted from x. */
  normalized(x: Tensor, parameters: readonly Tensor[], centre: Tensor): Channels {
    const channels = this.of(x);
    for (const p of parameters) for (const { slot } of slotsOf(p)) this.#run(slot, new Map([[0, channels]]));
    const [mean] = slotsOf(centre);
    if (mean) this.centres.set(x, mean.slot);
    return channels;
  }

  /** Makes two of equal length the same, position by position. */
  join(a: Channels, b: Channels): Channels {
    if (a.length !== b.length) {
      this.stay(a);
      return this.stay(b);
    }
    a.forEach((id, i) => {
      const [x, y] = [this.group(id), this.group(b[i])];
      if (x === y) return;
      this.#parent[Math.max(x, y)] = Math.min(x, y);
      this.#stays[Math.min(x, y)] ??= this.#stays[Math.max(x, y)];
    });
    return a;
  }

  stay(channels: Channels): Channels {
    for (const id of channels) this.#stays[this.group(id)] ??= this.#at;
    return channels;
  }

  /** The ops for which channels stay that layers make, as errors name them; those of the output stay for none. */
  get keepers(): string[] {
    const ids = this.products.flatMap(({ makes }) => makes);
    const of = ids.map((id) => this.#stays[this.group(id)]);
    return [...new Set(of.flatMap((node) => (node && node !== true ? [node.describe()] : [])))];
  }

  /** The number of the group that goes or stays as one. */
  group(id: number): number {
    while (this.#parent[id] !== id) id = this.#parent[id];
    return id;
  }

  /** The groups that may go, each once. */
  get removable(): number[] {
    return this.#parent.flatMap((parent, id) => (parent === id && !this.#stays[id] ? [id] : []));
  }

  #fresh(count: number): Channels {
    const first = this.#parent.length;
    for (let i = 0; i < count; i++) {
      this.#parent.push(first + i);
      this.#stays.push(undefined);
    }
    return Array.from({ length: count }, (_, i) => first + i);
  }

  /** Notes that the axes of a slot run over channels; of a slot that has been seen before, over the same ones. */
  #run(slot: Slot, axes: ReadonlyMap<number, Channels>): void {
    const known = this.slots.get(slot.name) ?? { slot, axes: new Map<number, Channels>() };
    this.slots.set(slot.name, known);
    for (const [axis, channels] of axes) {
      if (channels.length !== slot.shape[axis]) continue; // of a grouped convolution, whose channels stay
      const before = known.axes.get(axis);
      if (before) this.join(before, channels);
      else known.axes.set(axis, channels);
      if (this.#fixed.has(slot.name)) this.stay(channels);
    }
  }
}

/** Whether that is a parameter of the layer. */
const isOf = (layer: string | undefined, leaf: Node["leaf"]): boolean =>
  layer !== undefined && leaf?.kind === "store" && leaf.of.slot.of.startsWith(`${layer}/`);

/**
 * The slots that a tensor of parameters is made of: the mean of a weight, and its mask. `alike`: element by element. One value
 * for all (a layer's alpha) is none of them.
 */
function slotsOf(t: Tensor, shape = t.shape): { slot: Slot; alike: boolean }[] {
  return topo([t]).flatMap(({ leaf }) =>
    leaf?.kind === "store" && leaf.of.slot.shape.join() !== "1"
      ? [{ slot: leaf.of.slot, alike: sameShape(leaf.of.slot.shape, shape) }]
      : [],
  );
}

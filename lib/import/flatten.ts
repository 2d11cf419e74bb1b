import { f32, type Node, type Tensor } from "../graph/node.ts";
import { input } from "../graph/trace.ts";
import { topo } from "../graph/walk.ts";
import type { Model } from "../models/model.ts";

/**
 * How the features of a fully connected layer's input (or of a norm behind flatten) lie: image axes from the slowest to the
 * fastest and their lengths, "hwc" in ours. "unclear": of a flatten, but put together anew since.
 */
export type Order = { readonly axes: string; readonly dims: readonly number[] } | "unclear";

/** For the slots whose values belong to flattened features: the order of those. */
export function flattenedInputs(model: Model): ReadonlyMap<string, Order> {
  const { output } = model.apply(input("x", f32([1, ...model.inputShape])), { mode: "mean" });
  const orders = new Map<Tensor, Order>(); // of flattened tensors
  const axes = new Map<Tensor, string>(); // of images that have been transposed
  const found = new Map<string, Order>();
  for (const node of topo([output])) {
    const { op, inputs, outputs } = node;
    const [x] = inputs;
    if (!x) continue;
    const order = orders.get(x);
    if (op.name === "linear") {
      if (order) for (const slot of slotsOf(inputs[1])) found.set(slot, order);
      continue;
    }
    if (op.name === "batchNorm2dInference" && order)
      for (const t of inputs.slice(1)) for (const slot of slotsOf(t)) found.set(slot, order);
    for (const y of outputs) {
      const next = op.name === "reshape" ? flattened(x, y, axes, order) : carried(node, y, orders);
      if (next) orders.set(y, next);
      const turned = turnedAxes(node, y, axes);
      if (turned) axes.set(y, turned);
    }
  }
  return found;
}

/** The parameters that a weight is made of: itself, perhaps masked. */
const slotsOf = (weight: Tensor): string[] =>
  topo([weight]).flatMap(({ leaf }) => (leaf?.kind === "store" && leaf.of.slot.role !== "mask" ? [leaf.name] : []));

function flattened(x: Tensor, y: Tensor, axes: ReadonlyMap<Tensor, string>, order: Order | undefined) {
  if (order) return y.shape.length === 2 && y.shape[1] === x.shape[1] ? order : "unclear";
  if (x.shape.length !== 4) return undefined;
  const dims = x.shape.slice(1);
  if (dims.filter((d) => d > 1).length < 2) return undefined; // in whatever order
  const own = axes.get(x) ?? "hwc";
  if (own === "chw") return undefined; // as in the file
  return y.shape.length === 2 && y.shape[1] === x.size && own !== "unclear" ? { axes: own, dims } : "unclear";
}

/** Elementwise ops keep an order; others that mix features make it unclear. */
function carried({ inputs, op }: Node, y: Tensor, orders: ReadonlyMap<Tensor, Order>): Order | undefined {
  const before = inputs.filter((t) => orders.has(t));
  if (before.length === 0 || y.size === 1) return undefined;
  const [first] = before.map((t) => orders.get(t)!);
  const same = before.every((t) => JSON.stringify(orders.get(t)) === JSON.stringify(first));
  const elementwise = before.every((t) => t.size === y.size && t.shape.length === y.shape.length);
  return same && elementwise && op.name !== "transpose" ? first : "unclear";
}

function turnedAxes({ op, inputs: [x], attrs }: Node, y: Tensor, axes: ReadonlyMap<Tensor, string>) {
  if (y.shape.length !== 4) return undefined;
  const before = axes.get(x);
  if (op.name === "transpose") {
    const [first, ...rest] = attrs.perm as readonly number[];
    const from = before ?? "hwc";
    return first === 0 && from !== "unclear" ? rest.map((p) => from[p - 1]).join("") : "unclear";
  }
  return before && x.size === y.size ? before : undefined;
}

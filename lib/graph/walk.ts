/** Walks over a traced graph. Whoever differentiates, rewrites, plans, interprets or exports one takes its order from here. */
import type { Node, Tensor } from "./node.ts";

/** What a program computes and does. */
export interface Goal {
  readonly outputs: ReadonlyMap<string, Tensor>;
  readonly effects: readonly Node[];
}

/** Every node the outputs depend on, inputs first, in order of creation where free: the order of the trace. */
export function topo(outputs: readonly Tensor[]): Node[] {
  const seen = new Set<Node>();
  const stack = outputs.map((t) => t.node);
  while (stack.length) {
    const n = stack.pop()!;
    if (seen.has(n)) continue;
    seen.add(n);
    for (const i of n.inputs) stack.push(i.node);
  }
  return [...seen].sort((a, b) => a.id - b.id); // a node is always made after its inputs
}

/** `walk`, which is asked of each goal many times and walks once: no goal changes. */
function once(walk: (goal: Goal) => Node[]): (goal: Goal) => readonly Node[] {
  const known = new WeakMap<Goal, readonly Node[]>();
  return (goal) => {
    const before = known.get(goal);
    if (before) return before;
    const nodes = walk(goal);
    known.set(goal, nodes);
    return nodes;
  };
}

/** Every node of a program, leaves too, inputs first. */
export const nodesOf = once(({ outputs, effects }) => [
  ...new Set([...topo([...outputs.values(), ...effects.flatMap((n) => n.inputs)]), ...effects]),
]);

/** The nodes that run, in the order in which they do: guards after what is computed, and updates of parameters last. */
export const runOrder = once((goal) => {
  const late = (n: Node): number => (n.op.mutates ? 2 : n.op.guard ? 1 : 0);
  const nodes = nodesOf(goal).filter((n) => !n.leaf);
  return nodes.sort((a, b) => late(a) - late(b) || a.id - b.id);
});

/**
 * The tensors among those of `order` that depend on some of `from`, with these.
 * @param stops nodes that nothing goes through
 */
export function reached(
  order: readonly Node[],
  from: Iterable<Tensor>,
  stops: (n: Node) => boolean | undefined = () => false,
): Set<Tensor> {
  const found = new Set(from);
  for (const n of order) if (n.inputs.some((t) => found.has(t)) && !stops(n)) for (const o of n.outputs) found.add(o);
  return found;
}

/** How a traced graph is rewritten before it is planned: who reads what, and the graph with some nodes changed. */
import { Node, type Tensor } from "./node.ts";
import { type Goal, nodesOf } from "./walk.ts";

/** The nodes of a goal in order, and who reads a tensor (null: the caller). */
export function survey(goal: Goal) {
  const nodes = nodesOf(goal);
  const readers = new Map<Tensor, (Node | null)[]>();
  const read = (t: Tensor, by: Node | null) => {
    const known = readers.get(t);
    if (known) known.push(by);
    else readers.set(t, [by]);
  };
  for (const n of nodes) for (const t of n.inputs) read(t, n);
  for (const t of goal.outputs.values()) read(t, null);
  return { nodes, readers: (t: Tensor): readonly (Node | null)[] => readers.get(t) ?? [] };
}

/** A node in another's place, or what stands for a node's outputs; undefined: the node stays. */
export type Change = Node | readonly (readonly [was: Tensor, is: Tensor])[] | undefined;

/** The goal with every node changed by `change`, in order; `at(t)` is what became of a traced tensor. */
export function rebuild(
  goal: Goal,
  nodes: readonly Node[],
  change: (n: Node, at: (t: Tensor) => Tensor) => Change,
): Goal {
  const now = new Map<Tensor, Tensor>();
  const nodeNow = new Map<Node, Node>();
  const at = (t: Tensor): Tensor => now.get(t) ?? t;
  for (const n of nodes) {
    let made = change(n, at);
    if (!made) {
      const inputs = n.inputs.map(at);
      if (inputs.every((t, i) => t === n.inputs[i])) continue;
      made = n.with(inputs, n.attrs);
    }
    if (made instanceof Node) {
      nodeNow.set(n, made);
      made = made.outputs.map((is, i) => [n.outputs[i], is] as const);
    }
    for (const [was, is] of made) now.set(was, is);
  }
  if (now.size === 0 && nodeNow.size === 0) return goal;
  const { outputs, effects } = goal;
  return {
    outputs: new Map([...outputs].map(([name, t]) => [name, at(t)])),
    effects: effects.map((n) => nodeNow.get(n) ?? n),
  };
}

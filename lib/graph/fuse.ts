import { type Activation, type Node, type Tensor, topo } from "./node.ts";

/** What a program computes and does. */
interface Goal {
  readonly outputs: Map<string, Tensor>;
  readonly effects: readonly Node[];
}

/**
 * Activations join the layers before them, so that each is written once: y = f(z), z = layer(x) become one node where
 * nothing else reads z, and dx, dw = layerGrad(dz), dz = f'(z) dy become one where nothing else reads dz. Neither needs
 * the other, for f' is computed from y. No value changes, nor a name, a line or a stream. The traced graph stays as it is:
 * whoever differentiates or exports it sees the plain nodes.
 */
export function fuse({ outputs, effects }: Goal): Goal {
  const nodes = [...new Set([...topo([...outputs.values(), ...effects.flatMap((n) => n.inputs)]), ...effects])];
  const readers = new Map<Tensor, number>();
  for (const t of [...nodes.flatMap((n) => n.inputs), ...outputs.values()]) readers.set(t, (readers.get(t) ?? 0) + 1);
  const only = (t: Tensor): boolean => t.index === 0 && readers.get(t) === 1;

  const activations = new Map<Node, Activation>(); // of layers
  const absorbed = new Set<Node>();
  for (const n of nodes) {
    const [z] = n.inputs;
    const how = n.op.activation?.(n.attrs);
    if (!how || z.node.op.activates !== "forward" || !only(z)) continue;
    activations.set(z.node, how);
    absorbed.add(n);
  }

  const now = new Map<Tensor, Tensor>(); // what became of a traced tensor that is not the same any more
  const nodeNow = new Map<Node, Node>();
  const at = (t: Tensor): Tensor => now.get(t) ?? t;
  for (const n of nodes) {
    if (absorbed.has(n)) {
      now.set(n.outputs[0], at(n.inputs[0]));
      continue;
    }
    let inputs = n.inputs.map(at);
    let how = activations.get(n);
    const dz = n.inputs[0];
    if (n.op.activates === "backward" && only(dz)) {
      how = dz.node.op.activationGrad?.(dz.node.attrs);
      if (how) inputs = [at(dz.node.inputs[0]), ...inputs.slice(1), at(dz.node.inputs[1])];
    }
    if (!how && inputs.every((t, i) => t === n.inputs[i])) continue;
    const fresh = n.with(inputs, { ...n.attrs, ...how });
    nodeNow.set(n, fresh);
    n.outputs.forEach((o, i) => {
      now.set(o, fresh.outputs[i]);
    });
  }
  return {
    outputs: new Map([...outputs].map(([name, t]) => [name, at(t)])),
    effects: effects.map((n) => nodeNow.get(n) ?? n),
  };
}

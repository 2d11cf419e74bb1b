import { constant, Tensor } from "../graph/node.ts";
import { reached, topo } from "../graph/walk.ts";
import { add } from "../ops/add.ts";
import { BayesError, fail } from "../util/errors.ts";

/**
 * Reverse-mode gradients of a scalar with respect to `wrt`, as more nodes of the same graph: they are planned, captured
 * and run like any other. A tensor that the loss does not reach is an error; wrap a value in `ops.stopGradient` to cut.
 */
export function grad(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (!Array.isArray(wrt)) fail("grad", "a list of traced tensors", wrt);
  const targets: readonly Tensor[] = [...wrt];
  for (const t of [loss, ...targets]) if (!Tensor.is(t)) fail("grad", "traced tensors", t);
  if (loss.size !== 1) throw new BayesError(`[grad] expected a scalar loss, received ${loss}`);
  const order = topo([loss]);
  const gradients = new Map<Tensor, Tensor>([[loss, constant(1, loss.shape)]]);
  const needed = reached(order, targets, (n) => n.op.stopsGradient); // tensors on a path from wrt to the loss
  for (const n of order.toReversed()) {
    if (!n.inputs.some((i) => needed.has(i)) || n.op.stopsGradient) continue;
    const dys = n.outputs.map((o) => gradients.get(o));
    if (dys.every((d) => d === undefined)) continue;
    if (!n.op.grad) throw new BayesError(`[grad] ${n.describe()} has no gradient`);
    n.op.grad(dys, n).forEach((d, i) => {
      const x = n.inputs[i];
      if (!d || !needed.has(x)) return;
      const before = gradients.get(x);
      gradients.set(x, before ? add(before, d) : d);
    });
  }
  return targets.map((w) => {
    const d = gradients.get(w);
    if (d) return d;
    const name = w.node.leaf && "name" in w.node.leaf ? w.node.leaf.name : w.node.describe();
    throw new BayesError(`[grad] expected a loss that depends on ${name}, received one that does not`);
  });
}

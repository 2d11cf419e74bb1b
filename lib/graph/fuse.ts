import type { Device } from "../native/device.ts";
import { type Activation, type Node, sameShape, type Tensor } from "./node.ts";
import { type Change, rebuild, survey } from "./rewrite.ts";
import { type Goal, nodesOf } from "./walk.ts";

/**
 * What is rewritten between tracing and planning: nodes that change nothing are left out, activations move behind max pooling, what is left of them joins the
 * layers, and so does max pooling, as far as the device's kernels can. The traced graph stays as it is: whoever differentiates or exports it sees the plain nodes. Nothing changes a
 * name, a line or a stream.
 */
export function fuse(goal: Goal, joins: Device["joins"]): Goal {
  const plain = poolFirst(withoutIdentities(goal));
  const joined = joins.activation ? joinLayers(plain) : plain;
  return joins.pooling ? poolInLayers(joined, joins.activation) : joined;
}

/** Views of the same shape mean something to the gradient alone: a stop, a rule of the user's own. */
function withoutIdentities(goal: Goal): Goal {
  const same = ({ op, inputs: [x], outputs: [y] }: Node): boolean => op.view === true && sameShape(x.shape, y.shape);
  return rebuild(goal, nodesOf(goal), (n, at) => (same(n) ? [[n.outputs[0], at(n.inputs[0])]] : undefined));
}

/**
 * p = pool(f(z)) becomes p = f(pool(z)), and dz = f'(y) poolGrad(dp) becomes dz = poolGrad(f'(p) dp), where nothing else
 * reads y = f(z): every activation that layers take (see {@link Activation}) never decreases, so the largest stays the
 * largest, and f is computed of the pooled values only. z need not be kept, nor y. Equal but for rounding.
 */
function poolFirst(goal: Goal): Goal {
  const { nodes, readers } = survey(goal);
  const changes = new Map<Node, (at: (t: Tensor) => Tensor) => Change>();
  for (const pool of nodes) {
    const [y] = pool.inputs;
    const f = y?.node;
    if (pool.op.selects !== "forward" || !f.op.activation?.(f.attrs)) continue;
    const [p, where] = pool.outputs;
    const others = readers(y).filter((n) => n !== pool);
    const gradient = others[0]; // dz = f'(y) dy
    const dy = gradient?.inputs[0];
    const behind = dy?.node; // dy = poolGrad(dp, where)
    if (others.length > 0) {
      if (others.length > 1 || !gradient?.op.activationGrad?.(gradient.attrs) || gradient.inputs[1] !== y) continue;
      if (behind?.op.selects !== "backward" || behind.inputs[1] !== where || readers(dy!).length > 1) continue;
    }
    let pooled: Node;
    let result: Node;
    changes.set(f, (at) => {
      pooled = pool.with([at(f.inputs[0])], pool.attrs, { place: f });
      return [[where, pooled.outputs[1]]];
    });
    changes.set(pool, () => {
      result = f.with([pooled.outputs[0]], f.attrs, { place: pool, types: [p] });
      return [[p, result.outputs[0]]];
    });
    if (!gradient || !behind) continue;
    let inner: Node;
    changes.set(behind, (at) => {
      const dp = at(behind.inputs[0]);
      inner = gradient.with([dp, result.outputs[0]], gradient.attrs, { place: behind, types: [dp] });
      return [];
    });
    changes.set(gradient, () => {
      const dz = behind.with([inner.outputs[0], pooled.outputs[1]], behind.attrs, { place: gradient });
      return [[gradient.outputs[0], dz.outputs[0]]];
    });
  }
  return rebuild(goal, nodes, (n, at) => changes.get(n)?.(at));
}

/**
 * Activations join the layers before them, so that each is written once: y = f(z), z = layer(x) become one node where
 * nothing else reads z, and dx, dw = layerGrad(dz), dz = f'(z) dy become one where nothing else reads dz. Neither needs
 * the other, for f' is computed from y. No value changes.
 */
function joinLayers(goal: Goal): Goal {
  const { nodes, readers } = survey(goal);
  const only = (t: Tensor): boolean => t.index === 0 && readers(t).length === 1;
  const activations = new Map<Node, Activation>(); // of layers
  const absorbed = new Set<Node>();
  for (const n of nodes) {
    const [z] = n.inputs;
    const how = n.op.activation?.(n.attrs);
    if (!how || z.node.op.activates !== "forward" || !only(z)) continue;
    activations.set(z.node, how);
    absorbed.add(n);
  }
  return rebuild(goal, nodes, (n, at) => {
    if (absorbed.has(n)) return [[n.outputs[0], at(n.inputs[0])]];
    let inputs = n.inputs.map(at);
    let how = activations.get(n);
    const dz = n.inputs[0];
    if (n.op.activates === "backward" && only(dz)) {
      how = dz.node.op.activationGrad?.(dz.node.attrs);
      if (how) inputs = [at(dz.node.inputs[0]), ...inputs.slice(1), at(dz.node.inputs[1])];
    }
    return how && n.with(inputs, { ...n.attrs, ...how });
  });
}

/**
 * Max pooling by tiles joins the layer before it, forward and backward, so that the layer's map lives for one step only:
 * p, where = pool(z), (z, r) = layer(x) become (p, r of the largest, where), and dz = poolGrad(f'(p) dp, where), dx, dw =
 * layerGrad(dz, r) become one, where nothing else reads z, r and dz. No value changes.
 */
function poolInLayers(goal: Goal, activation: boolean): Goal {
  const { nodes, readers } = survey(goal);
  const changes = new Map<Node, (at: (t: Tensor) => Tensor) => Change>();
  for (const pool of nodes) {
    const [z] = pool.inputs;
    if (!poolsByTiles(pool) || z.node.op.pools !== "forward" || z.index > 0 || readers(z).length > 1) continue;
    const layer = z.node;
    if (layer.attrs.activation) continue;
    const [p, where] = pool.outputs;
    const backward = readers(where);
    const unpool = backward[0];
    const dz = unpool?.outputs[0];
    const gradient = dz && readers(dz)[0];
    const r = layer.outputs.slice(1);
    const inverse = unpool?.op.selects === "backward" && backward.length === 1 && readers(dz!).length === 1;
    if (
      unpool &&
      !(
        inverse &&
        gradient?.op.pools === "backward" &&
        gradient.inputs[0] === dz &&
        gradient.inputs.includes(layer.inputs[0])
      )
    )
      continue;
    if (r.some((t) => readers(t).some((n) => n !== gradient))) continue;
    const { kernel, stride, padding, ...how } = pool.attrs;
    let made: readonly Tensor[];
    changes.set(layer, (at) => {
      const types = [p, ...r.map(() => p), where];
      made = layer.with(layer.inputs.map(at), { ...layer.attrs, ...how, pool: kernel }, { types }).outputs;
      return r.map((t, i) => [t, made[i + 1]] as const);
    });
    changes.set(pool, () => [[p, made[0]], [where, made.at(-1)!]]); // biome-ignore format: short
    if (!gradient) continue;
    const [dp] = unpool.inputs;
    const of = activation && readers(dp).length === 1 ? dp.node.op.activationGrad?.(dp.node.attrs) : undefined;
    if (of) changes.set(dp.node, () => []);
    changes.set(unpool, () => []);
    changes.set(gradient, (at) => {
      const dys = of ? [at(dp.node.inputs[0]), at(dp.node.inputs[1])] : [at(dp)];
      const inputs = [dys[0], ...gradient.inputs.slice(1).map(at), ...dys.slice(1), at(where)];
      return gradient.with(inputs, { ...gradient.attrs, ...of, pool: kernel });
    });
  }
  return rebuild(goal, nodes, (n, at) => changes.get(n)?.(at));
}

/** Whether a node is max pooling whose windows lie side by side. */
function poolsByTiles({ op, attrs }: Node): boolean {
  const [kernel, stride, padding] = [attrs.kernel, attrs.stride, attrs.padding] as (readonly number[])[];
  if (op.selects !== "forward") return false;
  return kernel.every((k, i) => k === stride[i]) && padding.every((p) => p === 0) && kernel.some((k) => k > 1);
}

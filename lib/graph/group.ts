import { Buffers } from "./buffers.ts";
import { liveBytes } from "./memory.ts";
import { Node, sameShape, type Tensor } from "./node.ts";
import { type Change, rebuild, survey } from "./rewrite.ts";
import { frozenNodes, type Goal, runOrder, traceOrder } from "./walk.ts";

/**
 * The work that every parameter needs is put together before a program is planned, so that it takes a few steps and not a
 * few for each parameter: gradients are added where they are made, sums of small sums become one, and nodes of one op that
 * need not wait for each other become a list. What asks for it is the op's record; no value changes. A device cannot do it,
 * for the places of tensors in memory hold for the order of the steps. No list is made that would need more memory.
 * @param align of tensors in memory, in bytes: the device's word
 */
export function group(goal: Goal, align: number): Goal {
  const most = 1.01 * neededBytes(goal, align) + SMALL;
  const refused = new Set<string>();
  let now: Goal | undefined = longerSums(ontoOthers(goal));
  for (let next: Goal | undefined = now; next; next = withList(now, refused, (g) => neededBytes(g, align) <= most))
    now = next;
  return now;
}

/** In bytes: what the tensors of a long sum may have together, and a program with lists may need more, beside a per cent. */
const SMALL = 32 * 1024;

/** The least arena that the program can have. */
function neededBytes(goal: Goal, align: number): number {
  const { all } = new Buffers(runOrder(goal), [...goal.outputs.values()]);
  return liveBytes(
    all.filter((b) => b.result === undefined),
    align,
  );
}

/** A sum of two tensors of one shape. */
const isSum = ({ op, attrs, inputs: [a, b] }: Node): boolean =>
  op.sums === true && attrs.terms === undefined && sameShape(a.shape, b.shape);

/** s = x + g(…) becomes s = g(…, x), where g can add to what is there and nothing else reads what it makes. */
function ontoOthers(goal: Goal): Goal {
  const { nodes, readers } = survey(goal);
  const position = positions(goal);
  const changes = new Map<Node, (at: (t: Tensor) => Tensor) => Change>();
  for (const g of nodes) {
    if (!g.op.onto) continue;
    const sums = g.outputs.map((d) => (readers(d).length === 1 ? readers(d)[0] : null));
    if (!sums.every((s): s is Node => s !== null && isSum(s) && !changes.has(s))) continue;
    if (new Set(sums).size < sums.length) continue;
    const place = sums.reduce((a, b) => (position(a) > position(b) ? a : b));
    if (sums.some((s) => readers(s.outputs[0]).some((n) => n && position(n) < position(place)))) continue;
    const others = sums.map(({ inputs: [a, b] }, k) => (a === g.outputs[k] ? b : a));
    for (const n of [g, ...sums]) changes.set(n, () => []);
    changes.set(place, (at) => {
      const made = g.with([...g.inputs, ...others].map(at), { ...g.attrs, onto: true }, { place });
      return sums.map((s, k) => [s.outputs[0], made.outputs[k]] as const);
    });
  }
  return rebuild(goal, nodes, (n, at) => changes.get(n)?.(at));
}

/** a + b + c + …, of one shape, becomes one node, where nothing else reads what is in between. */
function longerSums(goal: Goal): Goal {
  const { nodes, readers } = survey(goal);
  const changes = new Map<Node, (at: (t: Tensor) => Tensor) => Change>();
  for (const s of nodes.toReversed()) {
    if (!isSum(s) || changes.has(s)) continue;
    const inside: Node[] = [];
    const after: Tensor[] = []; // its terms from right to left, but for the first two
    let first = s;
    for (;;) {
      const k = first.inputs.findIndex(({ node }) => isSum(node) && readers(node.outputs[0]).length === 1);
      if (k < 0) break;
      after.push(first.inputs[1 - k]);
      inside.push((first = first.inputs[k].node));
    }
    const terms = [...first.inputs, ...after.toReversed()];
    if (inside.length === 0 || terms.length * s.outputs[0].bytes > SMALL) continue;
    for (const n of inside) changes.set(n, () => []);
    changes.set(s, (at) => s.with(terms.map(at), { ...s.attrs, terms: terms.length }));
  }
  return rebuild(goal, nodes, (n, at) => changes.get(n)?.(at));
}

/** The goal with some nodes of an op that takes lists as one, if there are any that may be; those that were too much are remembered. */
function withList(goal: Goal, refused: Set<string>, fits: (goal: Goal) => boolean): Goal | undefined {
  const { nodes, readers } = survey(goal);
  const position = positions(goal);
  const read = (t: Tensor): number =>
    readers(t).reduce((least, n) => Math.min(least, n ? position(n) : Infinity), Infinity);
  const span = (n: Node): Span => ({
    made: n.inputs.reduce((most, t) => Math.max(most, position(t.node)), -1),
    at: position(n),
    read: n.outputs.reduce((least, t) => Math.min(least, read(t)), Infinity),
  });
  const frozen = frozenNodes(nodes); // with others they would be frozen no more
  const alike = new Map<string, Node[]>();
  for (const n of nodes) {
    const shared = n.op.lists?.(n);
    if (shared === undefined) continue;
    const common = n.inputs.slice(0, shared).map((t) => `${t.node.id}.${t.index}`);
    const key = [n.op.name, frozen.has(n), JSON.stringify(n.attrs), ...common].join();
    const others = alike.get(key);
    if (others) others.push(n);
    else alike.set(key, [n]);
  }
  for (const all of [...alike.values()].reverse())
    for (const { members } of runs(all, span)) {
      const bySize = members.toSorted((a, b) => bytesOf(a) - bytesOf(b));
      for (let count = members.length; count > 1; count >>= 1) {
        const few = new Set(bySize.slice(0, count)); // all of them, then the smaller half, …
        const some = members.filter((n) => few.has(n));
        for (const run of runs(some, span)) {
          const key = `${run.place.id} ${run.members.length}`;
          if (run.members.length === 1 || refused.has(key)) continue;
          const next = listed(goal, nodes, run);
          if (fits(next)) return next;
          refused.add(key);
        }
      }
    }
  return undefined;
}

/** Positions in the order of the run: of the last input, of the node, and of the first reader. */
interface Span {
  readonly made: number;
  readonly at: number;
  readonly read: number;
}

/** Nodes that may be one, and the one in whose place that is: behind all of their inputs, and before all that read them. */
interface Run {
  readonly members: Node[];
  readonly place: Node;
}

/** Neighbours among these nodes, as many at a time as may be one. */
function runs(nodes: readonly Node[], spanOf: (n: Node) => Span): Run[] {
  const all: Run[] = [];
  let spans = new Map<Node, Span>();
  let [made, read] = [-1, Infinity];
  for (const n of nodes) {
    const span = spanOf(n);
    const last = all.at(-1);
    const [later, sooner] = [Math.max(made, span.made), Math.min(read, span.read)];
    const fits = (m: Node, { at } = spans.get(m)!) => later < at && at < sooner;
    const place = fits(n, span) ? n : last?.members.findLast((m) => fits(m));
    if (last && place && !n.inputs.some((t) => spans.has(t.node))) {
      all[all.length - 1] = { members: last.members, place };
      last.members.push(n);
      [made, read] = [later, sooner];
    } else {
      all.push({ members: [n], place: n });
      spans = new Map();
      [made, read] = [span.made, span.read];
    }
    spans.set(n, span);
  }
  return all;
}

function listed(goal: Goal, nodes: readonly Node[], { members, place }: Run): Goal {
  const among = new Set(members);
  return rebuild(goal, nodes, (n, at) => {
    if (!among.has(n)) return undefined;
    if (n !== place) return [];
    const made = Node.list(members, place.op.lists!(place)!, at, place);
    return members.flatMap((m) => m.outputs).map((t, i) => [t, made.outputs[i]] as const);
  });
}

/** Where a node comes in the order of the trace, which is that of the run among frozen nodes and among the others; leaves are always there. */
function positions(goal: Goal): (n: Node) => number {
  const position = new Map(traceOrder(goal).map((n, i) => [n, i]));
  return (n) => position.get(n) ?? -1;
}

const bytesOf = ({ inputs, outputs }: Node): number => [...inputs, ...outputs].reduce((sum, t) => sum + t.bytes, 0);

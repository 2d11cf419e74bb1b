import type { NativeProgram, NativeRef } from "../native/addon.ts";
import { BayesError } from "../util/errors.ts";
import { newArray } from "../util/memory.ts";
import { aligned, type Claim, planMemory } from "./memory.ts";
import { type Attrs, type Node, type Op, type Tensor, topo } from "./node.ts";
import type { Store } from "./store.ts";

const space = { arena: 0, store: 1, feed: 2, result: 3, none: 4 } as const;
const dtype = { f32: 0, i32: 1, u8: 2 } as const;
/** An output nobody reads: a kernel may still ask for its shape. */
const none = (t: Tensor): NativeRef => ({
  dtype: dtype[t.dtype],
  space: space.none,
  index: 0,
  offset: 0,
  shape: t.shape,
});

/** Copies any tensor into a result that cannot be computed in place. */
const copyOp: Op = { name: "copy", infer: ([x]) => [x] };

export interface PlannedStep {
  readonly node: Node | undefined;
  readonly op: string;
  readonly flops: number;
  /** Bytes read and written, each operand once. */
  readonly bytes: number;
}

export interface Planned {
  readonly native: NativeProgram;
  readonly steps: readonly PlannedStep[];
  /** The constants' bytes, to be written to store buffer `constantsIndex` before the first run. */
  readonly constants: Uint8Array;
  readonly claims: readonly (Claim & { readonly offset: number })[];
}

export interface PlanInput {
  readonly inputs: ReadonlyMap<string, Tensor>;
  readonly outputs: ReadonlyMap<string, Tensor>;
  readonly effects: readonly Node[];
  /** Whose slots the program reads and writes. */
  readonly store: Store;
  /** Store buffer that will hold the constants. */
  readonly allocConstants: (bytes: number) => number;
}

interface Buffer {
  readonly bytes: number;
  readonly from: number;
  to: number;
  result: number | undefined;
  offset: number;
}

/** Orders the nodes (effects last), gives every intermediate a place in one arena, and writes the flat program. */
export function planProgram({ inputs, outputs, effects, store, allocConstants }: PlanInput): Planned {
  const all = topo([...outputs.values(), ...effects.flatMap((n) => n.inputs)]).filter((n) => !n.leaf);
  const late = (n: Node): number => (n.op.mutates ? 2 : n.op.guard ? 1 : 0);
  const order = [...new Set([...all, ...effects])].sort((a, b) => late(a) - late(b) || a.id - b.id);
  checkOrder(order);
  checkOwn(store, order, outputs.values());

  // last reader of every tensor's memory; a view shares its input's
  const base = (t: Tensor): Tensor => (t.node.op.view ? base(t.node.inputs[0]) : t);
  const lastUse = new Map<Tensor, number>();
  order.forEach((n, step) => {
    for (const i of n.inputs) lastUse.set(base(i), step);
  });

  // buffers: one per tensor that is neither leaf nor view, unless an elementwise op can take over its input's
  const buffers: Buffer[] = [];
  const bufferOf = new Map<Tensor, Buffer>();
  const results = [...outputs.values()];
  const direct = new Map<Tensor, number>(); // tensors that are computed straight into a result
  results.forEach((t, k) => {
    if (!t.node.leaf && !t.node.op.view && !direct.has(t)) direct.set(t, k);
  });
  const resultBases = new Set(results.map(base));
  const used = (t: Tensor): boolean => lastUse.has(t) || resultBases.has(t);
  order.forEach((n, step) => {
    if (n.op.view) return;
    n.outputs.forEach((o, k) => {
      if (!used(o)) return;
      const reuse = k === 0 && !direct.has(o) ? takeOver(n, o, step) : undefined;
      const buffer = reuse ?? { bytes: o.bytes, from: step, to: step, result: direct.get(o), offset: 0 };
      if (!reuse) buffers.push(buffer);
      buffer.to = Math.max(buffer.to, resultBases.has(o) ? order.length : (lastUse.get(o) ?? step));
      bufferOf.set(o, buffer);
    });
  });
  function takeOver(n: Node, o: Tensor, step: number): Buffer | undefined {
    for (const i of n.op.inplace ?? []) {
      const x = n.inputs[i];
      const buffer = x && bufferOf.get(base(x));
      if (
        buffer &&
        buffer.result === undefined &&
        buffer.to === step &&
        x.bytes === o.bytes &&
        !resultBases.has(base(x))
      )
        return buffer;
    }
    return undefined;
  }
  const arena = buffers.filter((b) => b.result === undefined);
  const memory = planMemory(arena);
  arena.forEach((b, i) => {
    b.offset = memory.offsets[i];
  });

  const feedIndex = new Map([...inputs.values()].map((t, i) => [t.node, i]));
  const constants = new Map<Node, number>();
  let constantBytes = 0;
  for (const n of topo([...results, ...order.flatMap((m) => m.inputs)]))
    if (n.leaf?.kind === "constant") {
      constants.set(n, constantBytes);
      constantBytes += aligned(n.outputs[0].bytes);
    }
  const constantsIndex = constantBytes ? allocConstants(constantBytes) : -1;

  function ref(t: Tensor): NativeRef {
    const of = { dtype: dtype[t.dtype], shape: t.shape };
    const root = base(t);
    const { leaf } = root.node;
    if (leaf?.kind === "input")
      return { ...of, space: space.feed, index: need(feedIndex.get(root.node), leaf.name), offset: 0 };
    if (leaf?.kind === "store") return { ...of, space: space.store, index: store.bufferOf(leaf.of.slot), offset: 0 };
    if (leaf) return { ...of, space: space.store, index: constantsIndex, offset: constants.get(root.node)! };
    const b = bufferOf.get(root);
    if (!b) return none(t);
    return b.result !== undefined
      ? { ...of, space: space.result, index: b.result, offset: 0 }
      : { ...of, space: space.arena, index: 0, offset: b.offset };
  }

  const steps: PlannedStep[] = [];
  const native: NativeProgram["steps"][number][] = [];
  for (const n of order) {
    if (n.op.view) continue;
    native.push({
      op: n.op.name,
      inputs: n.inputs.map(ref),
      outputs: n.outputs.map(ref),
      attrs: numeric(n.attrs),
      commits: n.op.mutates !== undefined,
    });
    const moved = [...n.inputs, ...n.outputs.filter(used)].reduce((sum, t) => sum + t.bytes, 0);
    steps.push({ node: n, op: n.op.name, flops: n.op.flops?.(n) ?? 0, bytes: moved });
  }
  results.forEach((t, k) => {
    if (direct.get(t) === k) return;
    const to: NativeRef = { dtype: dtype[t.dtype], shape: t.shape, space: space.result, index: k, offset: 0 };
    native.push({ op: copyOp.name, inputs: [ref(t)], outputs: [to], attrs: {}, commits: false });
    steps.push({ node: undefined, op: copyOp.name, flops: 0, bytes: 2 * t.bytes });
  });

  const bytes = newArray("compile", "u8", constantBytes);
  for (const [n, at] of constants) {
    const { data } = n.leaf as { data: Float32Array };
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
  }
  return {
    native: {
      steps: native,
      feedBytes: [...inputs.values()].map((t) => t.bytes),
      resultBytes: results.map((t) => t.bytes),
      arenaBytes: memory.bytes,
    },
    steps,
    constants: bytes,
    claims: arena.map((b) => ({ bytes: b.bytes, from: b.from, to: b.to, offset: b.offset })),
  };
}

/** Throws unless every slot that is read or written is the program's own store's, as the store has it now. */
function checkOwn(store: PlanInput["store"], order: readonly Node[], results: Iterable<Tensor>): void {
  const check = ({ node: { leaf } }: Tensor, reader: string): void => {
    if (leaf?.kind !== "store") return;
    const { store: theirs, slot } = leaf.of;
    if (theirs !== store)
      throw new BayesError(
        `[compile] expected only tensors of the program's own store, received ${leaf.name} of another, read by ${reader}`,
      );
    if (theirs.slots.get(leaf.name) !== slot)
      throw new BayesError(
        `[compile] expected a tensor of ${leaf.name} as it is now, received one of before it was deleted, read by ${reader}`,
      );
  };
  for (const n of order) for (const t of n.inputs) check(t, n.describe());
  for (const t of results) check(t, "the caller");
}

function need(index: number | undefined, name: string): number {
  if (index === undefined)
    throw new BayesError(`[compile] expected only inputs of this program, received '${name}' of another`);
  return index;
}

/** Effects come last, so nothing may read what only exists after one. */
function checkOrder(order: readonly Node[]): void {
  const position = new Map(order.map((n, i) => [n, i]));
  for (const n of order)
    for (const i of n.inputs)
      if (!i.node.leaf && position.get(i.node)! > position.get(n)!)
        throw new BayesError(
          `[compile] ${n.describe()} reads the result of ${i.node.describe()}, which runs at the end of the step`,
        );
}

function numeric(attrs: Attrs): Record<string, number[]> {
  return Object.fromEntries(Object.entries(attrs).map(([k, v]) => [k, Array.isArray(v) ? [...v] : [Number(v)]]));
}

/** The program in words, one line a step: for people, and for tests that a refactoring changes nothing. */
export function printProgram(p: Planned): string {
  const spaces = ["arena", "store", "feed", "result", "-"];
  const show = (r: NativeRef): string =>
    r.space === space.none
      ? "-"
      : `${spaces[r.space]}${r.space === space.arena ? `+${r.offset}` : `${r.index}`}[${r.shape.join(",")}]`;
  const lines = p.native.steps.map((s, i) => {
    const attrs = Object.entries(s.attrs).map(([k, v]) => ` ${k}=${v.join(",")}`);
    const layer = p.steps[i].node?.layer;
    return `${s.outputs.map(show).join(" ")} = ${s.op}(${s.inputs.map(show).join(", ")})${attrs.join("")}${layer ? `  # ${layer}` : ""}`;
  });
  return `${lines.join("\n")}\narena ${p.native.arenaBytes} bytes\n`;
}

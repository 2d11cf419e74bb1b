import type { NativeProgram, NativeRef } from "../native/addon.ts";
import { BayesError } from "../util/errors.ts";
import { newArray } from "../util/memory.ts";
import { Buffers, base, directResults } from "./buffers.ts";
import { aligned, type Claim, planMemory } from "./memory.ts";
import type { Attrs, Node, Tensor } from "./node.ts";
import type { Store } from "./store.ts";
import { runOrder, topo } from "./walk.ts";

const space = { arena: 0, store: 1, feed: 2, result: 3, none: 4 } as const;
const dtype = { f32: 0, i32: 1, u8: 2 } as const;
/** The planner's own op. */
const COPY = "copy";

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

/** Orders the nodes (effects last), gives every intermediate a place in one arena, and writes the flat program. */
export function planProgram({ inputs, outputs, effects, store, allocConstants }: PlanInput): Planned {
  const order = runOrder({ outputs, effects });
  checkOrder(order);
  checkOwn(store, order, outputs.values());
  const { alignment } = store.device;
  const results = [...outputs.values()];
  const direct = directResults(results);
  const buffers = new Buffers(order, results, direct);
  const arena = buffers.all.filter((b) => b.result === undefined);
  const memory = planMemory(arena, alignment);
  arena.forEach((b, i) => {
    b.offset = memory.offsets[i];
  });
  const constants = constantsOf([...results, ...order.flatMap((n) => n.inputs)], alignment);
  const constantsIndex = constants.bytes.length ? allocConstants(constants.bytes.length) : -1;
  const feeds = new Map([...inputs.values()].map((t, i) => [t.node, i]));
  const ref = (t: Tensor): NativeRef => {
    const of = { dtype: dtype[t.dtype], shape: t.shape, offset: 0 };
    const root = base(t);
    const { leaf } = root.node;
    if (leaf?.kind === "input") return { ...of, space: space.feed, index: need(feeds.get(root.node), leaf.name) };
    if (leaf?.kind === "store") return { ...of, space: space.store, index: store.bufferOf(leaf.of.slot) };
    if (leaf) return { ...of, space: space.store, index: constantsIndex, offset: constants.at.get(root.node)! };
    const b = buffers.of(root);
    if (!b) return { ...of, space: space.none, index: 0 }; // nobody reads it, but a kernel may ask for its shape
    return b.result === undefined
      ? { ...of, space: space.arena, index: 0, offset: b.offset }
      : { ...of, space: space.result, index: b.result };
  };
  const planned = [
    ...order.flatMap((n) => (n.op.view ? [] : [stepOf(n, ref, buffers)])),
    ...results.flatMap((t, k) => (direct.get(t) === k ? [] : [copyOf(t, ref(t), k)])),
  ];
  return {
    native: {
      steps: planned.map((p) => p.native),
      feedBytes: [...inputs.values()].map((t) => t.bytes),
      resultBytes: results.map((t) => t.bytes),
      arenaBytes: memory.bytes,
    },
    steps: planned.map((p) => p.step),
    constants: constants.bytes,
    claims: arena.map((b) => ({ bytes: b.bytes, from: b.from, to: b.to, offset: b.offset })),
  };
}

/** The constants that these tensors need, one behind the other. */
function constantsOf(
  read: readonly Tensor[],
  alignment: number,
): { readonly at: ReadonlyMap<Node, number>; readonly bytes: Uint8Array } {
  const at = new Map<Node, number>();
  let size = 0;
  for (const n of topo(read))
    if (n.leaf?.kind === "constant") {
      at.set(n, size);
      size += aligned(n.outputs[0].bytes, alignment);
    }
  const bytes = newArray("compile", "u8", size);
  for (const [n, from] of at) {
    const { data } = n.leaf as { data: Float32Array };
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), from);
  }
  return { at, bytes };
}

/** A step as the device gets it, and as the report shows it. */
interface Step {
  readonly native: NativeProgram["steps"][number];
  readonly step: PlannedStep;
}

function stepOf(n: Node, ref: (t: Tensor) => NativeRef, buffers: Buffers): Step {
  const { op, inputs, outputs } = n;
  const bytes = [...inputs, ...outputs.filter((o) => buffers.used(o))].reduce((sum, t) => sum + t.bytes, 0);
  const flops = (n.members ?? [n]).reduce((sum, m) => sum + (op.flops?.(m) ?? 0), 0);
  return {
    native: {
      op: op.name,
      inputs: inputs.map(ref),
      outputs: outputs.map(ref),
      attrs: numeric(n.attrs),
      commits: op.mutates !== undefined,
    },
    step: { node: n, op: op.name, flops, bytes },
  };
}

/** Copies a tensor that cannot be computed in place into result `k`. */
function copyOf(t: Tensor, from: NativeRef, k: number): Step {
  const to: NativeRef = { ...from, space: space.result, index: k, offset: 0 };
  return {
    native: { op: COPY, inputs: [from], outputs: [to], attrs: {}, commits: false },
    step: { node: undefined, op: COPY, flops: 0, bytes: 2 * t.bytes },
  };
}

/** Throws unless every slot that is read or written is the program's own store's, as the store has it now. */
function checkOwn(store: PlanInput["store"], order: readonly Node[], results: Iterable<Tensor>): void {
  const check = ({ node: { leaf } }: Tensor, reader?: Node): void => {
    if (leaf?.kind !== "store") return;
    const { store: theirs, slot } = leaf.of;
    if (theirs === store && theirs.slots.get(leaf.name) === slot) return;
    const by = `read by ${reader?.describe() ?? "the caller"}`;
    if (theirs !== store)
      throw new BayesError(
        `[compile] expected only tensors of the program's own store, received ${leaf.name} of another, ${by}`,
      );
    throw new BayesError(
      `[compile] expected a tensor of ${leaf.name} as it is now, received one of before it was deleted, ${by}`,
    );
  };
  for (const n of order) for (const t of n.inputs) check(t, n);
  for (const t of results) check(t);
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

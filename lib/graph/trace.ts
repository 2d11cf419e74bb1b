import type { Data } from "../native/addon.ts";
import { checkPrecision, PRECISIONS, type Precision } from "../native/device.ts";
import { BayesError, checkInt, checkOptions, fail } from "../util/errors.ts";
import { type Attrs, leaf, makeNode, type Node, type Op, type Shape, Tensor, type TensorType } from "./node.ts";
import { roleOf } from "./roles.ts";
import { Store } from "./store.ts";
import type { Values } from "./values.ts";

/**
 * How stochastic layers behave in a trace: `mean` uses the posterior means and draws nothing; `sample` draws one value
 * per example and Monte-Carlo sample.
 */
export type Mode = "mean" | "sample";

/** What a stochastic op needs to draw its noise (see util/philox.ts). */
export interface Noise {
  /** i32[4]: seed low, seed high, step, first Monte-Carlo sample. */
  readonly rng: Tensor;
  /** i32[B]: the example row of each batch item. */
  readonly rows: Tensor;
  /** Ordinal of the stochastic node. */
  readonly stream: number;
  /** Monte-Carlo samples in this launch. */
  readonly samples: number;
}

/** The state of one run of a model function. */
export interface Trace {
  readonly store: Store;
  readonly training: boolean;
  readonly mode: Mode;
  readonly samples: number;
  readonly noise: { readonly rng: Tensor; readonly rows: Tensor } | undefined;
  readonly parameters: Map<string, Tensor>;
  readonly effects: Node[];
  /** @internal How often each stochastic node has drawn. */
  readonly draws: Map<string, number>;
  readonly seed: number;
  readonly precision: Precision;
  /** @internal What the layers keep in it: the trace carries that and knows nothing of it. */
  context: unknown;
}

export interface TraceOptions {
  readonly store: Store;
  /** Training-time behaviour of batch norm and dropout. */
  readonly training?: boolean;
  readonly mode?: Mode;
  readonly samples?: number;
  readonly noise?: { readonly rng: Tensor; readonly rows: Tensor };
  /** Seed of parameter initialisation. */
  readonly seed?: number;
  /** Default: that of the trace around this one, else "fp32". */
  readonly precision?: Precision;
  /** What layers are told: {@link layerContext}. Default: nothing. */
  readonly context?: () => unknown;
}

let current: Trace | undefined;
const all = new WeakSet<Trace>();

/** Whether that is a trace: {@link withTrace} made it. */
export const isTrace = (value: unknown): value is Trace => all.has(value as Trace);

/** The trace under way. Throws outside of a model function. */
export function trace(): Trace {
  if (!current)
    throw new BayesError("[trace] expected to be called inside a model function or compile(), received a call outside");
  return current;
}

const traceKinds = {
  store: "object",
  training: "boolean",
  mode: "string",
  samples: "number",
  noise: "object",
  seed: "number",
  precision: "string",
  context: "function",
};

/** A checked copy of the options of a trace: of what the caller holds nothing is read again. */
export function checkTraceOptions(where: string, options: TraceOptions): TraceOptions {
  const { store, mode, noise, ...rest } = checkOptions<TraceOptions>(where, options, traceKinds);
  if (!(store instanceof Store)) fail(where, "options with a store", options);
  if (mode !== undefined && mode !== "mean" && mode !== "sample") fail(where, 'mode "mean" or "sample"', mode);
  if (rest.samples !== undefined) checkInt(where, "samples", rest.samples, 1, 65536);
  if (rest.seed !== undefined) checkInt(where, "the seed", rest.seed, 0);
  checkPrecision(where, rest.precision, store.device);
  const { rng, rows } = noise ?? {};
  for (const t of noise ? [rng, rows] : [])
    if (!Tensor.is(t)) fail(where, "noise as two traced tensors, rng and rows", t);
  return { store, mode, noise: noise && { rng: rng!, rows: rows! }, ...rest };
}

/**
 * Runs `build` as one trace and returns its result together with what the layers recorded. Slots that it defines are made
 * when it has returned, all together; where it throws there is none of them.
 */
export function withTrace<T>(options: TraceOptions, build: () => T): { value: T; trace: Trace } {
  const { store, training = false, mode = "mean", samples = 1, noise, ...more } = checkTraceOptions("trace", options);
  const before = current;
  if (before && before.store !== store)
    throw new BayesError(
      "[trace] expected every model of one program to live in the program's store, received a model with another store",
    );
  const mine: Trace = {
    store,
    training,
    mode,
    samples,
    noise,
    parameters: new Map(),
    effects: before?.effects ?? [],
    draws: new Map(),
    seed: more.seed ?? 0,
    precision: more.precision ?? before?.precision ?? "fp32",
    context: more.context?.(),
  };
  all.add(mine);
  return { value: store.together(() => within(mine, build)), trace: mine };
}

/** Runs `work` as a part of that trace. */
function within<T>(trace: Trace, work: () => T): T {
  const before = current;
  current = trace;
  try {
    return work();
  } finally {
    current = before;
  }
}

/** The {@link Precision} as an attribute of the nodes that multiply; their gradients inherit it. */
export const arithmetic = (): { readonly precision: number } => ({
  precision: PRECISIONS.indexOf(current?.precision ?? "fp32"),
});

let sharing = false;
/** Whether the layer under way uses parameters again. Returns what was said before. */
export function setSharing(share: boolean): boolean {
  const before = sharing;
  sharing = share;
  return before;
}

/**
 * A parameter of the model, made on the first trace and found by name on later ones.
 * @param init first contents, asked once, at the end of the trace
 * @param options trainable (default true); share (default false): it is the parameter of that name that this trace has
 * already, once more; values (default "finite"): what it may hold
 * @throws BayesError for a name that this trace has already (unless it is to be shared), or that the library keeps for itself
 */
export function parameter(
  name: string,
  shape: Shape,
  init: () => Data,
  options: { readonly trainable?: boolean; readonly share?: boolean; readonly values?: Values } = {},
): Tensor {
  const t = trace();
  const {
    trainable = true,
    share = sharing,
    values,
  } = checkOptions("parameter", options, { trainable: "boolean", share: "boolean", values: "string" });
  if (typeof name !== "string" || name === "" || roleOf(name).role)
    fail("parameter", "a name, none that begins with mask/, optimizer/ or data/", name);
  const before = t.parameters.get(name);
  if (before && !share)
    throw new BayesError(
      `[parameter ${name}] expected a name of its own, or share: true to use that parameter again, received the name of one made by ${before.node.describe()}`,
    );
  if (typeof init !== "function") fail(`parameter ${name}`, "a function that makes the first contents", init);
  const slot = t.store.define(name, shape, { trainable, values, init: () => within(t, init) });
  const p = before ?? t.store.tensor(slot.name);
  t.parameters.set(name, p);
  return p;
}

/**
 * Records something to be done at the end of the step: an optimizer update, a running statistic, a guard.
 * @throws BayesError where it would write into anything but slots of the program's own store, each once
 */
export function effect<A extends Attrs>(op: Op<A>, inputs: readonly Tensor[], attrs: A): void {
  const t = trace();
  const node = makeNode(op, inputs, attrs);
  const written = new Set<string>();
  const uses = new Map<Tensor, number>();
  for (const t of node.inputs) uses.set(t, (uses.get(t) ?? 0) + 1);
  for (const i of op.mutates?.(node) ?? []) {
    const name = checkWritten(op.name, node.inputs[i], t.store);
    if (written.has(name)) fail(op.name, "every parameter once", name);
    if (uses.get(node.inputs[i])! > 1)
      throw new BayesError(
        `[${op.name}] expected values of their own beside ${name}, which is written, received itself`,
      );
    written.add(name);
  }
  t.effects.push(node as unknown as Node);
}

/** Throws unless a step may write into `t`: a slot of that store, itself. Returns its name. */
export function checkWritten(where: string, t: Tensor, store: Store): string {
  const { leaf } = t.node;
  if (leaf?.kind === "store" && leaf.of.store === store) return leaf.name;
  const what =
    leaf === undefined
      ? `the result of ${t.node.describe()}`
      : leaf.kind === "store"
        ? `${leaf.name} of another store`
        : leaf.kind === "input"
          ? `the input ${leaf.name}`
          : "a constant";
  throw new BayesError(
    `[${where}] expected parameters and moments of the program's own store, which are written in place, received ${what}`,
  );
}

/**
 * The noise of the stochastic node `name`; its stream is the ordinal at which this store first saw the name. A layer that
 * is used again draws anew, as "name@1", "name@2", …; the weights' own noise is `shared`: one draw, however often it is used.
 */
export function noiseFor(name: string, shared = false): Noise {
  const t = trace();
  if (typeof name !== "string") fail("noise", "the name of a stochastic node", name);
  const use = shared ? 0 : (t.draws.get(name) ?? 0);
  t.draws.set(name, use + 1);
  return noiseOf(use === 0 ? name : `${name}@${use}`);
}

/** Whether anything in that trace has drawn noise. */
export const drewNoise = ({ draws }: Trace): boolean => draws.size > 0;

function noiseOf(name: string): Noise {
  const t = trace();
  if (!t.noise)
    throw new BayesError(
      `[${name}] expected a trace with noise inputs for a stochastic layer, received mode "${t.mode}" without`,
    );
  return { ...t.noise, stream: t.store.streamOf(name), samples: t.samples };
}

export const input = (name: string, type: TensorType): Tensor => leaf(type, { kind: "input", name });

import type { Prior } from "../bayes/prior.ts";
import { type BayesSettings, settings } from "../bayes/settings.ts";
import { BayesError, checkInt, checkOptions, fail } from "../errors.ts";
import type { Data } from "../native/addon.ts";
import { copyList } from "../util/arrays.ts";
import {
  type Attrs,
  inLayer,
  leaf,
  makeNode,
  type Node,
  type Op,
  type Shape,
  Tensor,
  type TensorType,
} from "./node.ts";
import { userSite } from "./site.ts";
import { Store } from "./store.ts";
import type { Values } from "./values.ts";

/**
 * How stochastic layers behave in a trace: `mean` uses the posterior means and draws nothing; `sample` draws one value
 * per example and Monte-Carlo sample.
 */
export type Mode = "mean" | "sample";

/**
 * Arithmetic of convolutions and linear layers, their gradients too: `bf16` rounds both operands of every product to
 * bfloat16 and sums in float32. Parameters, activations, biases, noise, losses and updates are float32 in either.
 */
export type Precision = "fp32" | "bf16";

/** Throws unless `value` is a {@link Precision} or undefined. Returns it. */
export function checkPrecision(where: string, value: unknown): Precision | undefined {
  if (value === undefined || value === "fp32" || value === "bf16") return value;
  return fail(where, 'precision "fp32" or "bf16"', value);
}

/** What a stochastic op needs to draw its noise (see docs/design.md, "Noise is a function"). */
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

/** One KL term of the objective, from one layer. */
export interface KlTerm {
  readonly layer: string;
  readonly value: Tensor;
  readonly prior: Prior;
}

/** The first use of a layer in a trace: what another one of its name is compared with. */
interface LayerUse {
  readonly kind: string;
  readonly site: string | undefined;
  /** How it treats its weights, where that is part of what is shared. */
  readonly treatment: string;
}

/** How a layer is called, and whether another one may have that name. */
export interface LayerOptions {
  /** Name in checkpoints and errors; default: kind and ordinal ("conv2d_0"). A name belongs to one layer. */
  readonly name?: string;
  /**
   * This is the layer of that name once more: with the same parameters, whose KL counts once. Default false, and a name
   * that is taken is an error. Local noise is drawn anew for each use; weights that are drawn are one draw for all.
   */
  readonly share?: boolean;
}

/** The kinds of {@link LayerOptions}, for `checkOptions`. */
export const layerKinds = { name: "string", share: "boolean" };

/** The state of one run of a model function. */
export interface Trace {
  readonly store: Store;
  readonly training: boolean;
  readonly mode: Mode;
  readonly samples: number;
  readonly noise: { readonly rng: Tensor; readonly rows: Tensor } | undefined;
  readonly parameters: Map<string, Tensor>;
  readonly kl: KlTerm[];
  readonly effects: Node[];
  readonly counters: Map<string, number>;
  /** @internal The layers so far, by name. */
  readonly layers: Map<string, LayerUse>;
  readonly seed: number;
  /** How Bayesian layers treat their weights unless they say otherwise. */
  readonly bayes: BayesSettings;
  /** See {@link TraceOptions}. */
  readonly bayesianLayers: boolean | readonly string[] | undefined;
  readonly frozen: readonly string[];
  readonly precision: Precision;
  /** @internal How many filters or units layers have left, where those are fewer than their function says. */
  readonly widths: Widths;
  /** @internal Layers that take their number of filters from there, and how many their function says. */
  readonly declared: Map<string, number>;
}

/** Filters or units by the layer's name, of a model that was shrunk. */
export type Widths = Readonly<Record<string, number>>;

export interface TraceOptions {
  readonly store: Store;
  /** Training-time behaviour of batch norm and dropout. */
  readonly training?: boolean;
  readonly mode?: Mode;
  readonly samples?: number;
  readonly noise?: { readonly rng: Tensor; readonly rows: Tensor };
  /** Seed of parameter initialisation. */
  readonly seed?: number;
  readonly bayes?: BayesSettings;
  /**
   * Layers whose weights have a posterior, whatever their function is called: all of them, none, or those named ("stage1" is
   * also what is below it, "stage1/block1/conv1"). Default: as the function says, `bayesLinear` or `linear`.
   */
  readonly bayesianLayers?: boolean | readonly string[];
  /** Layers, named like that, that training leaves as they are: their norms go by the running statistics, which stay. */
  readonly frozen?: readonly string[];
  /** Default: that of the trace around this one, else "fp32". */
  readonly precision?: Precision;
  /** @internal See {@link widthOf}. */
  readonly widths?: Widths;
}

let current: Trace | undefined;

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
  bayes: "object",
  bayesianLayers: "boolean|object",
  frozen: "object",
  precision: "string",
  widths: "object",
};

/** A checked copy of the options of a trace: of what the caller holds nothing is read again. */
export function checkTraceOptions(where: string, options: TraceOptions): TraceOptions {
  const {
    store,
    mode,
    noise,
    bayes,
    bayesianLayers,
    frozen = [],
    ...rest
  } = checkOptions<TraceOptions>(where, options, traceKinds);
  if (!(store instanceof Store)) fail(where, "options with a store", options);
  if (mode !== undefined && mode !== "mean" && mode !== "sample") fail(where, 'mode "mean" or "sample"', mode);
  if (rest.samples !== undefined) checkInt(where, "samples", rest.samples, 1, 65536);
  if (rest.seed !== undefined) checkInt(where, "the seed", rest.seed, 0);
  checkPrecision(where, rest.precision);
  const { rng, rows } = noise ?? {};
  for (const t of noise ? [rng, rows] : [])
    if (!Tensor.is(t)) fail(where, "noise as two traced tensors, rng and rows", t);
  const drawn = noise && { rng: rng!, rows: rows! };
  const bayesian =
    typeof bayesianLayers === "object" ? copyList(where, "bayesianLayers", bayesianLayers) : bayesianLayers;
  return {
    store,
    mode,
    noise: drawn,
    bayes: bayes && settings(bayes),
    bayesianLayers: bayesian,
    frozen: copyList(where, "frozen", frozen),
    ...rest,
  };
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
    kl: [],
    effects: before?.effects ?? [],
    counters: new Map(),
    layers: new Map(),
    seed: more.seed ?? 0,
    bayes: more.bayes ?? settings(),
    bayesianLayers: more.bayesianLayers,
    frozen: more.frozen ?? [],
    precision: more.precision ?? before?.precision ?? "fp32",
    widths: more.widths ?? {},
    declared: new Map(),
  };
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
export const arithmetic = (): { readonly bf16: number } => ({ bf16: current?.precision === "bf16" ? 1 : 0 });

/**
 * Runs a layer under its name: the given one, or kind and ordinal ("conv2d_0").
 * @param treatment how it treats its weights: has to be the same in every use
 * @throws BayesError for a name that another layer has (unless it is asked for), or one to share that no layer like it has
 */
export function scope<T>(
  kind: string,
  { name, share = false }: LayerOptions,
  build: (name: string) => T,
  treatment = "",
): T {
  const t = trace();
  const ordinal = t.counters.get(kind) ?? 0;
  t.counters.set(kind, ordinal + 1);
  if (name !== undefined && (typeof name !== "string" || !/^[^\s[\]]+$/.test(name)))
    fail(kind, "a name without spaces or brackets", name);
  const unique = name ?? `${kind}_${ordinal}`;
  const site = userSite();
  const here = `[${kind} ${unique}${site ? ` at ${site}` : ""}]`;
  const first = t.layers.get(unique);
  if (share && !first)
    throw new BayesError(`${here} expected to share the parameters of a layer of that name before it, received none`);
  if (first && !share)
    throw new BayesError(
      `${here} expected a name of its own, or share: true to use the same parameters again, received the name of the ${first.kind} at ${first.site ?? "an unknown line"}`,
    );
  if (first && (first.kind !== kind || first.treatment !== treatment))
    throw new BayesError(
      `${here} expected to share with ${[first.kind, first.treatment].filter(Boolean).join(", ")} at ${first.site ?? "an unknown line"}, received ${[kind, treatment].filter(Boolean).join(", ")}`,
    );
  if (!first) t.layers.set(unique, { kind, site, treatment });
  const around = sharing;
  sharing = share;
  try {
    return inLayer(unique, () => build(unique));
  } finally {
    sharing = around;
  }
}

/**
 * How many filters or units a layer has: as many as its function says, or what shrinking has left of them. The layers after
 * it follow by themselves, for they take the number of their inputs from the tensor that they are given.
 */
export function widthOf(layer: string, declared: number): number {
  const t = trace();
  t.declared.set(layer, declared);
  if (!Object.hasOwn(t.widths, layer)) return declared;
  return checkInt(layer, "its width, in place of the model function's,", t.widths[layer], 1, declared);
}

let sharing = false; // whether the layer under way uses parameters again

/** Names that begin so in a store are those of masks, moments and resident data. */
const RESERVED = /^(mask|optimizer|data)\//;

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
  if (typeof name !== "string" || name === "" || RESERVED.test(name))
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
  for (const i of op.mutates?.(node) ?? []) {
    const name = checkWritten(op.name, node.inputs[i], t.store);
    if (written.has(name)) fail(op.name, "every parameter once", name);
    if (node.inputs.some((t, k) => k !== i && t === node.inputs[i]))
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
  const key = `${NOISE}${name}`;
  const use = shared ? 0 : (t.counters.get(key) ?? 0);
  t.counters.set(key, use + 1);
  return noiseOf(use === 0 ? name : `${name}@${use}`);
}

const NOISE = "noise of ";

/** Whether anything in that trace has drawn noise. */
export const drewNoise = ({ counters }: Trace): boolean => [...counters.keys()].some((key) => key.startsWith(NOISE));

function noiseOf(name: string): Noise {
  const t = trace();
  if (!t.noise)
    throw new BayesError(
      `[${name}] expected a trace with noise inputs for a stochastic layer, received mode "${t.mode}" without`,
    );
  return { ...t.noise, stream: t.store.streamOf(name), samples: t.samples };
}

export const input = (name: string, type: TensorType): Tensor => leaf(type, { kind: "input", name });

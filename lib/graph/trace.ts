import type { Prior } from "../bayes/prior.ts";
import { type BayesSettings, settings } from "../bayes/settings.ts";
import { BayesError, fail } from "../errors.ts";
import type { Data } from "../native/addon.ts";
import {
  type Attrs,
  applyEffect,
  inLayer,
  leaf,
  type Node,
  type Op,
  type Shape,
  type Tensor,
  type TensorType,
} from "./node.ts";
import { userSite } from "./site.ts";
import type { Store } from "./store.ts";

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
  readonly precision: Precision;
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
  readonly bayes?: BayesSettings;
  /** Default: that of the trace around this one, else "fp32". */
  readonly precision?: Precision;
}

let current: Trace | undefined;

/** The trace under way. Throws outside of a model function. */
export function trace(): Trace {
  if (!current)
    throw new BayesError("[trace] expected to be called inside a model function or compile(), received a call outside");
  return current;
}

/** Runs `build` as one trace and returns its result together with what the layers recorded. */
export function withTrace<T>(options: TraceOptions, build: () => T): { value: T; trace: Trace } {
  const before = current;
  if (before && before.store !== options.store)
    throw new BayesError(
      "[trace] expected every model of one program to live in the program's store, received a model with another store",
    );
  const precision = checkPrecision("trace", options.precision) ?? before?.precision ?? "fp32";
  const mine: Trace = {
    store: options.store,
    training: options.training ?? false,
    mode: options.mode ?? "mean",
    samples: options.samples ?? 1,
    noise: options.noise,
    parameters: new Map(),
    kl: [],
    effects: before?.effects ?? [],
    counters: new Map(),
    layers: new Map(),
    seed: options.seed ?? 0,
    bayes: options.bayes ?? settings(),
    precision,
  };
  current = mine;
  try {
    return { value: build(), trace: mine };
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

let sharing = false; // whether the layer under way uses parameters again

/** Names that begin so in a store are those of masks, moments and resident data. */
const RESERVED = /^(mask|optimizer|data)\//;

/**
 * A parameter of the model, made on the first trace and found by name on later ones.
 * @param init first contents, asked once
 * @param options trainable (default true); share (default false): it is the parameter of that name that this trace has
 * already, once more
 * @throws BayesError for a name that this trace has already (unless it is to be shared), or that the library keeps for itself
 */
export function parameter(
  name: string,
  shape: Shape,
  init: () => Data,
  { trainable = true, share = sharing }: { readonly trainable?: boolean; readonly share?: boolean } = {},
): Tensor {
  const t = trace();
  if (typeof name !== "string" || name === "" || RESERVED.test(name))
    fail("parameter", "a name, none that begins with mask/, optimizer/ or data/", name);
  const before = t.parameters.get(name);
  if (before && !share)
    throw new BayesError(
      `[parameter ${name}] expected a name of its own, or share: true to use that parameter again, received the name of one made by ${before.node.describe()}`,
    );
  const slot = t.store.define(name, shape, { trainable, init });
  const p = before ?? t.store.tensor(slot.name);
  t.parameters.set(name, p);
  return p;
}

/** Records something to be done at the end of the step: an optimizer update, a running statistic, a guard. */
export function effect<A extends Attrs>(op: Op<A>, inputs: readonly Tensor[], attrs: A): void {
  trace().effects.push(applyEffect(op, inputs, attrs) as unknown as Node);
}

/**
 * The noise of the stochastic node `name`; its stream is the ordinal at which this store first saw the name. A layer that
 * is used again draws anew, as "name@1", "name@2", …; the weights' own noise is `shared`: one draw, however often it is used.
 */
export function noiseFor(name: string, shared = false): Noise {
  const t = trace();
  const key = `noise of ${name}`;
  const use = shared ? 0 : (t.counters.get(key) ?? 0);
  t.counters.set(key, use + 1);
  return noiseOf(use === 0 ? name : `${name}@${use}`);
}

function noiseOf(name: string): Noise {
  const t = trace();
  if (!t.noise)
    throw new BayesError(
      `[${name}] expected a trace with noise inputs for a stochastic layer, received mode "${t.mode}" without`,
    );
  let stream = t.store.streams.get(name);
  if (stream === undefined) {
    stream = 1 + Math.max(-1, ...t.store.streams.values());
    if (stream >= FIRST_RESERVED_STREAM)
      throw new BayesError(`[${name}] expected fewer than ${FIRST_RESERVED_STREAM} stochastic nodes`);
    t.store.streams.set(name, stream);
  }
  return { ...t.noise, stream, samples: t.samples };
}

/** Streams from here on belong to initialisation, dropout, shuffling and augmentation. */
export const FIRST_RESERVED_STREAM = 65000;

export const input = (name: string, type: TensorType): Tensor => leaf(type, { kind: "input", name });

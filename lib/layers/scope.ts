/** What the layers of a trace are told and keep: names, settings, widths, and the terms of the KL. */
import type { Prior } from "../bayes/prior.ts";
import { type BayesOptions, type BayesSettings, settings } from "../bayes/settings.ts";
import { inLayer, type Tensor } from "../graph/node.ts";
import { userSite } from "../graph/site.ts";
import { isTrace, setSharing, type Trace, trace } from "../graph/trace.ts";
import { copyList } from "../util/arrays.ts";
import { BayesError, checkInt, checkOptions, fail } from "../util/errors.ts";

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

/** Filters or units by the layer's name, of a model that was shrunk. */
export type Widths = Readonly<Record<string, number>>;

/** What the layers of a trace are told. */
export interface LayerSettings {
  /** How Bayesian layers treat their weights unless they say otherwise. */
  readonly bayes?: BayesOptions;
  /**
   * Layers whose weights have a posterior, whatever their function is called: all of them, none, or those named ("stage1" is
   * also what is below it, "stage1/block1/conv1"). Default: as the function says, `bayesLinear` or `linear`.
   */
  readonly bayesianLayers?: boolean | readonly string[];
  /** Layers, named like that, that training leaves as they are: their norms go by the running statistics, which stay. */
  readonly frozen?: readonly string[];
  /** @internal How many filters or units layers have left, where those are fewer than their function says. */
  readonly widths?: Widths;
}

const settingsKinds = { bayes: "object", bayesianLayers: "boolean|object", frozen: "object", widths: "object" };

/** What the layers keep in a trace, as its context. */
class LayerContext {
  readonly bayes: BayesSettings;
  readonly bayesianLayers: LayerSettings["bayesianLayers"];
  readonly frozen: readonly string[];
  readonly widths: Widths;
  readonly kl: KlTerm[] = [];
  /** The layers so far, by name, and how many of each kind. */
  readonly uses = new Map<string, LayerUse>();
  readonly ordinals = new Map<string, number>();
  /** Layers that take their number of filters from `widths`, and how many their function says. */
  readonly declared = new Map<string, number>();

  constructor({ bayes, bayesianLayers, frozen = [], widths = {} }: LayerSettings) {
    this.bayes = settings(bayes);
    this.bayesianLayers =
      typeof bayesianLayers === "object" ? copyList("trace", "bayesianLayers", bayesianLayers) : bayesianLayers;
    this.frozen = copyList("trace", "frozen", frozen);
    this.widths = widths;
  }
}

/**
 * What the layers of a trace are told, as the `context` of `compile`, `withTrace` and `interpret`; a model does this by itself.
 * @example
 * <!-- setup: import { compile, layerContext, Store } from "bayescnn/graph"; import { bayesLinear } from "bayescnn"; const store = new Store(); -->
 * ```ts
 * const context = layerContext({ bayes: { estimator: "weight" } });
 * const program = compile({ store, context }, { x: [8, 4] }, ({ x }) => ({ y: bayesLinear(x, 2) }));
 * ```
 */
export function layerContext(told: LayerSettings): () => unknown {
  const own = checkOptions("layerContext", told, settingsKinds);
  const make = (): unknown => new LayerContext(own);
  make(); // says now what is wrong with them
  return make;
}

/**
 * The KL terms of a trace's Bayesian layers so far, in nats, of its weights and biases: their sum, over the number of training
 * examples, belongs in the loss of a step of one's own.
 * @throws BayesError for what `withTrace` has not returned, or without one outside of a trace
 */
export function klTermsOf(t: Trace = trace()): readonly KlTerm[] {
  if (!isTrace(t)) fail("klTermsOf", "a trace, as withTrace returns it", t);
  return layersOf(t).kl;
}

/** What the layers of a trace keep in it; of one that was told nothing, the defaults. */
export function layersOf(t: Trace = trace()): LayerContext {
  if (t.context instanceof LayerContext) return t.context;
  const fresh = new LayerContext({});
  t.context = fresh;
  return fresh;
}

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
  const { ordinals, uses } = layersOf();
  const ordinal = ordinals.get(kind) ?? 0;
  ordinals.set(kind, ordinal + 1);
  if (name !== undefined && (typeof name !== "string" || !/^[^\s[\]]+$/.test(name)))
    fail(kind, "a name without spaces or brackets", name);
  const unique = name ?? `${kind}_${ordinal}`;
  const site = userSite();
  const here = `[${kind} ${unique}${site ? ` at ${site}` : ""}]`;
  const first = uses.get(unique);
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
  if (!first) uses.set(unique, { kind, site, treatment });
  const around = setSharing(share);
  try {
    return inLayer(unique, () => build(unique));
  } finally {
    setSharing(around);
  }
}

/**
 * How many filters or units a layer has: as many as its function says, or what shrinking has left of them. The layers after
 * it follow by themselves, for they take the number of their inputs from the tensor that they are given.
 */
export function widthOf(layer: string, declared: number): number {
  const layers = layersOf();
  layers.declared.set(layer, declared);
  if (!Object.hasOwn(layers.widths, layer)) return declared;
  return checkInt(layer, "its width, in place of the model function's,", layers.widths[layer], 1, declared);
}

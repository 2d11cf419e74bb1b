import { ChannelFlow, type Channels } from "../graph/channels.ts";
import { f32, i32, sizeOf } from "../graph/node.ts";
import { input, type Mode } from "../graph/trace.ts";
import { checkModel, type Model } from "../models/model.ts";

/** What a model costs. */
export interface Costs {
  /** Trainable values (a Gaussian weight has two). */
  readonly parameters: number;
  /** Weights and biases, a Gaussian one counted once: the size of the network with its means. */
  readonly weights: number;
  /** Multiply-adds of convolutions and linear layers for one image with the mean weights. A Monte-Carlo sample takes twice as many. */
  readonly multiplyAdds: number;
  readonly layers: readonly LayerCosts[];
}

export interface LayerCosts {
  readonly name: string;
  /** Of the weight: [kernel height, kernel width, channels, filters], or [inputs, units]. */
  readonly shape: readonly number[];
  readonly weights: number;
  readonly multiplyAdds: number;
}

/**
 * What a model costs, layer by layer: of layers with weights, in the order in which they run. A layer that is used twice is
 * there twice, its weights once.
 * @throws BayesError unless it is an open model without a run under way
 * @example
 * <!-- setup: import { createModel } from "bayescnn"; -->
 * ```ts
 * import { costsOf } from "bayescnn";
 *
 * using model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 });
 * const { weights, multiplyAdds } = costsOf(model); // 61,706 and 416,520
 * ```
 */
export function costsOf(model: Model): Costs {
  checkModel("costsOf", model);
  const flow = flowOf(model, "mean");
  const counted = new Set<string>();
  const layers = flow.products.map(({ node, weights, biases, multiplyAdds }): LayerCosts => {
    const own = [...weights, ...biases].filter((s) => s.trainable && !counted.has(s.name));
    for (const { name } of own) counted.add(name);
    return {
      name: node.layer ?? node.op.name,
      shape: weights[0]?.shape ?? [],
      weights: own.reduce((sum, s) => sum + sizeOf(s.shape), 0),
      multiplyAdds,
    };
  });
  const total = (of: (layer: LayerCosts) => number) => layers.reduce((sum, layer) => sum + of(layer), 0);
  const others = model.parameters.filter((s) => !/\/(rho|logAlpha)$/.test(s.name) && !counted.has(s.name));
  return {
    parameters: model.parameterCount,
    weights: total((l) => l.weights) + others.reduce((sum, s) => sum + sizeOf(s.shape), 0),
    multiplyAdds: total((l) => l.multiplyAdds),
    layers,
  };
}

/** The channels of a model, from a trace of one image. In mode "sample" its slots are all those that run over channels. */
export function flowOf(model: Model, mode: Mode): ChannelFlow {
  const image = input("x", f32([1, ...model.inputShape]));
  const noise = { rng: input("rng", i32([4])), rows: input("rows", i32([1])) };
  const { output, resizable } = model.apply(image, { mode, noise });
  return new ChannelFlow(image, output, (layer) => resizable.has(layer));
}

/** One product of numbers of channels: how often each group is along an axis, and how many are left there. */
interface Term {
  readonly unit: number;
  readonly axes: readonly Map<number, number>[];
  readonly left: number[];
}

/** What is left of a model's parameters and multiply-adds while groups of channels go, one after the other. */
export class Budget {
  readonly #terms: Term[];
  /** Those that a group is in. */
  readonly #of = new Map<number, Term[]>();

  /** @param what multiply-adds, or weights and biases */
  constructor(flow: ChannelFlow, what: "flops" | "parameters") {
    const counts = (channels: Channels) => {
      const of = new Map<number, number>();
      for (const id of channels) of.set(flow.group(id), (of.get(flow.group(id)) ?? 0) + 1);
      return of;
    };
    const term = (size: number, axes: readonly Channels[]) => ({
      unit: size / axes.reduce((product, c) => product * c.length, 1),
      axes: axes.map(counts),
      left: axes.map((c) => c.length),
    });
    this.#terms =
      what === "flops"
        ? flow.products.map((p) =>
            term(
              p.multiplyAdds,
              [p.reads, p.makes].filter((c) => c.length > 0),
            ),
          )
        : [...flow.slots.values()]
            .filter(({ slot }) => slot.trainable && !/\/(rho|logAlpha)$/.test(slot.name))
            .map(({ slot, axes }) => term(sizeOf(slot.shape), [...axes.values()]));
    for (const t of this.#terms)
      for (const group of new Set(t.axes.flatMap((of) => [...of.keys()])))
        this.#of.set(group, [...(this.#of.get(group) ?? []), t]);
  }

  get total(): number {
    return this.#terms.reduce((sum, { unit, left }) => sum + unit * left.reduce((a, b) => a * b, 1), 0);
  }

  /** How much less there is without that group. */
  saved(group: number): number {
    let saved = 0;
    for (const { unit, axes, left } of this.#of.get(group) ?? []) {
      let [before, after] = [unit, unit];
      axes.forEach((of, i) => {
        before *= left[i];
        after *= left[i] - (of.get(group) ?? 0);
      });
      saved += before - after;
    }
    return saved;
  }

  remove(group: number): void {
    for (const { axes, left } of this.#of.get(group) ?? [])
      axes.forEach((of, i) => {
        left[i] -= of.get(group) ?? 0;
      });
  }
}

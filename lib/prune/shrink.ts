/**
 * Filters and units taken out for good. Where an op's record does not say which channels its output has (graph/channels.ts) they stay, so an op
 * that nobody thought of costs a chance and never an error. What is chosen is cut out of every slot, into a new model of the same function,
 * whose layers ask the trace for their widths; that it does the same is checked node by node. What the channels gave on average goes into biases.
 */
import { type AnyDataset, checkDataset } from "../data/dataset.ts";
import type { ChannelFlow, Channels } from "../graph/channels.ts";
import { type Node, type Shape, sameShape, sizeOf } from "../graph/node.ts";
import type { Slot } from "../graph/store.ts";
import type { Turn } from "../graph/turns.ts";
import type { Likelihood } from "../likelihoods/shared/likelihood.ts";
import { forgetChosen } from "../models/chosen.ts";
import { checkModel, type Model } from "../models/model.ts";
import type { Data } from "../native/addon.ts";
import { checkNumber, checkOptions, fail, words } from "../util/errors.ts";
import { inverseSoftplus, softplus } from "../util/softplus.ts";
import { type ChannelScore, channelScores, deadGroups, weightScores } from "./channelScores.ts";
import { Budget, flowOf } from "./costs.ts";
import { leftBehind, type Shift, taylorScores } from "./probe.ts";
import { prunableWeights } from "./scores.ts";

export interface ShrinkOptions {
  /** Share of the multiply-adds that may be left, in (0, 1]. */
  readonly flops?: number;
  /** Instead: share of the weights and biases that may be left (a Gaussian one counts once). */
  readonly parameters?: number;
  /** Default: "taylor" with `data`, else "snr", else (plain weights, or one alpha for a layer) "magnitude". */
  readonly score?: ChannelScore;
  /** Training images: for the score "taylor", and to put what a channel gives on average in its place. */
  readonly data?: AnyDataset;
}

/** The kinds of {@link ShrinkOptions}, for `checkOptions`. */
export const shrinkKinds = { flops: "number", parameters: "number", score: "string", data: "object" } as const;

/**
 * A smaller model: filters of convolutions and units of linear layers are taken out for good, with their biases, what
 * normalizations keep of them, the weights of the layers that read them, masks and optimizer moments. What comes back is a
 * model like any other, with its widths in its `config`: to be fine-tuned, predicted with, exported and saved; the one
 * given stays as it is. Close both. Temperature and threshold, which were chosen for its weights, stay behind with a warning.
 *
 * Which channel feeds which is found on the traced graph, through activations, pooling, normalization, flatten, concat,
 * pixelShuffle and additions (whose channels go together or not at all). Where it cannot be known (an op that mixes
 * channels, grouped convolutions, zero-padded or cut channels, parameters made by hand) channels stay, as do outputs
 * and the last channel of a layer.
 *
 * Without a budget those channels go that do nothing: all weights that make them, or all that read them, are pruned
 * ({@link prune}) or plain zeros. What a channel without weights still gives (its bias, through the activation) goes into the
 * biases of the layers that read it, so predictions with the mean weights stay as they were, except near the border of a
 * padded convolution, where an average goes in, and of layers with neither a bias nor a batch norm behind them. With `flops` or `parameters` the least valuable channels follow,
 * by score per multiply-add or weight saved, until the budget is met; with `data` the average of what they gave
 * on its images is left in their place. Fine-tune afterwards.
 *
 * @throws BayesError for a model that cannot be as small, an unusable score, and a model function that does not work with fewer
 *   channels, or does something else then (a number of channels that is written into it)
 * @example
 * <!-- setup: import { createModel, embeddedMnist } from "bayescnn";
 * const { train } = embeddedMnist();
 * const model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 }); -->
 * ```ts
 * import { costsOf, fit, shrink } from "bayescnn";
 *
 * using small = await shrink(model, { flops: 0.5, data: train });
 * await fit(small, { train }, { epochs: 2 });
 * costsOf(small).multiplyAdds / costsOf(model).multiplyAdds; // at most 0.5
 * ```
 */
export async function shrink<L extends Likelihood>(model: Model<L>, options: ShrinkOptions = {}): Promise<Model<L>> {
  return shrinkRound(model, options);
}

/** What a round is part of, for its error: the share that was asked for, and how much of the whole the round begins with. */
interface Wanted {
  readonly share: number | undefined;
  readonly of: number;
}

/** {@link shrink} as one round of several. */
export async function shrinkRound<L extends Likelihood>(
  model: Model<L>,
  options: ShrinkOptions,
  wanted?: Wanted,
): Promise<Model<L>> {
  checkModel("shrink", model, { idle: false });
  const own = check(model, options);
  return model.store.turn(`shrinking ${model.name}`, async (turn) => {
    const flow = flowOf(model, "sample");
    const gone = await choose(model, flow, own, turn, wanted);
    const small = model.resized(widths(flow, gone));
    try {
      checkAlike(flow, gone, small);
      transfer(model, flow, gone, small, await constants(model, flow, gone, own.data, turn));
      if (gone.size > 0) forgetChosen(small, undefined, model);
      else small.threshold = model.threshold;
      return small;
    } catch (error) {
      small.close();
      throw error;
    }
  });
}

function check(model: Model, options: ShrinkOptions): ShrinkOptions {
  const own = checkOptions<ShrinkOptions>("shrink", options, shrinkKinds);
  if (own.flops !== undefined && own.parameters !== undefined)
    fail("shrink", "either flops or parameters", words("both"));
  for (const key of ["flops", "parameters"] as const)
    if (own[key] !== undefined && !(checkNumber("shrink", key, own[key], 0, 1) > 0))
      fail("shrink", `${key} as a share in (0, 1]`, own[key]);
  const { data, score } = own;
  if (score !== undefined && !channelScores.includes(score))
    fail("shrink", `score ${channelScores.map((s) => `"${s}"`).join(", ")}`, score);
  if (score === "taylor" && !data) fail("shrink", 'data, training images, for score "taylor"', undefined);
  if (!data) return own;
  checkDataset("shrink", data);
  if (!sameShape(data.shape, model.inputShape))
    fail("shrink", `images of ${model.inputShape.join("x")}`, words(data.shape.join("x")));
  return own;
}

const defaultScore = ({ store }: Model): "snr" | "magnitude" =>
  prunableWeights(store).every((w) => w.posterior !== "point" && !w.shared) ? "snr" : "magnitude";

/** The groups of channels that go: those that do nothing, and as many of the others as the budget asks for. */
async function choose(
  model: Model,
  flow: ChannelFlow,
  options: ShrinkOptions,
  turn: Turn,
  wanted: Wanted = { share: options.flops ?? options.parameters, of: 1 },
): Promise<Set<number>> {
  const { data, score = data ? "taylor" : defaultScore(model) } = options;
  const what = options.parameters === undefined ? "flops" : "parameters";
  const share = options[what];
  const budget = new Budget(flow, what);
  const whole = budget.total;
  const target = share === undefined ? Number.POSITIVE_INFINITY : share * whole;
  const gone = new Set<number>();
  const layers = flow.products.map((p) => p.makes.map((id) => flow.group(id)));
  const last = (group: number) =>
    layers.some((of) => of.includes(group) && of.every((g) => g === group || gone.has(g)));
  const remove = (group: number) => {
    gone.add(group);
    budget.remove(group);
  };
  for (const group of deadGroups(model, flow)) if (!last(group)) remove(group);
  if (share === undefined || budget.total <= target) return gone;
  const scores = score === "taylor" ? await taylorScores(model, flow, data!, turn) : weightScores(model, flow, score);
  const candidates = new Set(flow.removable.filter((group) => !gone.has(group)));
  while (budget.total > target * (1 + 1e-9)) {
    let [least, of] = [Number.POSITIVE_INFINITY, -1];
    for (const group of candidates) {
      const per = (scores.get(group) ?? 0) / budget.saved(group);
      if (!(per < least)) continue;
      if (last(group)) candidates.delete(group);
      else [least, of] = [per, group];
    }
    if (of < 0) {
      const [first, ...others] = flow.keepers;
      const more = others.length > 0 ? ` and ${others.length} more` : "";
      const but = first ? ` and those that stay for ${first}${more}` : "";
      const least = (Math.ceil((1e4 * wanted.of * budget.total) / whole) / 1e4).toFixed(4);
      fail("shrink", `${what} of at least ${least}, what remains with one channel a layer${but}`, wanted.share);
    }
    remove(of);
    candidates.delete(of);
  }
  return gone;
}

/** Positions of channels that stay. */
const kept = (flow: ChannelFlow, channels: Channels, gone: ReadonlySet<number>): number[] =>
  channels.flatMap((id, i) => (gone.has(flow.group(id)) ? [] : [i]));

function widths(flow: ChannelFlow, gone: ReadonlySet<number>): Record<string, number> {
  const of: Record<string, number> = {};
  for (const { node, makes } of flow.products) {
    const left = kept(flow, makes, gone).length;
    if (left < makes.length) of[node.layer!] = left;
  }
  return of;
}

/** Throws unless the model function does the same with fewer channels: node by node, but for the number of channels. */
function checkAlike(flow: ChannelFlow, gone: ReadonlySet<number>, small: Model): void {
  const then = flowOf(small, "sample");
  const differs = (node: Node, what: string, received: unknown): never =>
    fail(
      "shrink",
      `a model function that takes numbers of channels from the tensors it is given: ${what} of ${node.describe()} with fewer channels`,
      received,
    );
  for (const [i, node] of flow.nodes.entries()) {
    const other = then.nodes[i];
    if (other?.op.name !== node.op.name) differs(node, "the same ops, one", words(other?.op.name ?? "none"));
    node.outputs.forEach((t, o) => {
      const last = t.shape.length > 0 ? kept(flow, flow.of(t), gone).length : 0;
      const shape = [...t.shape.slice(0, -1), ...(t.shape.length > 0 ? [last] : [])];
      if (!sameShape(shape, other.outputs[o].shape)) differs(node, `a result [${shape}]`, other.outputs[o].shape);
    });
    for (const [key, value] of Object.entries(node.attrs)) {
      const [mine, theirs] = [JSON.stringify(value), JSON.stringify(other.attrs[key])];
      const follows = [(of: Node) => of.outputs[0].shape, (of: Node) => key === "groups" && of.outputs[0].shape.at(-1)];
      const alike = follows.some((f) => mine === JSON.stringify(f(node)) && theirs === JSON.stringify(f(other)));
      if (mine !== theirs && !alike) differs(node, `${key} ${mine}`, other.attrs[key]);
    }
  }
}

/** What goes into biases and normalizations in place of the channels. */
async function constants(
  model: Model,
  flow: ChannelFlow,
  gone: ReadonlySet<number>,
  data: AnyDataset | undefined,
  turn: Turn,
): Promise<Shift[]> {
  if (gone.size === 0) return [];
  if (data) return leftBehind(model, flow, gone, data, turn);
  // a copy whose channels that go have no weights, so that what they give is the same everywhere
  using copy = model.resized({});
  transfer(model, flow, new Set(), copy, []);
  for (const { weights, makes, axes } of flow.products)
    for (const { name, shape, role } of weights) {
      if (role === "mask" || !/\/(mu|weight)$/.test(name)) continue;
      const values = copy.store.get(name);
      const step = sizeOf(shape.slice(axes.makes + 1));
      for (let i = 0; i < values.length; i++)
        if (gone.has(flow.group(makes[Math.floor(i / step) % makes.length]))) values[i] = 0;
      copy.store.set(name, values);
    }
  return await copy.store.turn("shrinking", (own) => leftBehind(copy, flow, gone, undefined, own));
}

/** Everything in the store but training data, without the channels that go, into the smaller model's. */
function transfer(
  model: Model,
  flow: ChannelFlow,
  gone: ReadonlySet<number>,
  small: Model,
  shifts: readonly Shift[],
): void {
  const { store } = model;
  const values = new Map<string, Data>();
  const read = (name: string): Data => values.get(name) ?? values.set(name, store.get(name)).get(name)!;
  for (const { slot, mean, variance } of shifts) {
    const bias = read(slot);
    for (let i = 0; i < bias.length; i++) bias[i] += mean[i];
    const rho = variance && read(slot.replace(/\/mu$/, "/rho"));
    if (rho)
      for (let i = 0; i < rho.length; i++)
        if (variance[i] > 0) rho[i] = inverseSoftplus(Math.sqrt(softplus(rho[i]) ** 2 + variance[i]));
  }
  for (const slot of store.slots.values()) {
    if (slot.role === "data") continue;
    const axes = axesOf(flow, slot);
    const indices = slot.shape.map((d, axis) => {
      const channels = axes?.get(axis);
      return channels ? kept(flow, channels, gone) : Array.from({ length: d }, (_, i) => i);
    });
    const cut = take(read(slot.name), slot.shape, indices);
    if (slot.role === "mask" && !cut.includes(0)) continue; // nothing of it is pruned any more
    const { dtype, trainable, values: kind } = slot;
    small.store.define(slot.name, indices.map((i) => i.length), { dtype, trainable, values: kind }); // biome-ignore format: one line
    small.store.set(slot.name, cut);
  }
  small.store.setStreams(Object.fromEntries(store.streams));
}

/** The axes of a slot that run over channels; those of an optimizer's moment or of a kept prior are its parameter's. */
function axesOf(flow: ChannelFlow, { name, of, shape }: Slot): ReadonlyMap<number, Channels> | undefined {
  const known = flow.slots.get(name);
  if (known) return known.axes;
  const like = flow.slots.get(of.replace(/\/prior$/, "/mu"));
  return like && sameShape(like.slot.shape, shape) ? like.axes : undefined;
}

/** The elements of a tensor at these positions of each axis. */
function take(data: Data, shape: Shape, indices: readonly (readonly number[])[]): Data {
  const kept = new (data.constructor as new (length: number) => Data)(sizeOf(indices.map((i) => i.length)));
  const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
  let at = 0;
  const walk = (axis: number, from: number): void => {
    if (axis === shape.length) kept[at++] = data[from];
    else for (const i of indices[axis]) walk(axis + 1, from + i * strides[axis]);
  };
  walk(0, 0);
  return kept;
}

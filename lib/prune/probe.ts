/** What training images say about channels: how much the loss hangs on each, and what each gives on average. */
import { grad } from "../autodiff/grad.ts";
import { type AnyDataset, imageSize, isStreamed } from "../data/dataset.ts";
import { asIs } from "../data/prepare.ts";
import { ChannelFlow, type Product } from "../graph/channels.ts";
import { compile } from "../graph/compile.ts";
import { apply, constant, type Tensor } from "../graph/node.ts";
import type { Store } from "../graph/store.ts";
import type { Turn } from "../graph/turns.ts";
import { masked } from "../layers/mask.ts";
import type { Targets } from "../likelihoods/shared/likelihood.ts";
import type { Model } from "../models/model.ts";
import { gatherBatch, mean, mul, sigma2FromRho, square, sum } from "../ops/index.ts";

/** Images of a set that are looked at, spread evenly over it, and how many in one launch. */
const IMAGES = 1024;
const BATCH = 64;

interface Batch {
  readonly images: Uint8Array | Float32Array;
  readonly targets: Targets;
}

/** What images of one launch are like. */
interface Kind {
  readonly batch: number;
  readonly dtype: "u8" | "f32";
}

async function* batches(data: AnyDataset, targets: Targets, { batch }: Kind): AsyncGenerator<Batch> {
  const launches = Math.max(1, Math.floor(Math.min(IMAGES, data.count) / batch));
  const each = targets.length / data.count;
  const size = imageSize(data.shape);
  for (let l = 0; l < launches; l++) {
    const rows = Int32Array.from({ length: batch }, (_, i) =>
      Math.floor(((l * batch + i) * data.count) / (launches * batch)),
    );
    const gather = <A extends Uint8Array | Float32Array | Int32Array>(from: A, width: number): A => {
      const to = new (from.constructor as new (length: number) => A)(batch * width);
      rows.forEach((row, i) => {
        to.set(from.subarray(row * width, (row + 1) * width), i * width);
      });
      return to;
    };
    const images = isStreamed(data) ? await data.read(rows) : gather(data.images, size);
    yield { images, targets: gather(targets, each) };
  }
}

const kindOf = (data: AnyDataset): Kind => ({
  batch: Math.min(BATCH, data.count),
  dtype: isStreamed(data) ? data.pixels : data.images instanceof Uint8Array ? "u8" : "f32",
});

/** The model with its mean weights on images as they come, and its channels. */
function traced<R>(
  model: Model,
  images: Tensor,
  batch: number,
  then?: (output: Tensor, likelihood: Model["likelihood"]) => R,
) {
  const all = constant(Int32Array.from({ length: batch }, (_, i) => i));
  const { scale, shift } = model.preprocess ?? asIs(model.inputShape[2]);
  const x = gatherBatch(images, all, { scale, shift });
  const { output, resizable, result } = model.apply(x, { mode: "mean" }, then);
  return { flow: new ChannelFlow(x, output, (layer) => resizable.has(layer)), result };
}

/**
 * The first-order Taylor criterion (Molchanov et al. 2019, eq. 8): how the loss of a batch would change without a channel, the
 * sum of gradient times weight over the weights that make it, squared, and summed over batches of training images.
 * @param flow of the same model: its groups are those of the result
 */
export async function taylorScores(
  model: Model,
  flow: ChannelFlow,
  data: AnyDataset,
  turn: Turn,
): Promise<Map<number, number>> {
  const targets = model.likelihood.targets("shrink", data, model.targetShape);
  const kind = kindOf(data);
  const shape = targets.length === data.count && model.targetShape.length === 0 ? [] : model.targetShape;
  const specs = {
    images: { shape: [kind.batch, ...model.inputShape], dtype: kind.dtype },
    targets: {
      shape: [kind.batch, ...shape],
      dtype: targets instanceof Int32Array ? ("i32" as const) : ("f32" as const),
    },
  };
  using program = compile({ store: model.store }, specs, (t): Record<string, Tensor> => {
    const { flow: mine, result: loss } = traced(model, t.images, kind.batch, (output, likelihood) =>
      mean(likelihood.nll(output, t.targets)),
    );
    const weights = [...new Map(mine.products.map((p) => [p.node.inputs[1], p])).keys()];
    const gradients = grad(loss, weights);
    return Object.fromEntries(
      mine.products.map(({ node: { inputs: [, w] }, axes }, i) => {
        const others = w.shape.flatMap((_, axis) => (axis === axes.makes ? [] : [axis]));
        return [`${i}`, sum(mul(w, gradients[weights.indexOf(w)]), others)];
      }),
    ); // biome-ignore format: one value a filter
  });
  const scores = new Map<number, number>();
  for await (const batch of batches(data, targets, kind)) {
    const change = new Map<number, number>();
    for (const [i, values] of Object.entries(await program.runAsync(batch, 1, turn)))
      flow.products[Number(i)].makes.forEach((id, k) => {
        const group = flow.group(id);
        change.set(group, (change.get(group) ?? 0) + values[k]);
      });
    for (const [group, c] of change) scores.set(group, (scores.get(group) ?? 0) + c * c);
  }
  return scores;
}

/** What goes into a slot, one number for each of its channels, so that a layer gives the same without channels that it read. */
export interface Shift {
  readonly slot: string;
  readonly mean: Float32Array;
  /** To the variance of a Gaussian bias. */
  readonly variance?: Float32Array;
}

/**
 * What the channels that go give the layers that read them: of training images the average, without them what they give on
 * a black image (where their weights are zero, they give that on any). It goes into the bias of the layer, or, where it
 * has none, into the mean of the batch norm behind it; a layer without either does without.
 */
export async function leftBehind(
  model: Model,
  flow: ChannelFlow,
  gone: ReadonlySet<number>,
  data: AnyDataset | undefined,
  turn: Turn,
): Promise<Shift[]> {
  const kind: Kind = data ? kindOf(data) : { batch: 1, dtype: "f32" };
  const specs = { images: { shape: [kind.batch, ...model.inputShape], dtype: kind.dtype } };
  const places = new Map<number, { mean: string; sign: number; gaussian: boolean }>();
  using program = compile({ store: model.store }, specs, ({ images }): Record<string, Tensor> => {
    const { flow: mine } = traced(model, images, kind.batch);
    const outputs: Record<string, Tensor> = { none: constant(0) };
    for (const [i, product] of mine.products.entries()) {
      const going = flow.products[i].reads.map((id) => (gone.has(flow.group(id)) ? 1 : 0));
      const place = going.includes(1) ? placeOf(mine, product, model.store) : undefined;
      if (!place) continue;
      places.set(i, place);
      const { op, attrs, inputs: [x, w] } = product.node; // biome-ignore format: one line
      const only = mul(x, constant(Float32Array.from(going)));
      const given = (x: Tensor, w: Tensor) => {
        const [y] = apply(op, [x, w], { ...attrs, bias: 0 });
        return mean(y, y.shape.map((_, axis) => axis).slice(0, -1));
      };
      outputs[`mean ${i}`] = given(only, w);
      if (place.gaussian) {
        const weight = product.weights[0].name.replace(/\/mu$/, "");
        const sigma2 = sigma2FromRho(model.store.tensor(`${weight}/rho`));
        outputs[`variance ${i}`] = given(square(only), masked(weight, sigma2));
      }
    }
    return outputs;
  });
  if (places.size === 0) return [];
  const totals = new Map<string, Float64Array>();
  let launches = 0;
  const none = [{ images: new Float32Array(imageSize(model.inputShape)) }];
  for await (const { images } of data ? batches(data, new Int32Array(data.count), kind) : none) {
    launches++;
    for (const [name, values] of Object.entries(await program.runAsync({ images }, 1, turn))) {
      const total = totals.get(name) ?? new Float64Array(values.length);
      totals.set(name, total.map((t, k) => t + values[k])); // biome-ignore format: one line
    }
  }
  return [...places].map(([i, { mean: slot, sign }]) => {
    const average = (name: string) => totals.has(name) && Float32Array.from(totals.get(name)!, (t) => t / launches);
    const variance = average(`variance ${i}`);
    const shift = (average(`mean ${i}`) as Float32Array).map((v) => sign * v);
    return { slot, mean: shift, ...(variance ? { variance } : {}) };
  });
}

/** Where a constant goes that a product no longer adds up. */
function placeOf(flow: ChannelFlow, { node, weights, biases }: Product, store: Store) {
  if (biases.length > 0) {
    const mean = biases[0].name;
    const rho = (slot: string) => store.slots.has(slot.replace(/\/mu$/, "/rho"));
    const gaussian = mean.endsWith("/mu") && rho(mean) && weights[0].name.endsWith("/mu") && rho(weights[0].name);
    return { mean, sign: 1, gaussian };
  }
  const [y] = node.outputs;
  const centre = flow.centres.get(y);
  const alone = flow.nodes.filter((n) => n.inputs.includes(y)).length === 1;
  return centre && alone ? { mean: centre.name, sign: -1, gaussian: false } : undefined;
}

import { isDeepStrictEqual } from "node:util";
import { inShort } from "../checkpoints/checkpoint.ts";
import { weightsFile } from "../checkpoints/open.ts";
import { type Shape, sameShape } from "../graph/node.ts";
import { checkValues } from "../graph/values.ts";
import { maskName } from "../layers/mask.ts";
import { checkLayers, isAmong, isLayers, type LayerTensor, layerNames, layerTensors } from "../layers/names.ts";
import { forgetChosen } from "../models/chosen.ts";
import { shapeOf } from "../models/create.ts";
import { checkModel, type Model } from "../models/model.ts";
import { copyList } from "../util/arrays.ts";
import { BayesError, checkOptions, checkPath, fail, shorten, words } from "../util/errors.ts";
import { flattenedInputs, type Order } from "./flatten.ts";
import { match, spared } from "./match.ts";
import { type ForeignTensor, openSource, type Source } from "./source.ts";

export interface ImportOptions {
  /**
   * The model's name ("conv1/weight", "conv1/norm/variance") for a tensor of the file, or undefined for one that is to be left
   * out. Default: the usual names, else the order of the layers.
   */
  readonly map?: (name: string, shape: Shape) => string | undefined;
  /** Layers of the model that keep their own values, such as a new classifier; what the file has for them is left out. */
  readonly except?: readonly string[];
}

/**
 * Puts the weights of a file into a model: of a safetensors file in float32, float16, bfloat16 or float64 with PyTorch's
 * layouts, of an ONNX file, or of a checkpoint of this library (another model's, with some of the same layers). Convolutions
 * become [kh, kw, in, out], linear layers [in, out], and where a linear layer follows a flatten, its inputs are brought from
 * the order C, H, W into ours, H, W, C. A norm's weight, bias, running_mean and running_var are its gamma, beta, mean and
 * variance. In a Bayesian layer the weights become means; spreads stay as they are.
 *
 * Layers go by the names that are usual in PyTorch ("conv1", "layer1.0.bn2", "fc", whatever is before them all), else by their
 * order, where the file tells one: the graph of an ONNX file, or names that differ by numbers alone ("features.0", "features.3").
 *
 * A net sees pixels as it was trained: give the model the `preprocess` of the file's (a mean and deviation of ImageNet are
 * scale 1 / (255 deviation) and shift -mean / deviation), or it will be given that of the next training set.
 *
 * @param given a safetensors or ONNX file, or the folder of a run
 * @returns which tensor of the file each of the model's came from, both by name
 * @throws BayesError that names the first tensors that are missing, left over, or of another shape, and how many more there
 *   are, or the first value that is not finite, or says why the file is none; nothing has changed then
 * @example
 * <!-- not run: weights.safetensors would have to be there -->
 * ```ts
 * import { createModel, importWeights } from "bayescnn";
 *
 * const model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, bayesian: false });
 * importWeights(model, "weights.safetensors"); // in Python: save_model(net, "weights.safetensors")
 * ```
 */
export function importWeights(model: Model, given: string, options: ImportOptions = {}): ReadonlyMap<string, string> {
  const where = "importWeights";
  checkModel(where, model);
  const path = weightsFile(checkPath(where, given), where);
  const { map, except: left = [] } = checkOptions<ImportOptions>(where, options, {
    map: "function",
    except: "object",
  });
  const except = copyList(where, "except", left);
  const { store } = model;
  checkLayers(where, "except", except, layerNames(store.slots.values()));
  const all = layerTensors(store.slots.values());
  const targets = all.filter(({ layer }) => !isAmong(except, layer));
  if (targets.length === 0) fail(where, "a layer that takes the file's weights", words("all of them in except"));
  const source = openSource(where, path);
  const kept = all.filter((t) => !targets.includes(t));
  const found = map ? mapped(where, map, targets, kept, source) : matched(path, targets, kept, source);
  const orders = source.layout === "torch" ? flattenedInputs(model) : new Map<string, Order>();
  checkAll(path, targets, found, orders, model, source);

  const values = targets.map((target) => {
    const tensor = found.taken.get(target.slot)!;
    const mask = source.tensors.get(maskName(target.name))?.values();
    const raw = tensor.values().map((v, i) => (mask?.[i] === 0 ? 0 : v)); // of a pruned net of ours
    checkValues(`${path}: ${tensor.name}`, store.slot(target.slot).values, raw, "ERR_BAYES_FILE");
    return [target, toOurs(raw, target, tensor, source, orders.get(target.slot))] as const;
  });
  for (const [{ slot, name }, own] of values) {
    store.set(slot, own);
    if (store.slots.has(`${name}/prior`)) store.set(`${name}/prior`, own);
  }
  forgetChosen(model);
  return new Map(targets.map(({ name, slot }) => [name, found.taken.get(slot)!.name]));
}

type Config = Readonly<Record<string, unknown>>;

interface Found {
  /** By the model's slots. */
  readonly taken: ReadonlyMap<string, ForeignTensor>;
  readonly surplus: readonly string[];
}

function matched(path: string, targets: readonly LayerTensor[], kept: readonly LayerTensor[], source: Source): Found {
  const taken = match(targets, kept, source);
  if (!taken)
    throw new BayesError(
      `[${path}] expected layers by the usual names, or as many of each kind as the model has, in an order that their numbers tell (the option map says which is which), received ${listed([...source.tensors.values()].map(shown))} for ${listed(targets.map((t) => `${t.name} [${t.shape.join(", ")}]`))}`,
      { code: "ERR_BAYES_FILE" },
    );
  const used = new Set([...taken.values(), ...(kept.length > 0 ? spared(targets, kept, source) : [])]);
  const ignored = (name: string) =>
    source.layout === "ours" && (!isLayers(name) || kept.some((t) => name === t.name || name === `${t.name}/mu`));
  const surplus = [...source.tensors.values()].filter((t) => !used.has(t) && !ignored(t.name) && t.shape.length > 0);
  return { taken, surplus: surplus.map(shown) };
}

function mapped(
  where: string,
  map: NonNullable<ImportOptions["map"]>,
  targets: readonly LayerTensor[],
  kept: readonly LayerTensor[],
  { tensors }: Source,
): Found {
  const taken = new Map<string, ForeignTensor>();
  const [absent, twice]: [string[], string[]] = [[], []];
  for (const tensor of tensors.values()) {
    const name = map(tensor.name, Object.freeze([...tensor.shape])) as unknown;
    if (name === undefined) continue;
    if (typeof name !== "string") fail(where, "a name from map, or undefined", name);
    if (kept.some((t) => t.name === name)) continue;
    const target = targets.find((t) => t.name === name || t.slot === name);
    if (!target) absent.push(`${shown(tensor)} as ${shorten(name, 80)}, which the model does not have`);
    else if (taken.has(target.slot)) twice.push(`${shown(tensor)} as ${name}, which another one is`);
    else taken.set(target.slot, tensor);
  }
  return { taken, surplus: [absent, twice].flatMap((kind) => (kind.length > 0 ? [listed(kind)] : [])) };
}

/** Throws one error that says what does not fit. */
function checkAll(
  path: string,
  targets: readonly LayerTensor[],
  { taken, surplus }: Found,
  orders: ReadonlyMap<string, Order>,
  model: Model,
  source: Source,
): void {
  const wrong: string[] = [];
  const missing = targets.filter(({ slot }) => !taken.has(slot));
  if (missing.length > 0) wrong.push(`without ${listed(missing.map((t) => `${t.name} [${t.shape.join(", ")}]`))}`);
  if (surplus.length > 0) wrong.push(`with ${listed(surplus)} left over`);
  const shapes = targets.flatMap((target) => {
    const tensor = taken.get(target.slot);
    const theirs = tensor && layoutOf(target, tensor, source);
    return !theirs || sameShape(theirs, tensor.shape)
      ? []
      : [`${shown(tensor)} where ${target.name} would be [${theirs.join(", ")}]`];
  });
  if (shapes.length > 0) wrong.push(`with ${listed(shapes)}`);
  const unclear = targets.filter(
    ({ slot }) => orders.get(slot) === "unclear" && taken.get(slot)?.channelsLast === false,
  );
  if (unclear.length > 0)
    wrong.push(
      `with ${listed(unclear.map((t) => t.name))} behind a flatten whose values are put together anew, in an order that the file does not tell`,
    );
  if (wrong.length === 0) return;
  const [mine, theirs] = differing(model.config, source.checkpoint?.model.config);
  throw new BayesError(
    `[${path}] expected the weights of ${model.name}${mine}, received a file${theirs} ${wrong.join("; ")}`,
    { code: "ERR_BAYES_FILE" },
  );
}

const shown = ({ name, shape }: ForeignTensor): string => `${shorten(name, 80)} [${shape.slice(0, 8).join(", ")}]`;

/** The first few, and how many more. */
const listed = (all: readonly string[], most = 3): string =>
  `${all.slice(0, most).join(", ")}${all.length > most ? ` and ${all.length - most} more` : ""}`;

/** In which settings a published net and that of a checkpoint differ, as each has them; nothing where one is another's. */
function differing(mine: Config, theirs: Config | undefined): [mine: string, theirs: string] {
  if (typeof mine.model !== "string" || typeof theirs?.model !== "string") return ["", ""];
  const [own, other] = [shapeOf(mine), shapeOf(theirs)];
  const keys = own.model === other.model ? Object.keys(own) : ["model"];
  const odd = keys.filter((key) => !isDeepStrictEqual(own[key], other[key]));
  const told = (of: Config) =>
    odd.length > 0 ? ` (${odd.map((key) => `${key} ${inShort(of[key])}`).join(", ")})` : "";
  return [told(own), told(other)];
}

/** The shape that a tensor of the model has in the file. */
function layoutOf({ shape, role }: LayerTensor, { inputsFirst }: ForeignTensor, { layout }: Source): Shape {
  if (role !== "weight" || layout === "ours") return shape;
  if (shape.length === 4) return [shape[3], shape[2], shape[0], shape[1]];
  return shape.length === 2 && !inputsFirst ? [shape[1], shape[0]] : shape;
}

/** The file's values in the model's order. */
function toOurs(
  values: Float32Array,
  { shape, role }: LayerTensor,
  { inputsFirst, channelsLast }: ForeignTensor,
  { layout }: Source,
  order: Order | undefined,
): Float32Array {
  if (layout === "ours") return values;
  const own = new Float32Array(values.length);
  if (role === "weight" && shape.length === 4) {
    const [kh, kw, inner, outer] = shape; // there [outer, inner, kh, kw]
    const taps = kh * kw;
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++)
        for (let t = 0; t < taps; t++) own[(t * inner + i) * outer + o] = values[(o * inner + i) * taps + t];
    return own;
  }
  const there = placesIn(shape[0], channelsLast ? undefined : order); // of each feature, the first axis of ours
  const outputs = role === "weight" && shape.length === 2 ? shape[1] : 1;
  for (let i = 0; i < shape[0]; i++)
    for (let o = 0; o < outputs; o++)
      own[i * outputs + o] = values[inputsFirst ? there(i) * outputs + o : o * shape[0] + there(i)];
  return own;
}

/** Where the file has a feature: that of a flattened image at (channel, y, x), in the order C, H, W. */
function placesIn(count: number, order: Order | undefined): (feature: number) => number {
  if (order === undefined || order === "unclear") return (feature) => feature;
  const { axes, dims } = order;
  const sizes = Object.fromEntries([...axes].map((axis, i) => [axis, dims[i]]));
  const places = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const at: Record<string, number> = {};
    let rest = i;
    for (let axis = 2; axis >= 0; axis--) {
      at[axes[axis]] = rest % dims[axis];
      rest = Math.floor(rest / dims[axis]);
    }
    places[i] = (at.c * sizes.h + at.h) * sizes.w + at.w;
  }
  return (feature) => places[feature];
}

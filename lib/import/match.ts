/** Which tensor of a file is which of a model: by the usual names, else by the order of the layers of each kind. */
import type { LayerTensor, Role } from "../layers/names.ts";
import type { ForeignTensor, Source } from "./source.ts";

/** Undefined: of a layer of which the file has no weight. */
type Kind = "convolution" | "linear" | "norm" | undefined;

/** A layer of either side. */
interface Layer<T> {
  readonly name: string;
  readonly kind: Kind;
  readonly tensors: ReadonlyMap<Role, T>;
}

/** The file's names of what a layer has. */
const ROLES: Readonly<Record<string, readonly [plain: Role, norm: Role]>> = {
  weight: ["weight", "gamma"],
  bias: ["bias", "beta"],
  running_mean: ["mean", "mean"],
  running_var: ["variance", "variance"],
};

/** For each of the model's tensors that the file has, by its slot, the file's. Undefined: neither names nor order say it. */
export function match(
  targets: readonly LayerTensor[],
  kept: readonly LayerTensor[],
  source: Source,
): Map<string, ForeignTensor> | undefined {
  if (source.layout === "ours") return ownNames(targets, source);
  const theirs = source.layers ? graphLayers(source) : namedLayers(source);
  const ours = modelLayers([...targets, ...kept]);
  const wanted = ours.filter(({ tensors }) => [...tensors.values()].some((t) => targets.includes(t)));
  const pairs = byName(ours, wanted, theirs) ?? byOrder(ours, wanted, theirs, source.layers !== undefined);
  if (!pairs) return undefined;
  const found = new Map<string, ForeignTensor>();
  const others = targets.filter((t) => t.role === "other");
  for (const { slot, name } of others) {
    const tensor = source.tensors.get(name) ?? source.tensors.get(name.replaceAll("/", "."));
    if (tensor) found.set(slot, tensor);
  }
  for (const [mine, their] of pairs)
    for (const [role, { slot }] of mine.tensors) {
      const tensor = their.tensors.get(role);
      if (tensor && wanted.includes(mine)) found.set(slot, tensor);
    }
  return found;
}

/** Tensors of the file that belong to layers of the model which keep their own values. */
export function spared(
  targets: readonly LayerTensor[],
  kept: readonly LayerTensor[],
  source: Source,
): ReadonlySet<ForeignTensor> {
  const all = match([...targets, ...kept], [], source);
  return new Set(kept.flatMap(({ slot }) => all?.get(slot) ?? []));
}

function ownNames(targets: readonly LayerTensor[], { tensors }: Source): Map<string, ForeignTensor> {
  return new Map(
    targets.flatMap(({ slot, name }) => {
      const tensor = tensors.get(name) ?? tensors.get(`${name}/mu`);
      return tensor ? [[slot, tensor] as const] : [];
    }),
  );
}

function modelLayers(tensors: readonly LayerTensor[]): Layer<LayerTensor>[] {
  return grouped(
    tensors.filter((t) => t.role !== "other"),
    (t) => [t.layer, t.role],
  ).flatMap(([name, parts]) => {
    const weight = parts.get("weight");
    const kind = parts.has("gamma") ? "norm" : weight?.shape.length === 2 ? "linear" : "convolution";
    return weight || kind === "norm" ? [{ name, kind, tensors: parts }] : [];
  });
}

/** Layers by PyTorch's names: all that is before the last dot. */
function namedLayers({ tensors }: Source): Layer<ForeignTensor>[] {
  const parts = [...tensors.values()].flatMap((tensor): [string, string, ForeignTensor][] => {
    const [, layer = "", leaf] = /^(?:(.*)\.)?([^.]+)$/.exec(tensor.name) ?? [];
    return Object.hasOwn(ROLES, leaf) ? [[layer, leaf, tensor]] : [];
  });
  const norms = new Set(
    parts.flatMap(([layer, leaf, { shape }]) =>
      leaf === "running_mean" || (leaf === "weight" && shape.length === 1) ? [layer] : [],
    ),
  );
  return grouped(parts, ([layer, leaf]) => [layer, ROLES[leaf][norms.has(layer) ? 1 : 0]]).map(([name, found]) => {
    const rank = found.get("weight")?.[2].shape.length;
    const kind = norms.has(name) ? "norm" : rank === 4 ? "convolution" : rank === 2 ? "linear" : undefined;
    return { name, kind, tensors: new Map([...found].map(([role, [, , tensor]]) => [role, tensor])) };
  });
}

function graphLayers({ tensors, layers = [] }: Source): Layer<ForeignTensor>[] {
  return layers.map(({ op, node, inputs }) => {
    const kind = op === "BatchNormalization" ? "norm" : op.startsWith("Conv") ? "convolution" : "linear";
    const roles: readonly Role[] = kind === "norm" ? ["gamma", "beta", "mean", "variance"] : ["weight", "bias"];
    const [, named] = /^(.*)\.weight$/.exec(inputs[0]) ?? [];
    const used = roles.flatMap((role, i) => {
      const tensor = tensors.get(inputs[i]);
      return tensor ? [[role, tensor] as const] : [];
    });
    return { name: named ?? node, kind, tensors: new Map(used) };
  });
}

function grouped<T>(all: readonly T[], of: (item: T) => [group: string, role: Role]): [string, Map<Role, T>][] {
  const groups = new Map<string, Map<Role, T>>();
  for (const item of all) {
    const [name, role] = of(item);
    groups.set(name, (groups.get(name) ?? new Map()).set(role, item));
  }
  return [...groups];
}

type Pairs = readonly (readonly [mine: Layer<LayerTensor>, their: Layer<ForeignTensor>])[];

/** Undefined unless some layer that is wanted goes by a name that is usual for it. */
function byName(
  ours: readonly Layer<LayerTensor>[],
  wanted: readonly Layer<LayerTensor>[],
  theirs: readonly Layer<ForeignTensor>[],
): Pairs | undefined {
  const prefix = commonPrefix(theirs.map(({ name }) => name));
  const known = new Map(theirs.map((layer) => [layer.name.slice(prefix.length), layer]));
  const last = ours.findLast(({ kind }) => kind === "linear");
  const pairs = wanted.flatMap((mine) => {
    const names = usualNames(mine.name, mine === last);
    const their = names
      .map((name) => known.get(name))
      .find((layer) => layer && (layer.kind ?? mine.kind) === mine.kind);
    return their ? [[mine, their] as const] : [];
  });
  return pairs.length > 0 && new Set(pairs.map(([, their]) => their)).size === pairs.length ? pairs : undefined;
}

/** "module." and the like, which wrappers put before every name. */
function commonPrefix(names: readonly string[]): string {
  const [first = "", ...rest] = names;
  let prefix = first.slice(0, first.lastIndexOf(".") + 1);
  while (prefix && !rest.every((name) => name.startsWith(prefix)))
    prefix = prefix.slice(0, prefix.lastIndexOf(".", prefix.length - 2) + 1);
  return rest.length > 0 ? prefix : "";
}

/** What PyTorch's users call a layer, its own name first: those of torchvision's residual nets, and of a classifier. */
function usualNames(layer: string, last: boolean): string[] {
  const dotted = layer.replaceAll("/", ".");
  const inBlock = dotted.replace(/^stage(\d+)\.block(\d+)\./, (_, s, b) => `layer${s}.${b - 1}.`);
  const norm = inBlock.replace(/(^|\.)conv(\d+)\.norm$/, "$1bn$2");
  const shortcut = (name: string) =>
    inBlock.replace(/\.(shortcut|projection)(\.norm)?$/, (_, __, ofNorm) => `.${name}.${ofNorm ? 1 : 0}`);
  const names = [dotted, inBlock, norm, shortcut("downsample"), shortcut("shortcut")];
  return [...new Set([...names, ...(last ? ["fc", "linear", "classifier", "head"] : [])])];
}

/** The n-th layer of a kind is the n-th of that kind: where the file says an order, and as many as the model. */
function byOrder(
  ours: readonly Layer<LayerTensor>[],
  wanted: readonly Layer<LayerTensor>[],
  theirs: readonly Layer<ForeignTensor>[],
  inOrder: boolean,
): Pairs | undefined {
  const pairs: (readonly [Layer<LayerTensor>, Layer<ForeignTensor>])[] = [];
  for (const kind of ["convolution", "linear", "norm"] as const) {
    const found = theirs.filter((layer) => layer.kind === kind);
    const all = ours.filter((layer) => layer.kind === kind);
    const mine = found.length === all.length ? all : wanted.filter((layer) => layer.kind === kind);
    if (found.length !== mine.length) return undefined;
    const ordered = inOrder ? found : numbered(found);
    if (!ordered) return undefined;
    for (const [i, layer] of mine.entries()) pairs.push([layer, ordered[i]]);
  }
  return pairs;
}

/** Layers whose names differ by numbers alone ("features.0", "features.10"), by those; undefined for others. */
function numbered(layers: readonly Layer<ForeignTensor>[]): Layer<ForeignTensor>[] | undefined {
  const numbers = ({ name }: { readonly name: string }) => (name.match(/\d+/g) ?? []).map(Number);
  if (new Set(layers.map(({ name }) => name.replace(/\d+/g, "#"))).size > 1) return undefined;
  return [...layers].sort((a, b) => {
    const [p, q] = [numbers(a), numbers(b)];
    const i = p.findIndex((n, at) => n !== q[at]);
    return i < 0 ? 0 : p[i] - q[i];
  });
}

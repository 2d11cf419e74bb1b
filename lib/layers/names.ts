/** The layers of a model, as the names of its parameters tell them. */

import type { Shape } from "../graph/node.ts";
import { roleOf } from "../graph/roles.ts";
import type { Slot } from "../graph/store.ts";
import { copyList } from "../util/arrays.ts";
import { fail, words } from "../util/errors.ts";

/** What a parameter is to its layer; "other": one of the user's own, which is a layer by itself. */
export type Role = "weight" | "bias" | "gamma" | "beta" | "mean" | "variance" | "other";

/** Where the value of a weight lies: a plain one, or the mean of a distribution. */
export interface LayerTensor {
  /** "conv1/weight" */
  readonly name: string;
  readonly layer: string;
  readonly role: Role;
  /** "conv1/weight", or "conv1/weight/mu". */
  readonly slot: string;
  readonly shape: Shape;
  readonly bayesian: boolean;
}

/** Whether a slot holds the value of a layer: not a spread or prior beside a mean, a likelihood's own parameter, or of another role. */
export const isLayers = (slot: string): boolean =>
  roleOf(slot).role === undefined && !/^likelihood\/|\/(rho|logAlpha|prior)$/.test(slot);

/**
 * The values of all layers, one for each weight tensor: parameters and running statistics, in the order in which they were
 * made. Not among them: spreads and priors, a likelihood's own parameters, masks, moments and data.
 */
export function layerTensors(slots: Iterable<Slot>): LayerTensor[] {
  return [...slots].flatMap(({ name: slot, shape }): LayerTensor[] => {
    if (!isLayers(slot)) return [];
    const bayesian = slot.endsWith("/mu");
    const name = bayesian ? slot.slice(0, -"/mu".length) : slot;
    const [, layer, role] = /^(.+)\/(weight|bias|gamma|beta|mean|variance)$/.exec(name) ?? [];
    return [{ name, layer: layer ?? name, role: (role as Role) ?? "other", slot, shape, bayesian }];
  });
}

/** The names of the layers that have parameters. */
export const layerNames = (slots: Iterable<Slot>): string[] => [
  ...new Set(layerTensors(slots).map(({ layer }) => layer)),
];

/** The layer that a parameter belongs to: "conv1" of "conv1/weight/mu". */
export const layerOf = (parameter: string): string =>
  parameter.replace(/\/(mu|rho|logAlpha|prior)$/, "").replace(/(?<=.)\/(weight|bias|gamma|beta|mean|variance)$/, "");

/** Whether a layer is one of those named: itself, or below one ("stage1" means "stage1/block1/conv1" as well). */
export const isAmong = (names: readonly string[], layer: string): boolean =>
  names.some((name) => layer === name || layer.startsWith(`${name}/`));

/** Throws unless each of the names is that of a layer of the model, or of some of its layers. */
export function checkLayers(where: string, what: string, names: readonly string[], layers: readonly string[]): void {
  for (const name of names)
    if (typeof name !== "string" || !layers.some((layer) => isAmong([name], layer)))
      fail(where, `${what} among the layers ${layers.join(", ")}`, typeof name === "string" ? words(name) : name);
}

/** Those of a model's layers that stay as they are, as a list of names or a function says. */
export function frozenLayers(
  where: string,
  freeze: readonly string[] | ((layer: string) => boolean),
  layers: readonly string[],
): string[] {
  const given = typeof freeze === "function" ? freeze : copyList(where, "freeze", freeze);
  if (typeof given !== "function") checkLayers(where, "freeze", given, layers);
  return layers.filter((layer) => {
    const stays: unknown = typeof given === "function" ? given(layer) : isAmong(given, layer);
    return typeof stays === "boolean" ? stays : fail(where, "freeze to say true or false of a layer", stays);
  });
}

import { Tensor } from "../graph/node.ts";
import { slotName } from "../graph/roles.ts";
import { checkWritten, trace } from "../graph/trace.ts";
import type { Values } from "../graph/values.ts";
import { maskOfParameter } from "../layers/mask.ts";
import { adamUpdate, sgdUpdate } from "../ops/index.ts";
import { checkNumber, checkOptions, fail } from "../util/errors.ts";

/**
 * How parameters follow their gradients. An optimizer is a recipe without state: its moments lie in the store, named
 * after the parameters ("optimizer/adam/m/conv1/weight/mu"), so any number of compiled steps may share them, and two
 * optimizers may train disjoint parameters of one store.
 */
export interface Optimizer {
  /** Printed with every run, and compared when one is resumed. */
  readonly name: string;
  /**
   * Records the update as the end of the step being compiled.
   * @param parameters trainable leaves by name, all those of a model or some
   * @param gradients one for each, in the same order
   * @param lr learning rate, f32 []
   * @param count number of this update, i32 [], from 1
   */
  update(parameters: ReadonlyMap<string, Tensor>, gradients: readonly Tensor[], lr: Tensor, count: Tensor): void;
}

interface Slot {
  readonly name: string;
  readonly param: Tensor;
  readonly grad: Tensor;
  /** Where it is 0, for a pruned weight, the parameter stays as it is. */
  readonly mask: Tensor | undefined;
}

function slots(where: string, parameters: ReadonlyMap<string, Tensor>, gradients: readonly Tensor[]): Slot[] {
  const { store } = trace();
  const all: readonly (readonly [string, Tensor])[] = [...(parameters ?? [])];
  const n = all.length;
  if (n === 0) fail(where, "at least one parameter", n);
  if (gradients?.length !== n) fail(where, `${n} gradient${n > 1 ? "s" : ""}, one a parameter`, gradients?.length);
  return all.map(([name, param], i) => {
    if (!Tensor.is(param)) fail(where, "traced parameters by name", param);
    checkWritten(where, param, store); // before a moment is made for it
    return { name, param, grad: gradients[i], mask: maskOfParameter(name, param) };
  });
}

/** A moment of a parameter: zeros at first. */
function moment(kind: string, { name, param }: Slot, values?: Values): Tensor {
  const { store } = trace();
  return store.tensor(store.define(slotName("moment", `${kind}/${name}`), param.shape, { values }).name);
}

/**
 * Weight decay is for values that may be zero. Decay of rho would pull sigma to softplus(0) = 0.69, and that of log alpha
 * towards alpha = 1, that of a learned scale of the noise towards the spread of the targets: they are left alone.
 */
const decays = ({ name }: Slot): boolean => !/(^|\/)(rho|logAlpha|logScale)$/.test(name);

/** Calls `update` with the parameters that decay and with those that do not, and of either with those that have a mask apart. */
function byDecay(
  all: readonly Slot[],
  weightDecay: number,
  update: (some: readonly Slot[], decay: number) => void,
): void {
  for (const decay of weightDecay > 0 ? [weightDecay, 0] : [0])
    for (const masked of [false, true]) {
      const some = all.filter((s) => (s.mask !== undefined) === masked && decay > 0 === (weightDecay > 0 && decays(s)));
      if (some.length > 0) update(some, decay);
    }
}

export interface SgdOptions {
  /** Share of the velocity kept from step to step, from 0 (plain gradient descent) to below 1. */
  readonly momentum?: number;
  /** Look ahead along the velocity (Sutskever et al. 2013). */
  readonly nesterov?: boolean;
  /** Added to the gradient: weightDecay * parameter. */
  readonly weightDecay?: number;
}

/**
 * Stochastic gradient descent, as PyTorch defines it: g += weightDecay p; v = momentum v + g;
 * p -= lr (nesterov ? g + momentum v : v).
 */
export function sgd(options: SgdOptions = {}): Optimizer {
  const {
    momentum = 0,
    nesterov = false,
    weightDecay = 0,
  } = checkOptions("sgd", options, { momentum: "number", nesterov: "boolean", weightDecay: "number" });
  checkNumber("sgd", "momentum", momentum, 0, 1 - 1e-7);
  checkNumber("sgd", "weightDecay", weightDecay, 0);
  if (nesterov && momentum === 0) fail("sgd", "momentum above 0 for nesterov", momentum);
  return Object.freeze<Optimizer>({
    name: `sgd(${momentum}, ${nesterov}, ${weightDecay})`,
    update(parameters, gradients, lr) {
      byDecay(slots("sgd", parameters, gradients), weightDecay, (some, decay) => {
        const groups = some.map((slot) => (momentum > 0 ? { ...slot, velocity: moment("sgd/velocity", slot) } : slot));
        sgdUpdate(lr, groups, { momentum, nesterov, weightDecay: decay });
      });
    },
  });
}

export interface AdamOptions {
  /** Decay rates of the running means of the gradient and of its square. */
  readonly beta1?: number;
  readonly beta2?: number;
  /** Added to the root of the second. */
  readonly epsilon?: number;
}

/** Adam (Kingma and Ba 2015, algorithm 1). */
export function adam(options: AdamOptions = {}): Optimizer {
  return adamLike("adam", checkOptions("adam", options, adamKinds), 0);
}

/** AdamW (Loshchilov and Hutter 2019): Adam, and apart from it p -= lr weightDecay p. Default decay 0.01. */
export function adamw(options: AdamOptions & { readonly weightDecay?: number } = {}): Optimizer {
  const { weightDecay = 0.01, ...rest } = checkOptions("adamw", options, { ...adamKinds, weightDecay: "number" });
  return adamLike("adamw", rest, weightDecay);
}

const adamKinds = { beta1: "number", beta2: "number", epsilon: "number" };

function adamLike(
  kind: string,
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: AdamOptions,
  weightDecay: number,
): Optimizer {
  checkNumber(kind, "beta1", beta1, 0, 1 - 1e-7);
  checkNumber(kind, "beta2", beta2, 0, 1 - 1e-7);
  checkNumber(kind, "epsilon", epsilon, 1e-30);
  checkNumber(kind, "weightDecay", weightDecay, 0);
  const shown = [beta1, beta2, epsilon, ...(kind === "adamw" ? [weightDecay] : [])];
  return Object.freeze<Optimizer>({
    name: `${kind}(${shown.join(", ")})`,
    update(parameters, gradients, lr, count) {
      byDecay(slots(kind, parameters, gradients), weightDecay, (some, decay) => {
        const groups = some.map((slot) => ({
          ...slot,
          m: moment(`${kind}/m`, slot),
          v: moment(`${kind}/v`, slot, "not negative"),
        }));
        adamUpdate(lr, count, groups, { beta1, beta2, epsilon, weightDecay: decay, decoupled: true });
      });
    },
  });
}

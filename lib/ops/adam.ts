import { effect } from "../graph/trace.ts";
import { copyList } from "../util/arrays.ts";
import { checkNumber, checkOptions, fail } from "../util/errors.ts";
import { maskInput } from "./shared/mask.ts";
import { checkGroups, checkScalar, type Op, type Tensor, typeName } from "./shared/op.ts";

export type AdamAttrs = {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Every parameter comes with a mask: where it is 0 the parameter stays as it is, whatever its gradient or decay. */
  readonly masked: boolean;
  /** AdamW: the decay acts on the parameter and not through the gradient's moments. */
  readonly decoupled: boolean;
};
/** A parameter, its gradient, and the running means of the gradient and of its square (both start at 0). */
export interface AdamSlot {
  readonly param: Tensor;
  readonly grad: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
  /** Of all parameters, or none. */
  readonly mask?: Tensor;
}

const op: Op<AdamAttrs> = {
  name: "adam",
  infer(inputs, { beta1, beta2, epsilon, weightDecay, masked }) {
    checkScalar("adam", "the learning rate", inputs[0]);
    if (inputs[1].dtype !== "i32" || inputs[1].shape.some((d) => d !== 1))
      fail("adam", "the step to be an i32 scalar", typeName(inputs[1]));
    checkNumber("adam", "beta1", beta1, 0, 1 - 1e-7);
    checkNumber("adam", "beta2", beta2, 0, 1 - 1e-7);
    checkNumber("adam", "epsilon", epsilon, 0);
    checkNumber("adam", "weightDecay", weightDecay, 0);
    checkGroups("adam", inputs, 2, masked ? 5 : 4);
    return [];
  },
  mutates: ({ inputs, attrs }) =>
    inputs.flatMap((_, i) => (i >= 2 && ![1, 4].includes((i - 2) % (attrs.masked ? 5 : 4)) ? [i] : [])),
  flops: (node) => 4 * node.inputs.reduce((n, t) => n + t.size, 0),
};

/**
 * One Adam update of all parameters at the end of the step (Kingma and Ba 2015, algorithm 1), or AdamW (Loshchilov and
 * Hutter 2019) with `decoupled`; PyTorch's definitions and defaults.
 * @param lr learning rate, f32 []
 * @param step number of this update, i32 [], from 1: the bias correction
 */
export function adamUpdate(
  lr: Tensor,
  step: Tensor,
  slots: readonly AdamSlot[],
  options: Partial<Omit<AdamAttrs, "masked">> = {},
): void {
  const own = checkOptions("adam", options, {
    beta1: "number",
    beta2: "number",
    epsilon: "number",
    weightDecay: "number",
    decoupled: "boolean",
  });
  const parts = copyList("adam", "parameters", slots).map((slot) => ({ ...slot }));
  const masked = parts.some((slot) => slot.mask);
  const attrs = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, decoupled: false, ...own, masked };
  const groups = parts.map(({ param, grad, m, v, mask }) => [param, grad, m, v, ...maskInput(mask).inputs]);
  effect(op, [lr, step, ...groups.flat()], attrs);
}

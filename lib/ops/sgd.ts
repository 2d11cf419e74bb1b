import { effect } from "../graph/trace.ts";
import { copyList } from "../util/arrays.ts";
import { checkGroups, checkNumber, checkOptions, checkScalar, fail, type Op, type Tensor } from "./shared/op.ts";

export type SgdAttrs = {
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly weightDecay: number;
  /** Every parameter comes with a mask: where it is 0 the parameter stays as it is, whatever its gradient or decay. */
  readonly masked: boolean;
};
export interface SgdSlot {
  readonly param: Tensor;
  readonly grad: Tensor;
  /** Where momentum > 0. */
  readonly velocity?: Tensor;
  /** Of all parameters, or none. */
  readonly mask?: Tensor;
}

const groupSize = ({ momentum, masked }: SgdAttrs): number => 2 + Number(momentum > 0) + Number(masked);

const op: Op<SgdAttrs> = {
  name: "sgd",
  infer(inputs, attrs) {
    const { momentum, nesterov, weightDecay } = attrs;
    checkScalar("sgd", "the learning rate", inputs[0]);
    checkNumber("sgd", "momentum", momentum, 0, 1);
    checkNumber("sgd", "weightDecay", weightDecay, 0);
    if (nesterov && momentum === 0) fail("sgd", "momentum > 0 for Nesterov", momentum);
    checkGroups("sgd", inputs, 1, groupSize(attrs));
    return [];
  },
  mutates: ({ inputs, attrs }) =>
    inputs.flatMap((_, i) => {
      const at = (i - 1) % groupSize(attrs);
      return i > 0 && (at === 0 || (at === 2 && attrs.momentum > 0)) ? [i] : [];
    }),
  flops: (node) => 4 * node.inputs.reduce((n, t) => n + t.size, 0),
};

/**
 * One SGD update of all parameters at the end of the step, PyTorch's definition: g += weightDecay p; v = momentum v + g;
 * p -= lr (nesterov ? g + momentum v : v).
 * @param lr learning rate, f32 []
 */
export function sgdUpdate(
  lr: Tensor,
  slots: readonly SgdSlot[],
  options: Partial<Omit<SgdAttrs, "masked">> = {},
): void {
  const own = checkOptions("sgd", options, { momentum: "number", nesterov: "boolean", weightDecay: "number" });
  const parts = copyList("sgd", "parameters", slots).map((slot) => ({ ...slot }));
  const attrs = { momentum: 0, nesterov: false, weightDecay: 0, ...own, masked: parts.some((slot) => slot.mask) };
  const groups = parts.map(({ param, grad, velocity, mask }) => [param, grad, ...[velocity, mask].filter((t) => !!t)]);
  effect(op, [lr, ...groups.flat()], attrs);
}

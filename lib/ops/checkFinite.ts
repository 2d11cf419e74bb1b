import { effect } from "../graph/trace.ts";
import { checkFloats, type Op, type Tensor } from "./shared/op.ts";

const op: Op = {
  name: "checkFinite",
  infer(inputs) {
    checkFloats("checkFinite", inputs);
    return [];
  },
  guard: true,
};

/**
 * Stops the step, before any parameter has changed, when one of the tensors holds a NaN or an infinity. The error names the
 * op that made the first one.
 */
export const checkFinite = (tensors: readonly Tensor[]): void => effect(op, tensors, {});

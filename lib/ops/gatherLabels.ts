import { fail } from "../errors.ts";
import { apply, i32, type Op, type Tensor, typeName } from "../graph/node.ts";

const op: Op = {
  name: "gatherLabels",
  infer(inputs) {
    for (const [i, t] of inputs.entries())
      if (t.dtype !== "i32" || t.shape.length !== 1)
        fail("gatherLabels", `${["labels", "index"][i]} as a list of i32`, typeName(t));
    return [i32(inputs[1].shape)];
  },
};

/**
 * The labels of one step: labels[index].
 * @param labels i32[N], of the whole data set
 * @param index i32[B]; one out of range stops the run with an error
 */
export const gatherLabels = (labels: Tensor, index: Tensor): Tensor => apply(op, [labels, index], {})[0];

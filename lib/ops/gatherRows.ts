import { apply, type Op, type Tensor, typeName } from "../graph/node.ts";
import { fail } from "../util/errors.ts";

const op: Op = {
  name: "gatherRows",
  infer([data, index]) {
    if (data.dtype === "u8" || data.shape.length < 1) fail("gatherRows", "data as i32 or f32 [N, ...]", typeName(data));
    if (index.dtype !== "i32" || index.shape.length !== 1)
      fail("gatherRows", "index as a list of i32", typeName(index));
    return [{ shape: [...index.shape, ...data.shape.slice(1)], dtype: data.dtype }];
  },
};

/**
 * The targets (labels, numbers, images) of one step: data[index].
 * @param data i32 or f32 [N, ...], of the whole data set
 * @param index i32[B]; one out of range stops the run with an error
 * @returns [B, ...]
 */
export const gatherRows = (data: Tensor, index: Tensor): Tensor => apply(op, [data, index], {})[0];

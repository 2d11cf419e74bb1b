import { apply, checkLabelled, type Op, type Tensor } from "./shared/op.ts";

const op: Op = {
  name: "correct",
  infer([logits, labels]) {
    checkLabelled("correct", logits, labels);
    return [{ shape: [], dtype: "f32" }];
  },
};

/**
 * How many rows have their largest logit at the label, as a scalar (f32, exact up to 2^24 rows). The lowest index wins a
 * tie; a row with a NaN counts as wrong.
 * @param logits f32 [S*B, C]
 * @param labels i32 [B]
 */
export const correct = (logits: Tensor, labels: Tensor): Tensor => apply(op, [logits, labels], {})[0];

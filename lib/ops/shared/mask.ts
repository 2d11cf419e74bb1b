import type { Tensor } from "../../graph/node.ts";

/** Of an op that sums over weights, or updates them: whether its last input is a mask. */
export type MaskAttrs = { readonly masked: boolean };

/**
 * The attribute and the input of a mask, 1 for a weight that counts and 0 for one that does not. What does not count adds
 * an exact 0 to a sum, and has an exact 0 as its gradient, whatever it holds.
 */
export const maskInput = (mask: Tensor | undefined): { attrs: MaskAttrs; inputs: readonly Tensor[] } => ({
  attrs: { masked: mask !== undefined },
  inputs: mask ? [mask] : [],
});

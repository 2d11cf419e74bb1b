import { fail, words } from "../errors.ts";
import type { Tensor } from "../graph/node.ts";
import type { LayerOptions } from "../graph/trace.ts";
import { bayesConv2d, type ConvLayerOptions, conv2d } from "../layers/conv.ts";
import { bayesLinear, linear } from "../layers/linear.ts";
import { relu } from "../ops/relu.ts";
import { softplus } from "../ops/softplus.ts";

/** What a published architecture is built from: the Bayesian layers, or their frequentist twins of the same widths. */
export interface Kit {
  /** `bias: false` where a norm follows. */
  conv(x: Tensor, filters: number, kernel: number, options?: ConvLayerOptions & { readonly bias?: boolean }): Tensor;
  dense(x: Tensor, out: number, options?: LayerOptions): Tensor;
  activate(x: Tensor): Tensor;
}

/** Throws unless an image is at least so large as the net can make something of. */
export function checkImageSize(net: string, x: Tensor, height: number, width: number): void {
  const [, h, w] = x.shape;
  if (h < height || w < width) fail(net, `images of at least ${height}x${width} pixels`, words(`${h}x${w}`));
}

export type Activation = "softplus" | "relu";

/** The paper's choice: softplus in Bayesian nets ("the variance must never be 0"), ReLU in frequentist ones. */
export const defaultActivation = (bayesian: boolean): Activation => (bayesian ? "softplus" : "relu");

export function kit(bayesian: boolean, activation: Activation = defaultActivation(bayesian)): Kit {
  return {
    conv: bayesian ? bayesConv2d : conv2d,
    dense: bayesian ? bayesLinear : linear,
    activate: activation === "relu" ? relu : softplus,
  };
}

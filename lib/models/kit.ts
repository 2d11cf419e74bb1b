import type { Tensor } from "../graph/node.ts";
import { bayesConv2d, type ConvLayerOptions, conv2d } from "../layers/conv.ts";
import { dropout as dropoutLayer } from "../layers/dropout.ts";
import { filterResponseNorm2d } from "../layers/filterResponseNorm.ts";
import { bayesLinear, linear } from "../layers/linear.ts";
import { batchNorm2d } from "../layers/norm.ts";
import type { LayerOptions } from "../layers/scope.ts";
import { relu, softplus } from "../ops/index.ts";
import { copyList } from "../util/arrays.ts";
import { checkNumber, checkObject, checkOptions, fail, words } from "../util/errors.ts";

/** Images with a longer side begin with a stem that halves them. */
export const LARGE_IMAGE = 64;

export type Activation = "softplus" | "relu";
export type Norm = "batch" | "filter-response";

/** What a {@link kit} is made for; all of it may be left out. */
export interface KitOptions {
  /** Default true; false: plain weights, the frequentist twin. */
  readonly bayesian?: boolean;
  /**
   * Default softplus in a Bayesian net ("the variance must never be 0", Shridhar et al. 2019), ReLU in its twin and in nets
   * with norms, whose running statistics softplus would make lag (docs/experiments.md), and in espcn.
   */
  readonly activation?: Activation;
  /** Of nets that have norms (the residual ones, MobileNet, VGG): batch norm (default), or filter response norm, which looks at one image alone. */
  readonly norm?: Norm;
  /** Rate of the dropout behind the activations of some layers, in [0, 1); default: none. */
  readonly dropout?: number;
  /**
   * Names of the layers behind which it is; default: wherever the architecture has a place for it. LeNet-5: conv1, conv2, fc1, fc2
   * (lenet5-caffe: without fc2); AlexNet: conv1, conv3, conv5 (the reference's places); 3Conv3FC: fc1, fc2; residual nets: the
   * first convolution of each block, stage1/block1/conv1 and so on; MobileNet and VGG: behind the last convolution.
   */
  readonly dropoutAfter?: readonly string[];
  /** Dropout stays on in predictions (Gal and Ghahramani 2016), which are stochastic by it; default false. */
  readonly monteCarloDropout?: boolean;
}

/**
 * What a published architecture is built from. A kit is an ordinary object: `{ ...kit({ bayesian: false }), head: kit().head }`
 * has a frequentist body and a Bayesian last layer, `{ ...kit(), head: (x) => x }` gives the features before it.
 */
export interface Kit {
  /** `bias: false` where a norm follows. */
  conv(x: Tensor, filters: number, kernel: number, options?: ConvLayerOptions & { readonly bias?: boolean }): Tensor;
  dense(x: Tensor, out: number, options?: LayerOptions): Tensor;
  /** The last layer. */
  head(x: Tensor, out: number, options?: LayerOptions): Tensor;
  /** @param normed in a net with norms, where another activation is usual */
  activate(x: Tensor, normed?: boolean): Tensor;
  /** Behind a convolution of a net with norms; where `active`, with the activation that goes with the norm. */
  norm(x: Tensor, name: string, active: boolean): Tensor;
  /** Behind the activation of a layer: dropout where it is wanted there, else x. */
  drop(x: Tensor, layer: string): Tensor;
  /** The layers behind which dropout was asked for; undefined: any. */
  readonly dropoutAfter?: readonly string[];
}

/**
 * The parts of which the published architectures are built: Bayesian or frequentist layers, activation, norm, dropout.
 * @throws BayesError for options that make no sense
 * @example
 * ```ts
 * import { categorical, Model } from "bayescnn";
 * import { kit, lenet5 } from "bayescnn/models";
 *
 * const body = kit({ bayesian: false, dropout: 0.5, dropoutAfter: ["fc1"] });
 * using model = new Model({
 *   input: [28, 28, 1],
 *   likelihood: categorical(10),
 *   build: (x) => lenet5(x, { ...body, head: kit().head }, 10), // a Bayesian last layer on a frequentist net
 * });
 * ```
 */
export function kit(options: KitOptions = {}): Kit {
  const own = checkOptions("kit", options, {
    bayesian: "boolean",
    activation: "string",
    norm: "string",
    dropout: "number",
    dropoutAfter: "object",
    monteCarloDropout: "boolean",
  });
  const { bayesian = true, norm = "batch", dropout: rate, monteCarloDropout: always = false } = own;
  const { activation } = own;
  if (activation !== undefined && activation !== "softplus" && activation !== "relu")
    fail("kit", 'activation "softplus" or "relu"', activation);
  if (norm !== "batch" && norm !== "filter-response") fail("kit", 'norm "batch" or "filter-response"', norm);
  if (rate === undefined && (own.dropoutAfter || always))
    fail("kit", `the rate of dropout beside ${always ? "monteCarloDropout" : "dropoutAfter"}`, words("none"));
  if (rate !== undefined) checkNumber("kit", "the rate of dropout", rate, 0, 0.999999);
  const after = own.dropoutAfter && Object.freeze(copyList("kit", "dropoutAfter", own.dropoutAfter));
  const activate = (x: Tensor, normed = false) =>
    (activation ?? defaultActivation(bayesian, normed)) === "relu" ? relu(x) : softplus(x);
  const dense = bayesian ? bayesLinear : linear;
  return Object.freeze({
    conv: bayesian ? bayesConv2d : conv2d,
    dense,
    head: dense,
    activate,
    norm(x: Tensor, name: string, active: boolean) {
      if (norm === "filter-response") return filterResponseNorm2d(x, { name, threshold: active });
      const y = batchNorm2d(x, { name });
      return active ? activate(y, true) : y;
    },
    drop: (x: Tensor, layer: string) =>
      rate === undefined || (after && !after.includes(layer))
        ? x
        : dropoutLayer(x, rate, { name: `${layer}/dropout`, always }),
    dropoutAfter: after,
  });
}

/**
 * The activation of a net when nothing is said: the paper's softplus in Bayesian ones, but ReLU in those with norms. What softplus
 * gives is positive everywhere, so that the sums behind it have means larger than their spread, which move with the weights:
 * batch norm's running means, some steps old, are then far off, and a net that trains well predicts badly (docs/experiments.md).
 */
export const defaultActivation = (bayesian: boolean, normed: boolean): Activation =>
  bayesian && !normed ? "softplus" : "relu";

const PARTS = ["conv", "dense", "head", "activate", "norm", "drop"] as const;

/** Throws unless `given` is a kit that asks for dropout behind layers alone that have a place for it. Returns it. */
export function checkKit(net: string, given: Kit, places: readonly string[]): Kit {
  const what = "a kit, as kit() makes it";
  const part = PARTS.find((name) => typeof checkObject(net, what, given)[name] !== "function");
  if (part) fail(net, `${what}, with ${part} as a function`, given[part]);
  const odd = copyList(net, "dropoutAfter", given.dropoutAfter ?? []).find((layer) => !places.includes(layer));
  if (odd !== undefined) fail(net, `dropoutAfter among ${places.join(", ")}`, odd);
  return given;
}

/** Throws unless an image is at least so large as the net can make something of. */
export function checkImageSize(net: string, x: Tensor, height: number, width: number): void {
  const [, h, w] = x.shape;
  if (h < height || w < width) fail(net, `images of at least ${height}x${width} pixels`, words(`${h}x${w}`));
}

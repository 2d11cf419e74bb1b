import type { BayesOptions } from "../bayes/settings.ts";
import { settings } from "../bayes/settings.ts";
import { checkInt, fail } from "../errors.ts";
import type { Tensor } from "../graph/node.ts";
import { noiseFor, scope, trace } from "../graph/trace.ts";
import { bayesLinear as bayesLinearOp } from "../ops/bayesLinear.ts";
import { linear as linearOp } from "../ops/linear.ts";
import { type PointOptions, pick } from "./conv.ts";
import { bayesWeight, drawWeights, perSample, pointWeight } from "./weights.ts";

function features(where: string, x: Tensor, out: number): number {
  if (x.shape.length !== 2) fail(where, "an input of shape [batch, features] (use flatten first)", x.shape);
  checkInt(where, "the number of outputs", out, 1);
  return x.shape[1];
}

/**
 * A fully connected layer with plain weights (parameters `name/weight` [in, out] and `name/bias`).
 * @param x [batch, in]
 * @returns [batch, out]
 */
export function linear(x: Tensor, out: number, options: { readonly name?: string } & PointOptions = {}): Tensor {
  return scope("linear", options.name, (name) => {
    const fanIn = features(name, x, out);
    const w = pointWeight(`${name}/weight`, [fanIn, out], fanIn);
    return linearOp(x, w, options.bias === false ? undefined : pointWeight(`${name}/bias`, [out], fanIn));
  });
}

/**
 * A Bayesian fully connected layer; see {@link bayesConv2d}.
 * @param x [batch, in]
 * @returns [samples * batch, out]
 */
export function bayesLinear(x: Tensor, out: number, options: { readonly name?: string } & BayesOptions = {}): Tensor {
  return scope("bayesLinear", options.name, (name) => {
    const t = trace();
    const s = settings({ ...t.bayes, ...pick(options) });
    const fanIn = features(name, x, out);
    const w = bayesWeight(`${name}/weight`, [fanIn, out], fanIn, s);
    const b = s.bias === "bayesian" ? bayesWeight(`${name}/bias`, [out], fanIn, s) : undefined;
    const point = s.bias === "point" ? pointWeight(`${name}/bias`, [out], fanIn) : undefined;
    if (t.mode === "mean") return linearOp(x, w.mu, b?.mu ?? point);
    if (s.estimator === "local")
      return bayesLinearOp(
        x,
        { mu: w.mu, sigma2: w.sigma2, biasMu: b?.mu ?? point, biasSigma2: b?.sigma2 },
        noiseFor(name),
      );
    const weights = drawWeights(w);
    const biases = b && drawWeights(b);
    return perSample(x, (part, i) => linearOp(part, weights[i], biases?.[i] ?? point));
  });
}

import type { Noise } from "../graph/trace.ts";
import { checkInt, checkObject } from "../util/errors.ts";
import { checkNoise, type NoiseAttrs } from "./shared/conv.ts";
import { apply, checkShape, f32, type OnnxOp, type Shape, type Tensor } from "./shared/op.ts";

type Attrs = NoiseAttrs & { readonly shape: readonly number[] };

const op: OnnxOp<Attrs> = {
  name: "gaussianNoise",
  infer([rng, rows], attrs) {
    for (const d of attrs.shape) checkInt("gaussianNoise", "every dimension", d, 1);
    checkInt("gaussianNoise", "the rank of the shape", attrs.shape.length, 1, 5);
    return [f32([checkNoise("gaussianNoise", rows?.shape[0], rng, rows, attrs), ...attrs.shape])];
  },
  onnx: (ctx, { layer, attrs, outputs: [y] }) =>
    ctx.noise(layer ?? `noise${attrs.stream}`, "", ctx.layout.dims(y.shape)),
  stopsGradient: true,
};

/**
 * Independent standard normals, a pure function of (seed, step, row, stream, sample, place): exactly those that a
 * Bayesian layer with the same noise adds to an output of this shape. The last dimension of `shape` is the channels.
 * @param noise rows [B]; weights that are drawn once for a whole batch use the constant row 0
 * @returns [samples * B, ...shape], sample by sample
 */
export function gaussianNoise(noise: Noise, shape: Shape): Tensor {
  const { rng, rows, stream, samples } = checkObject("gaussianNoise", "noise, as noiseFor gives it", noise);
  return apply(op, [rng, rows], { shape: checkShape("gaussianNoise", shape), stream, samples })[0];
}

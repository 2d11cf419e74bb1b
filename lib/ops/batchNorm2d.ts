import { apply, f32, type Op, type Tensor, type TensorType, typeName } from "../graph/node.ts";
import { effect } from "../graph/trace.ts";
import { BayesError, checkInt, checkNumber, checkOptions, fail } from "../util/errors.ts";
import type { OnnxContext, OnnxOp } from "./shared/onnx.ts";

type NormAttrs = {
  readonly epsilon: number;
};
type GradAttrs = NormAttrs & {
  /** The statistics are constants: no gradient runs through them. */
  readonly frozen: boolean;
};
type UpdateAttrs = {
  readonly momentum: number;
  readonly count: number;
};

/** Checks x and its per-channel tensors; returns the number of channels. */
function check(
  where: string,
  [x, ...perChannel]: readonly TensorType[],
  names: readonly string[],
  epsilon: number,
): number {
  if (x.dtype !== "f32" || (x.shape.length !== 4 && x.shape.length !== 2))
    fail(where, "x as f32[N, H, W, C] or f32[N, C]", typeName(x));
  const c = x.shape.at(-1)!;
  for (const [i, t] of perChannel.entries())
    if (t.dtype !== "f32" || t.shape.length !== 1 || t.shape[0] !== c)
      fail(where, `${names[i]} as f32[${c}], one number a channel`, typeName(t));
  checkNumber(where, "epsilon", epsilon, 1e-30);
  return c;
}

const gradOp: Op<GradAttrs> = {
  name: "batchNorm2dGrad", // dy, x, gamma, mean, variance -> dx, dgamma, dbeta
  activates: "backward",
  infer: ([dy, , gamma]) => [dy, gamma, gamma],
  inplace: [0], // dz is written to dx and x read after that: dx may take dy's place, never x's
  flops: ({ inputs: [dy] }) => 10 * dy.size,
};

const trainingOp: OnnxOp<NormAttrs> = {
  name: "batchNorm2d",
  activates: "forward",
  infer(inputs, { epsilon }) {
    const c = check("batchNorm2d", inputs, ["gamma", "beta"], epsilon);
    const { shape } = inputs[0];
    if (shape.slice(0, -1).every((d) => d === 1))
      fail(
        "batchNorm2d",
        "more than one value per channel in training (where the last batch of an epoch has one example, take another batchSize)",
        typeName(inputs[0]),
      );
    return [inputs[0], f32([c]), f32([c])];
  },
  grad([dy, dMean, dVariance], { inputs: [x, gamma], outputs: [, mean, variance], attrs }) {
    if (dMean || dVariance)
      throw new BayesError(
        "[batchNorm2d] expected a loss that does not depend on the batch's own mean and variance except through y, received one that does",
      );
    return apply(gradOp, [dy!, x, gamma, mean, variance], { ...attrs, frozen: false });
  },
  onnx(ctx, { inputs: [x], attrs: { epsilon } }, [input, gamma, beta]) {
    // of the batch's own statistics: ONNX's operator has them in training mode only, which no inference runtime runs
    const axes = x.shape.length === 4 ? [0, 2, 3] : [0];
    const mean = ctx.emit("ReduceMean", [input], { axes, keepdims: 1 });
    const centred = ctx.emit("Sub", [input, mean]);
    const variance = ctx.emit("ReduceMean", [ctx.emit("Mul", [centred, centred])], { axes, keepdims: 1 });
    const spread = ctx.emit("Sqrt", [ctx.emit("Add", [variance, ctx.scalar(epsilon)])]);
    const scaled = ctx.emit("Mul", [ctx.emit("Div", [centred, spread]), channel(ctx, gamma, x.shape)]);
    const flat = ctx.constant([x.shape.at(-1)!], [1], "shape");
    return [
      ctx.emit("Add", [scaled, channel(ctx, beta, x.shape)]),
      ctx.emit("Reshape", [mean, flat]),
      ctx.emit("Reshape", [variance, flat]),
    ];
  },
  flops: ({ inputs: [x] }) => 8 * x.size,
};

/** [C] as [C, 1, 1], to go with NCHW. */
const channel = (ctx: OnnxContext, name: string, shape: readonly number[]): string =>
  shape.length === 4 ? ctx.emit("Reshape", [name, ctx.constant([shape[3], 1, 1], [3], "shape")]) : name;

const inferenceOp: OnnxOp<NormAttrs> = {
  name: "batchNorm2dInference",
  activates: "forward",
  infer(inputs, { epsilon }) {
    check("batchNorm2dInference", inputs, ["gamma", "beta", "mean", "variance"], epsilon);
    return [inputs[0]];
  },
  channels: (flow, { inputs: [x, ...each] }) => flow.normalized(x, each, each[2]),
  grad: ([dy], { inputs: [x, gamma, , mean, variance], attrs }) =>
    apply(gradOp, [dy!, x, gamma, mean, variance], { ...attrs, frozen: true }),
  onnx: (ctx, { attrs: { epsilon } }, inputs) =>
    ctx.emit("BatchNormalization", inputs, { epsilon: { float: epsilon } }),
  inplace: [0],
  flops: ({ inputs: [x] }) => 3 * x.size,
};

const updateOp: Op<UpdateAttrs> = {
  name: "batchNorm2dUpdate",
  infer(inputs, { momentum, count }) {
    checkNumber("batchNorm2dUpdate", "momentum", momentum, 0, 1);
    checkInt("batchNorm2dUpdate", "count", count, 2);
    for (const t of inputs)
      if (t.dtype !== "f32" || t.shape.length !== 1 || t.shape[0] !== inputs[0].shape[0])
        fail("batchNorm2dUpdate", "four tensors f32[C]", typeName(t));
    return [];
  },
  mutates: () => [0, 1],
};

export interface BatchNormOptions {
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number;
}

/**
 * Batch normalization by the batch's own statistics (Ioffe and Szegedy 2015): over all axes but the last,
 * y = (x - mean) / sqrt(variance + epsilon) * gamma + beta.
 * @param x [N, H, W, C] or [N, C], more than one value per channel
 * @param gamma [C]
 * @param beta [C]
 * @returns y, and the batch's mean and biased variance [C] (for {@link batchNorm2dUpdate}; no gradient runs through them)
 */
export function batchNorm2d(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  options: BatchNormOptions = {},
): { readonly y: Tensor; readonly mean: Tensor; readonly variance: Tensor } {
  const { epsilon = 1e-5 } = checkOptions("batchNorm2d", options, { epsilon: "number" });
  const [y, mean, variance] = apply(trainingOp, [x, gamma, beta], { epsilon });
  return { y, mean, variance };
}

/** Batch normalization by given statistics, mean and variance [C], which are constants to the gradient. */
export const batchNorm2dInference = (
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  mean: Tensor,
  variance: Tensor,
  options: BatchNormOptions = {},
): Tensor => {
  const { epsilon = 1e-5 } = checkOptions("batchNorm2dInference", options, { epsilon: "number" });
  return apply(inferenceOp, [x, gamma, beta, mean, variance], { epsilon })[0];
};

/**
 * At the end of the step: running = (1 - momentum) running + momentum batch, the batch's variance made unbiased by
 * count / (count - 1) (as PyTorch).
 * @param runningMean parameter [C], written in place; so is runningVariance
 * @param mean of the batch [C], and its biased variance
 * @param options momentum (default 0.1), and count: values per channel that the statistics were taken over
 */
export function batchNorm2dUpdate(
  runningMean: Tensor,
  runningVariance: Tensor,
  mean: Tensor,
  variance: Tensor,
  options: { readonly momentum?: number; readonly count: number },
): void {
  const { momentum = 0.1, count } = checkOptions("batchNorm2dUpdate", options, { momentum: "number", count: "number" });
  effect(updateOp, [runningMean, runningVariance, mean, variance], { momentum, count });
}

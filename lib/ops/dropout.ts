import type { Noise } from "../graph/trace.ts";
import { checkInt, checkNumber, checkObject, fail, words } from "../util/errors.ts";
import { repeatBatch } from "./repeatBatch.ts";
import { apply, checkTensors, type OnnxOp, type Tensor, typeName } from "./shared/op.ts";

type DropoutAttrs = { readonly rate: number; readonly stream: number };

const op: OnnxOp<DropoutAttrs> = {
  name: "dropout",
  infer([x, rng, rows], { rate, stream }) {
    if (x.dtype !== "f32" || x.shape.length < 2) fail("dropout", "x as f32[N, ..., C]", typeName(x));
    if (rng.dtype !== "i32" || rng.shape.length !== 1 || rng.shape[0] !== 4)
      fail("dropout", "rng as i32[4]", typeName(rng));
    if (rows.dtype !== "i32" || rows.shape.length !== 1) fail("dropout", "rows as i32[B]", typeName(rows));
    if (x.shape[0] % rows.shape[0]) fail("dropout", `a batch that is a multiple of ${rows.shape[0]} rows`, x.shape[0]);
    checkNumber("dropout", "rate", rate, 0, 0.999999);
    checkInt("dropout", "stream", stream, 0, 65535);
    return [x];
  },
  grad: ([dy], { inputs: [, rng, rows], attrs }) => [apply(op, [dy!, rng, rows], attrs)[0]],
  channels: (flow, { inputs: [x] }) => flow.of(x),
  onnx(ctx, { attrs: { rate } }, [x]) {
    if (ctx.noiseMode === "inputs")
      fail("export", 'mode "mean", "random" or "ensemble" for dropout that stays on, whose noise is no standard normal', words('"noise"')); // biome-ignore format: long
    const keep = ctx.emit("GreaterOrEqual", [ctx.uniform(x), ctx.scalar(rate)]);
    return ctx.emit("Where", [keep, ctx.emit("Mul", [x, ctx.scalar(1 / (1 - rate))]), ctx.scalar(0)]);
  },
  inplace: [0],
};

/**
 * Inverted dropout (Srivastava et al. 2014): each element is 0 with probability `rate`, else divided by 1 - rate. The
 * mask is a function of (seed, step, row, sample, stream, element) and drawn again for the gradient.
 * @param x [B, ..., C], repeated for each sample if noise.samples > 1, or [samples*B, ..., C]
 * @param rate in [0, 1)
 * @param noise of this node: noiseFor(name)
 * @returns [samples*B, ..., C]
 */
export function dropout(x: Tensor, rate: number, noise: Noise): Tensor {
  const { rng, rows, stream, samples } = checkObject("dropout", "noise, as noiseFor gives it", noise);
  checkTensors("dropout", x, rng, rows);
  const all = x.shape[0] === rows.shape[0] ? repeatBatch(x, samples) : x;
  return rate === 0 ? all : apply(op, [all, rng, rows], { rate, stream })[0];
}

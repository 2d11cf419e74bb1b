import { apply, checkInt, f32, fail, type OnnxOp, type Op, type Tensor, typeName } from "./shared/op.ts";

type RepeatAttrs = {
  readonly samples: number;
};

const gradOp: Op<RepeatAttrs> = {
  name: "repeatBatchGrad",
  infer: ([dy], { samples }) => [f32([dy.shape[0] / samples, ...dy.shape.slice(1)])],
};

const op: OnnxOp<RepeatAttrs> = {
  name: "repeatBatch",
  infer([x], { samples }) {
    checkInt("repeatBatch", "samples", samples, 1, 2 ** 20);
    if (x.dtype !== "f32" || x.shape.length < 1) fail("repeatBatch", "f32[B, ...]", typeName(x));
    return [f32([samples * x.shape[0], ...x.shape.slice(1)])];
  },
  channels: (flow, { inputs: [x] }) => flow.of(x),
  grad: ([dy], { attrs }) => [apply(gradOp, [dy!], attrs)[0]],
  onnx: (ctx, { inputs: [{ shape }], attrs: { samples } }, [x]) =>
    ctx.emit("Tile", [
      x,
      ctx.constant(
        shape.map((_, i) => (i === 0 ? samples : 1)),
        [shape.length],
        "repeats",
      ),
    ]),
};

/** The batch again for each of `samples` Monte-Carlo samples: [B, ...] -> [samples*B, ...], sample-major. */
export const repeatBatch = (x: Tensor, samples: number): Tensor => (samples === 1 ? x : apply(op, [x], { samples })[0]);

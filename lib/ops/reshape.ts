import { copyList } from "../util/arrays.ts";
import { apply, checkInt, fail, type OnnxOp, type Shape, sizeOf, type Tensor } from "./shared/op.ts";

type ReshapeAttrs = {
  readonly shape: Shape;
};

const op: OnnxOp<ReshapeAttrs> = {
  name: "reshape",
  view: true,
  infer([x], { shape }) {
    for (const d of shape) checkInt("reshape", "every dimension", d, 1);
    if (shape.length > 6) fail("reshape", "at most 6 dimensions", [...shape]);
    if (sizeOf(shape) !== sizeOf(x.shape)) fail("reshape", `a shape of ${sizeOf(x.shape)} values`, [...shape]);
    return [{ shape, dtype: x.dtype }];
  },
  channels(flow, { inputs: [x], attrs: { shape } }) {
    // the last axis as it was, or whole pixels of it one after the other; what cuts it apart mixes channels
    const [from, to] = [x.shape.at(-1), shape.at(-1)];
    if (from === undefined || to === undefined || to % from) return undefined;
    const channels = flow.of(x);
    return Array.from({ length: to }, (_, i) => channels[i % from]);
  },
  grad: ([dy], { inputs }) => [reshape(dy!, inputs[0].shape)],
  onnx(ctx, { inputs, attrs: { shape } }, [x]) {
    // images are NCHW there: bring them into our order first and back afterwards, unless both orders are the same
    const from = inputs[0].shape;
    const before = sameOrder(from) ? undefined : ctx.layout.toOurs(from.length);
    const after = sameOrder(shape) ? undefined : ctx.layout.toOnnx(shape.length);
    const ours = before ? ctx.emit("Transpose", [x], { perm: before }) : x;
    // 0: as in the input; -1: whatever is left. The batch stays symbolic.
    const first = shape[0] === from[0] ? 0 : -1;
    const dims = after || shape.length !== 4 ? shape : [shape[0], shape[3], shape[1], shape[2]];
    const target = dims.map((d, i) => (i === 0 ? first : d));
    const y = ctx.emit("Reshape", [ours, ctx.constant(target, [target.length], "shape")]);
    return after ? ctx.emit("Transpose", [y], { perm: after }) : y;
  },
};

/** Whether NHWC and NCHW put the values of this shape into the same order. */
const sameOrder = (shape: Shape): boolean => shape.length !== 4 || shape[3] === 1 || shape[1] * shape[2] === 1;

/** The same values, in the same order (images: height, width, channels), seen with another shape. Costs nothing. */
export const reshape = (x: Tensor, shape: Shape): Tensor =>
  apply(op, [x], { shape: copyList("reshape", "the shape", shape) })[0];

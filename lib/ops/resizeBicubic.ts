import { checkInt, checkNumber, checkOptions } from "../util/errors.ts";
import { apply, checkTensors, f32, type OnnxOp, type Op, type Tensor } from "./shared/op.ts";
import { checkImages } from "./shared/window.ts";

type ResizeAttrs = {
  readonly height: number;
  readonly width: number;
  /** Pixels of x per pixel of the result: [vertical, horizontal]. */
  readonly step: readonly number[];
};

const gradOp: Op<ResizeAttrs> = {
  name: "resizeBicubicGrad",
  infer: ([dy], { height, width }) => [f32([dy.shape[0], height, width, dy.shape[3]])],
  flops: ({ inputs: [dy] }) => 16 * dy.size,
};

const op: OnnxOp<ResizeAttrs> = {
  name: "resizeBicubic",
  infer([x], { height, width, step }) {
    const [n, , , c] = checkImages("resizeBicubic", x);
    checkInt("resizeBicubic", "height", height, 1, 1 << 20);
    checkInt("resizeBicubic", "width", width, 1, 1 << 20);
    for (const s of step) checkNumber("resizeBicubic", "the step", s, 0);
    return [f32([n, height, width, c])];
  },
  grad([dy], { inputs: [x], attrs: { step } }) {
    return [apply(gradOp, [dy!], { height: x.shape[1], width: x.shape[2], step })[0]];
  },
  onnx(ctx, { inputs: [{ shape }], attrs: { height, width, step } }, [x]) {
    const cubic = {
      mode: "cubic",
      coordinate_transformation_mode: "half_pixel",
      cubic_coeff_a: { float: -0.75 },
    };
    if (step[0] !== shape[1] / height || step[1] !== shape[2] / width) {
      const scales = [1, 1, factor(shape[1], height, step[0]), factor(shape[2], width, step[1])];
      return ctx.emit("Resize", [x, "", ctx.constant(Float32Array.from(scales), [4])], cubic);
    }
    // by sizes, since H' / H need not be a float; the batch is read from the input, so it stays symbolic
    const one = (v: number): string => ctx.constant([v], [1]);
    const batch = ctx.emit("Slice", [ctx.emit("Shape", [x]), one(0), one(1)]);
    const sizes = ctx.emit("Concat", [batch, ctx.constant([shape[3], height, width], [3])], { axis: 0 });
    return ctx.emit("Resize", [x, "", "", sizes], cubic);
  },
  channels: (flow, { inputs: [x] }) => flow.of(x),
  flops: ({ outputs: [y] }) => 16 * y.size,
};

/** 1 / step as the float32 with which ONNX, that computes floor(from * factor), comes to the right size. */
function factor(from: number, to: number, step: number): number {
  const near = [1, 1 - 2 ** -23, 1 + 2 ** -23].map((f) => Math.fround(f * Math.fround(1 / step)));
  return near.find((f) => Math.floor(Math.fround(from * f)) === to) ?? near[0];
}

/** The new size, or a factor for both sides (H' = floor(H * scale)). */
export type ResizeOptions = { readonly height: number; readonly width: number } | { readonly scale: number };

type AnySize = { readonly scale?: number; readonly height?: number; readonly width?: number };

/**
 * Bicubic resampling (Keys 1981, a = -0.75), pixel centres at half integers and the border repeated: as PyTorch's
 * interpolate(mode="bicubic", align_corners=False), without smoothing when the image gets smaller. A pixel i of the result
 * lies at (i + 1/2) step - 1/2 of x. By `height` and `width` the step is H / H', as with PyTorch's size; by `scale` it is
 * 1 / scale, as with its scale_factor, also where H scale is no integer and the result ends a little before x does.
 * @param x [N, H, W, C]
 * @returns [N, H', W', C]
 */
export function resizeBicubic(x: Tensor, options: ResizeOptions): Tensor {
  checkTensors("resizeBicubic", x);
  const [, h, w] = checkImages("resizeBicubic", x);
  const {
    scale: both,
    height: rows,
    width: columns,
  } = checkOptions<AnySize>("resizeBicubic", options, {
    scale: "number",
    height: "number",
    width: "number",
  });
  if (both === undefined) {
    const height = checkInt("resizeBicubic", "height", rows, 1, 1 << 20);
    const width = checkInt("resizeBicubic", "width", columns, 1, 1 << 20);
    return apply(op, [x], { height, width, step: [h / height, w / width] })[0];
  }
  const scale = checkNumber("resizeBicubic", "scale", both, 1e-6, 1024);
  const [height, width] = [Math.floor(h * scale), Math.floor(w * scale)];
  const step = (from: number, to: number): number => (from * scale === to ? from / to : 1 / scale);
  return apply(op, [x], { height, width, step: [step(h, height), step(w, width)] })[0];
}

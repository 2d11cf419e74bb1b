import { checkInt, checkNumber } from "../errors.ts";
import { apply, f32, type Op, type Tensor } from "../graph/node.ts";
import { checkImages } from "./window.ts";

type ResizeAttrs = { readonly height: number; readonly width: number };

const gradOp: Op<ResizeAttrs> = {
  name: "resizeBicubicGrad",
  infer: ([dy], { height, width }) => [f32([dy.shape[0], height, width, dy.shape[3]])],
  flops: ({ inputs: [dy] }) => 16 * dy.size,
};

const op: Op<ResizeAttrs> = {
  name: "resizeBicubic",
  infer([x], { height, width }) {
    const [n, , , c] = checkImages("resizeBicubic", x);
    checkInt("resizeBicubic", "height", height, 1, 1 << 20);
    checkInt("resizeBicubic", "width", width, 1, 1 << 20);
    return [f32([n, height, width, c])];
  },
  grad([dy], { inputs: [x] }) {
    return [apply(gradOp, [dy!], { height: x.shape[1], width: x.shape[2] })[0]];
  },
  onnx(ctx, { inputs: [{ shape }], attrs: { height, width } }, [x]) {
    // by sizes, since H' / H need not be a float; the batch is read from the input, so it stays symbolic
    const one = (v: number): string => ctx.constant([v], [1]);
    const batch = ctx.emit("Slice", [ctx.emit("Shape", [x]), one(0), one(1)]);
    const sizes = ctx.emit("Concat", [batch, ctx.constant([shape[3], height, width], [3])], { axis: 0 });
    return ctx.emit("Resize", [x, "", "", sizes], {
      mode: "cubic",
      coordinate_transformation_mode: "half_pixel",
      cubic_coeff_a: { float: -0.75 },
    });
  },
  flops: ({ outputs: [y] }) => 16 * y.size,
};

/** The new size, or a factor for both sides (H' = floor(H * scale)). */
export type ResizeOptions = { readonly height: number; readonly width: number } | { readonly scale: number };

/**
 * Bicubic resampling (Keys 1981, a = -0.75), pixel centres at half integers and the border repeated: as PyTorch's
 * interpolate(mode="bicubic", align_corners=False), without smoothing when the image gets smaller.
 * @param x [N, H, W, C]
 * @returns [N, H', W', C]
 */
export function resizeBicubic(x: Tensor, options: ResizeOptions): Tensor {
  if (!("scale" in options)) return apply(op, [x], { height: options.height, width: options.width })[0];
  const [, h, w] = checkImages("resizeBicubic", x);
  const scale = checkNumber("resizeBicubic", "scale", options.scale, 1e-6, 1024);
  return apply(op, [x], { height: Math.floor(h * scale), width: Math.floor(w * scale) })[0];
}

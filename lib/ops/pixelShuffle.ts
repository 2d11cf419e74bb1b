import type { Channels } from "../graph/channels.ts";
import { apply, checkInt, f32, fail, type OnnxOp, type Tensor } from "./shared/op.ts";
import { checkImages } from "./shared/window.ts";

type ShuffleAttrs = {
  readonly factor: number;
};

const shuffleOp: OnnxOp<ShuffleAttrs> = {
  name: "pixelShuffle",
  infer([x], { factor: r }) {
    const [n, h, w, c] = checkImages("pixelShuffle", x);
    checkInt("pixelShuffle", "factor", r, 1, 1024);
    if (c % (r * r)) fail("pixelShuffle", `channels as a multiple of ${r}x${r}`, c);
    return [f32([n, h * r, w * r, c / (r * r)])];
  },
  channels(flow, { inputs: [x], attrs: { factor } }) {
    // the factor^2 channels that make one go together
    const all = flow.of(x);
    const parts = Array.from({ length: factor * factor }, (_, k) => all.filter((_, i) => i % (factor * factor) === k));
    return parts.reduce<Channels>((a, b) => flow.join(a, b), parts[0]);
  },
  grad: ([dy], { attrs }) => [apply(unshuffleOp, [dy!], attrs)[0]],
  onnx: (ctx, { attrs: { factor } }, [x]) => ctx.emit("DepthToSpace", [x], { blocksize: factor, mode: "CRD" }),
};

const unshuffleOp: OnnxOp<ShuffleAttrs> = {
  name: "pixelUnshuffle",
  infer([x], { factor: r }) {
    const [n, h, w, c] = checkImages("pixelUnshuffle", x);
    checkInt("pixelUnshuffle", "factor", r, 1, 1024);
    if (h % r || w % r) fail("pixelUnshuffle", `height and width as multiples of ${r}`, [h, w]);
    return [f32([n, h / r, w / r, c * r * r])];
  },
  grad: ([dy], { attrs }) => [apply(shuffleOp, [dy!], attrs)[0]],
  onnx(ctx, { outputs: [y], attrs: { factor: r } }, [x]) {
    // ONNX's SpaceToDepth puts the channel last; ours (CRD) puts it first
    const [, h, w, depth] = y.shape;
    const c = depth / (r * r);
    const split = ctx.emit("Reshape", [x, ctx.constant([0, c, h, r, w, r], [6], "shape")]);
    const moved = ctx.emit("Transpose", [split], { perm: [0, 1, 3, 5, 2, 4] });
    return ctx.emit("Reshape", [moved, ctx.constant([0, depth, h, w], [4], "shape")]);
  },
};

/**
 * Channels to space (Shi et al. 2016, "Real-time single image and video super-resolution", eq. 4; ONNX DepthToSpace, mode
 * CRD): channel c r^2 + i r + j of a pixel becomes channel c of its sub-pixel (i, j).
 * @param x [N, H, W, C r^2]
 * @returns [N, H r, W r, C]
 */
export const pixelShuffle = (x: Tensor, factor: number): Tensor => apply(shuffleOp, [x], { factor })[0];

/** The inverse of {@link pixelShuffle}: [N, H r, W r, C] -> [N, H, W, C r^2]. */
export const pixelUnshuffle = (x: Tensor, factor: number): Tensor => apply(unshuffleOp, [x], { factor })[0];

import type { Tensor } from "../graph/node.ts";
import { add, scale as affine, concat, pixelShuffle, repeatBatch, resizeBicubic, slice } from "../ops/index.ts";
import { fail } from "../util/errors.ts";
import { checkKit, type Kit } from "./kit.ts";

/** What the layers give counts so much, so that a new network is nearly the bicubic picture. */
const DETAIL = 1 / 8;
/** Where a predicted scale begins, before its softplus: 0.08 of the targets' spread, about the error of the bicubic picture. */
export const FIRST_SCALE = -2.5;

/**
 * The sub-pixel network of the paper's section on super-resolution (after Shi et al. 2016): conv 5x5 to 64, 3x3 to 64, 3x3 to
 * 32, 3x3 to scale^2 for each output, and the pixel shuffle. It is fully convolutional, pictures of any size alike.
 *
 * Two things that the paper's table does not say. Activations stand between the convolutions, none before the shuffle. And the
 * first output is added to the bicubic upscaling of x, so that the layers learn what that lacks (Kim et al. 2016): x and the
 * targets have to be in one unit, as `superResolutionModel` sees to. A second output is the scale of the noise before its softplus.
 * @param x [batch, height, width, 1], the luma of pictures
 * @param outputs 1, or 2 with predicted noise
 * @returns [batch, height * scale, width * scale, outputs]
 */
export function espcn(x: Tensor, kit: Kit, outputs: number, scale = 3): Tensor {
  const { conv, activate } = checkKit("espcn", kit, []);
  if (x.shape[3] !== 1) fail("espcn", "images of one channel, luma", x.shape[3]);
  if (outputs > 2) fail("espcn", "1 output, or 2 with predicted noise", outputs);
  let h = activate(conv(x, 64, 5, { name: "conv1", padding: 2 }));
  h = activate(conv(h, 64, 3, { name: "conv2", padding: 1 }));
  h = activate(conv(h, 32, 3, { name: "conv3", padding: 1 }));
  h = pixelShuffle(conv(h, outputs * scale * scale, 3, { name: "conv4", padding: 1 }), scale);
  const coarse = repeatBatch(resizeBicubic(x, { scale }), h.shape[0] / x.shape[0]); // the samples share it
  const one = [...h.shape.slice(0, 3), 1];
  const value = add(affine(slice(h, [0, 0, 0, 0], one), DETAIL), coarse);
  return outputs === 1 ? value : concat([value, affine(slice(h, [0, 0, 0, 1], one), 1, FIRST_SCALE)], 3);
}

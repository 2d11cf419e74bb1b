import type { Tensor } from "../graph/node.ts";
import { flatten, maxPool2d } from "../ops/index.ts";
import { checkNumber } from "../util/errors.ts";
import { checkKit, type Kit } from "./kit.ts";

/**
 * AlexNet for 32x32 (a smaller image is zero-padded to that) with the paper's widths: 11x11/4 to 64, 5x5 to 192, 3x3 to 384,
 * 256 and 128, one classifier. The frequentist twin has the same widths (the reference's has 256 in the last convolution).
 * Dropout may stand behind conv1, conv3 and conv5, as in the reference's frequentist net, whose rate is 0.5.
 * @param x [batch, height, width, channels]
 * @param width multiplies every number of filters. 0.5 is the paper's AlexNetHalf, whose weights are a quarter; with
 *   Math.SQRT1_2 they are half, so that a Bayesian net has as many parameters (a mean and a rho each) as the frequentist AlexNet
 * @returns [batch, outputs]
 */
export function alexnet(x: Tensor, kit: Kit, outputs: number, width = 1): Tensor {
  const { conv, head, activate, drop } = checkKit("alexnet", kit, ["conv1", "conv3", "conv5"]);
  checkNumber("alexnet", "the width", width, 0, 64);
  const filters = (n: number) => Math.max(1, Math.round(n * width));
  const pool = (h: Tensor) => maxPool2d(h, { kernel: 2 });
  const padding = 5 + Math.max(0, Math.ceil((32 - Math.min(x.shape[1], x.shape[2])) / 2));
  let h = pool(drop(activate(conv(x, filters(64), 11, { name: "conv1", stride: 4, padding })), "conv1"));
  h = pool(activate(conv(h, filters(192), 5, { name: "conv2", padding: 2 })));
  h = drop(activate(conv(h, filters(384), 3, { name: "conv3", padding: 1 })), "conv3");
  h = activate(conv(h, filters(256), 3, { name: "conv4", padding: 1 }));
  h = pool(drop(activate(conv(h, filters(128), 3, { name: "conv5", padding: 1 })), "conv5"));
  return head(flatten(h), outputs, { name: "classifier" });
}

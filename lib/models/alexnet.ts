import type { Tensor } from "../graph/node.ts";
import { flatten } from "../ops/flatten.ts";
import { maxPool2d } from "../ops/maxPool2d.ts";
import type { Kit } from "./kit.ts";

/**
 * AlexNet for 32x32 (a smaller image is zero-padded to that) with the paper's widths: 11x11/4 to 64, 5x5 to 192, 3x3 to 384, 256 and 128, one classifier. The
 * frequentist twin has the same widths (the reference's has 256 in the last convolution, and dropout).
 * @param width multiplies every number of filters; 0.5 is the paper's AlexNetHalf
 */
export function alexnet(x: Tensor, { conv, dense, activate }: Kit, outputs: number, width = 1): Tensor {
  const filters = (n: number) => Math.max(1, Math.round(n * width));
  const padding = 5 + Math.max(0, Math.ceil((32 - Math.min(x.shape[1], x.shape[2])) / 2));
  let h = maxPool2d(activate(conv(x, filters(64), 11, { name: "conv1", stride: 4, padding })), { kernel: 2 });
  h = maxPool2d(activate(conv(h, filters(192), 5, { name: "conv2", padding: 2 })), { kernel: 2 });
  h = activate(conv(h, filters(384), 3, { name: "conv3", padding: 1 }));
  h = activate(conv(h, filters(256), 3, { name: "conv4", padding: 1 }));
  h = maxPool2d(activate(conv(h, filters(128), 3, { name: "conv5", padding: 1 })), { kernel: 2 });
  return dense(flatten(h), outputs, { name: "classifier" });
}

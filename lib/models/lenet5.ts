import type { Tensor } from "../graph/node.ts";
import { flatten } from "../ops/flatten.ts";
import { maxPool2d } from "../ops/maxPool2d.ts";
import { checkImageSize, type Kit } from "./kit.ts";

/**
 * LeNet-5 as in the paper: conv 5x5 to 6, pool, conv 5x5 to 16, pool, 120, 84, classes. Made for 32x32; a smaller
 * image is zero-padded to that by the first convolution (28x28 gets a border of 2).
 * @param x [batch, 28 or 32, 28 or 32, channels]
 */
export function lenet5(x: Tensor, { conv, dense, activate }: Kit, outputs: number): Tensor {
  const padding = Math.max(0, Math.ceil((32 - x.shape[1]) / 2));
  checkImageSize("lenet5", x, 1, Math.max(1, 16 - 2 * padding)); // both layers and poolings leave a pixel of 16
  let h = maxPool2d(activate(conv(x, 6, 5, { name: "conv1", padding })), { kernel: 2 });
  h = maxPool2d(activate(conv(h, 16, 5, { name: "conv2" })), { kernel: 2 });
  h = activate(dense(flatten(h), 120, { name: "fc1" }));
  h = activate(dense(h, 84, { name: "fc2" }));
  return dense(h, outputs, { name: "fc3" });
}

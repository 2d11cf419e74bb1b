import type { Tensor } from "../graph/node.ts";
import { flatten, maxPool2d } from "../ops/index.ts";
import { checkImageSize, checkKit, type Kit } from "./kit.ts";

/**
 * LeNet-5 as in the paper (Shridhar et al. 2019): conv 5x5 to 6, pool, conv 5x5 to 16, pool, 120, 84, outputs. Made for
 * 32x32; a smaller image is zero-padded to that by the first convolution (28x28 gets a border of 2). Dropout may stand
 * behind conv1, conv2, fc1 and fc2.
 * @param x [batch, 28 or 32, 28 or 32, channels]
 * @returns [batch, outputs]
 */
export function lenet5(x: Tensor, kit: Kit, outputs: number): Tensor {
  const { conv, dense, activate, drop, head } = checkKit("lenet5", kit, ["conv1", "conv2", "fc1", "fc2"]);
  const padding = Math.max(0, Math.ceil((32 - x.shape[1]) / 2));
  checkImageSize("lenet5", x, 1, Math.max(1, 16 - 2 * padding)); // both layers and poolings leave a pixel of 16
  const pool = (h: Tensor) => maxPool2d(h, { kernel: 2 });
  let h = pool(drop(activate(conv(x, 6, 5, { name: "conv1", padding })), "conv1"));
  h = pool(drop(activate(conv(h, 16, 5, { name: "conv2" })), "conv2"));
  h = drop(activate(dense(flatten(h), 120, { name: "fc1" })), "fc1");
  h = drop(activate(dense(h, 84, { name: "fc2" })), "fc2");
  return head(h, outputs, { name: "fc3" });
}

/**
 * The LeNet-5 that comes with Caffe, on which papers about pruning report: conv 5x5 to 20, pool, conv 5x5 to 50, pool, 500,
 * outputs, without padding (431,080 weights and biases for 28x28 and ten outputs). As in those papers activations stand
 * behind the convolutions too. Dropout may stand behind conv1, conv2 and fc1.
 * @param x [batch, 28, 28, channels], or larger
 * @returns [batch, outputs]
 */
export function lenet5Caffe(x: Tensor, kit: Kit, outputs: number): Tensor {
  const { conv, dense, activate, drop, head } = checkKit("lenet5-caffe", kit, ["conv1", "conv2", "fc1"]);
  checkImageSize("lenet5-caffe", x, 16, 16);
  const pool = (h: Tensor) => maxPool2d(h, { kernel: 2 });
  let h = pool(drop(activate(conv(x, 20, 5, { name: "conv1" })), "conv1"));
  h = pool(drop(activate(conv(h, 50, 5, { name: "conv2" })), "conv2"));
  h = drop(activate(dense(flatten(h), 500, { name: "fc1" })), "fc1");
  return head(h, outputs, { name: "fc2" });
}

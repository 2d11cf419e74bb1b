import type { Tensor } from "../graph/node.ts";
import { flatten, maxPool2d } from "../ops/index.ts";
import { checkImageSize, checkKit, type Kit } from "./kit.ts";

/**
 * 3Conv3FC of the reference implementation: three 5x5 convolutions with overlapping pools, 1000, 1000, outputs. Dropout may
 * stand behind fc1 and fc2.
 * @param x [batch, height, width, channels], at least 23x23
 * @returns [batch, outputs]
 */
export function conv3fc3(x: Tensor, kit: Kit, outputs: number): Tensor {
  const { conv, dense, activate, drop, head } = checkKit("3conv3fc", kit, ["fc1", "fc2"]);
  checkImageSize("3conv3fc", x, 23, 23); // what three poolings leave a pixel of
  const pool = { kernel: 3, stride: 2 };
  let h = maxPool2d(activate(conv(x, 32, 5, { name: "conv1", padding: 2 })), pool);
  h = maxPool2d(activate(conv(h, 64, 5, { name: "conv2", padding: 2 })), pool);
  h = maxPool2d(activate(conv(h, 128, 5, { name: "conv3", padding: 1 })), pool);
  h = drop(activate(dense(flatten(h), 1000, { name: "fc1" })), "fc1");
  h = drop(activate(dense(h, 1000, { name: "fc2" })), "fc2");
  return head(h, outputs, { name: "fc3" });
}

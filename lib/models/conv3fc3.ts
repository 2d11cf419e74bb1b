import type { Tensor } from "../graph/node.ts";
import { flatten } from "../ops/flatten.ts";
import { maxPool2d } from "../ops/maxPool2d.ts";
import { checkImageSize, type Kit } from "./kit.ts";

/** 3Conv3FC of the reference implementation: three 5x5 convolutions with overlapping pools, 1000, 1000, classes. */
export function conv3fc3(x: Tensor, { conv, dense, activate }: Kit, outputs: number): Tensor {
  checkImageSize("3conv3fc", x, 23, 23); // what three poolings leave a pixel of
  const pool = { kernel: 3, stride: 2 };
  let h = maxPool2d(activate(conv(x, 32, 5, { name: "conv1", padding: 2 })), pool);
  h = maxPool2d(activate(conv(h, 64, 5, { name: "conv2", padding: 2 })), pool);
  h = maxPool2d(activate(conv(h, 128, 5, { name: "conv3", padding: 1 })), pool);
  h = activate(dense(flatten(h), 1000, { name: "fc1" }));
  h = activate(dense(h, 1000, { name: "fc2" }));
  return dense(h, outputs, { name: "fc3" });
}

import type { Tensor } from "../graph/node.ts";
import { globalAvgPool2d } from "../ops/index.ts";
import { checkNumber } from "../util/errors.ts";
import { checkKit, type Kit, LARGE_IMAGE } from "./kit.ts";

/** Filters and stride of each depthwise separable block (Howard et al. 2017, table 1). */
const BLOCKS: readonly (readonly [filters: number, stride: number])[] = [
  ...([[64, 1], [128, 2], [128, 1], [256, 2], [256, 1], [512, 2]] as const), // biome-ignore format: one line
  ...new Array<readonly [number, number]>(5).fill([512, 1]),
  ...([[1024, 2], [1024, 1]] as const), // biome-ignore format: one line
];
const LAST = `block${BLOCKS.length}/pointwise`;

/**
 * MobileNet (Howard et al. 2017, table 1): a 3x3 convolution, 13 blocks of a depthwise 3x3 and a pointwise 1x1 convolution, each
 * with a norm and an activation (and therefore no bias), global average pooling, one layer of outputs. The first convolution
 * halves images of more than 64 pixels and keeps the size of smaller ones. Dropout may stand before the outputs ("block13/pointwise").
 * @param x [batch, height, width, channels]
 * @param width multiplies every number of filters, from 0.25 to 1 (the paper's alpha: 0.25, 0.5, 0.75, 1)
 * @returns [batch, outputs]
 */
export function mobilenet(x: Tensor, kit: Kit, outputs: number, width = 1): Tensor {
  checkKit("mobilenet", kit, [LAST]);
  checkNumber("mobilenet", "the width", width, 0.25, 1);
  const conv = (h: Tensor, filters: number, kernel: number, stride: number, name: string, groups = 1): Tensor => {
    const y = kit.conv(h, filters, kernel, { name, stride, padding: (kernel - 1) / 2, groups, bias: false });
    return kit.norm(y, `${name}/norm`, true);
  };
  const large = Math.max(x.shape[1], x.shape[2]) > LARGE_IMAGE;
  let h = conv(x, Math.floor(32 * width), 3, large ? 2 : 1, "conv1");
  for (const [i, [filters, stride]] of BLOCKS.entries()) {
    const channels = h.shape[3];
    const depthwise = conv(h, channels, 3, stride, `block${i + 1}/depthwise`, channels);
    h = conv(depthwise, Math.floor(filters * width), 1, 1, `block${i + 1}/pointwise`);
  }
  return kit.head(kit.drop(globalAvgPool2d(h), LAST), outputs, { name: "classifier" });
}

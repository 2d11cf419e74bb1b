import type { Tensor } from "../graph/node.ts";
import { globalAvgPool2d, maxPool2d } from "../ops/index.ts";
import { checkKit, type Kit } from "./kit.ts";

const FILTERS = [64, 128, 256, 512, 512];

/**
 * The convolutions of a VGG net (Simonyan and Zisserman 2015, table 1) as they are usual on small images: a norm behind each (which
 * therefore has no bias), and one layer of outputs on the mean of what is left, in place of three large linear layers. Each
 * stage of 3x3 convolutions ends with max pooling, which is left out where a side has one pixel. Dropout may stand before the outputs
 * (behind the last convolution).
 * @param x [batch, height, width, channels]
 * @param depths convolutions of each stage
 */
function vgg(net: string, x: Tensor, kit: Kit, outputs: number, depths: readonly number[]): Tensor {
  const layers = depths.flatMap((depth, stage) =>
    Array.from({ length: depth }, (_, i) => ({ filters: FILTERS[stage], last: i === depth - 1 })),
  );
  const end = `conv${layers.length}`;
  checkKit(net, kit, [end]);
  let h = x;
  for (const [i, { filters, last }] of layers.entries()) {
    const name = `conv${i + 1}`;
    h = kit.norm(kit.conv(h, filters, 3, { name, padding: 1, bias: false }), `${name}/norm`, true);
    if (last && Math.min(h.shape[1], h.shape[2]) > 1) h = maxPool2d(h, { kernel: 2 });
  }
  return kit.head(kit.drop(globalAvgPool2d(h), end), outputs, { name: "classifier" });
}

/** VGG-11 (configuration A): eight convolutions and a layer of outputs. */
export const vgg11 = (x: Tensor, kit: Kit, outputs: number): Tensor => vgg("vgg11", x, kit, outputs, [1, 1, 2, 2, 2]);

/** VGG-16 (configuration D): thirteen convolutions and a layer of outputs. */
export const vgg16 = (x: Tensor, kit: Kit, outputs: number): Tensor => vgg("vgg16", x, kit, outputs, [2, 2, 3, 3, 3]);

/** DCGAN (Radford, Metz and Chintala 2016) as in the paper (Shridhar et al. 2019, chapter 6): 4x4 kernels, every layer doubles or halves the picture. */
import type { Tensor } from "../graph/node.ts";
import { bayesConv2d, bayesConvTranspose2d, conv2d, convTranspose2d } from "../layers/conv.ts";
import { batchNorm2d } from "../layers/norm.ts";
import { leakyRelu, relu, reshape, tanh } from "../ops/index.ts";
import { checkInt, checkOptions, fail } from "../util/errors.ts";

export interface DcganOptions {
  /** Whether its weights have distributions. Default: those of the discriminator alone, as in the paper. */
  readonly bayesian?: boolean;
  /** Filters of the layer next to the pictures, doubled by each further one; default 64. */
  readonly width?: number;
  /** Before its layers' names. Default "generator", "discriminator". */
  readonly name?: string;
  /** These layers once more: a discriminator that looks at real and at made pictures in one program. */
  readonly share?: boolean;
}
export interface DcganGeneratorOptions extends DcganOptions {
  /** Side of the pictures, 32 or 64 (default), ... */
  readonly size?: 32 | 64;
  /** ... and their channels, default 3. */
  readonly channels?: number;
}

const kinds = { bayesian: "boolean", width: "number", name: "string", share: "boolean" };

/**
 * Makes pictures of codes: transposed convolutions with batch norm and ReLU, tanh at the end.
 * @param z [batch, codes], normal numbers; the paper has 100
 * @returns [batch, size, size, channels], between -1 and 1
 */
export function dcganGenerator(z: Tensor, options: DcganGeneratorOptions = {}): Tensor {
  const own = checkOptions("dcganGenerator", options, { ...kinds, size: "number", channels: "number" });
  const { bayesian = false, width = 64, size = 64, channels = 3, name = "generator", share = false } = own;
  if (size !== 32 && size !== 64) fail("dcganGenerator", "size 32 or 64", size);
  checkInt("dcganGenerator", "width", width, 1, 4096);
  checkInt("dcganGenerator", "channels", channels, 1, 4096);
  const [batch, codes] = z.shape;
  if (z.shape.length !== 2) fail("dcganGenerator", "codes of shape [batch, codes]", z.shape);
  const up = bayesian ? bayesConvTranspose2d : convTranspose2d;
  let h = reshape(z, [batch, 1, 1, codes]);
  for (let side = 4; side <= size; side *= 2) {
    const first = side === 4;
    const last = side === size;
    const filters = last ? channels : (width * size) / (2 * side);
    const layer = { name: `${name}/up${side}`, stride: first ? 1 : 2, padding: first ? 0 : 1, bias: false, share };
    h = up(h, filters, 4, layer);
    h = last ? tanh(h) : relu(batchNorm2d(h, { name: `${name}/up${side}/norm`, share }));
  }
  return h;
}

/**
 * Says how real pictures look: convolutions with leaky ReLU (0.2), without norms, as the paper's tables have it.
 * @param x [batch, side, side, channels], side 32 or 64 (any power of two from 8 on), between -1 and 1
 * @returns [batch, 1], logits of "real"
 */
export function dcganDiscriminator(x: Tensor, options: DcganOptions = {}): Tensor {
  const own = checkOptions("dcganDiscriminator", options, kinds);
  const { bayesian = true, width = 64, name = "discriminator", share = false } = own;
  checkInt("dcganDiscriminator", "width", width, 1, 4096);
  const [, height, side] = x.shape;
  if (x.shape.length !== 4 || height !== side || side < 8 || Math.log2(side) % 1 !== 0)
    fail("dcganDiscriminator", "square pictures with a side of 8, 16, 32, 64, …", x.shape);
  const conv = bayesian ? bayesConv2d : conv2d;
  let h = x;
  for (let at = side, filters = width; at > 4; at /= 2, filters *= 2)
    h = leakyRelu(conv(h, filters, 4, { name: `${name}/down${at}`, stride: 2, padding: 1, bias: false, share }), 0.2);
  h = conv(h, 1, 4, { name: `${name}/out`, bias: false, share });
  return reshape(h, [h.shape[0], 1]); // of several Monte-Carlo samples, each has its rows
}

import type { Tensor } from "../graph/node.ts";
import { add, globalAvgPool2d, maxPool2d, pad } from "../ops/index.ts";
import { copyList } from "../util/arrays.ts";
import { checkInt, checkOptions, fail } from "../util/errors.ts";
import { checkKit, type Kit, LARGE_IMAGE } from "./kit.ts";

/** The shape of a {@link resnet}. */
export interface ResnetOptions {
  /** Filters of each stage; every stage but the first halves the image. */
  readonly filters: readonly number[];
  /** Blocks of two 3x3 convolutions in each stage. */
  readonly blocks: readonly number[];
  /**
   * Where a block changes the shape: "zeros" (default, option A of He et al. 2016) takes every second pixel and zeros for the
   * new channels, "projection" (option B) a 1x1 convolution with a norm.
   */
  readonly shortcut?: "zeros" | "projection";
  /** What comes first: "3x3" (default) keeps the size; "7x7" halves it, and a 3x3 max pooling once more. */
  readonly stem?: "3x3" | "7x7";
}

/**
 * A residual net of blocks of two 3x3 convolutions (He et al. 2016, section 4.2), a norm behind every convolution (which
 * therefore has no bias), global average pooling and one layer of outputs. Dropout may stand within the blocks, behind the
 * first activation ("stage1/block1/conv1" and so on; Zagoruyko and Komodakis 2016).
 * @param x [batch, height, width, channels]
 * @returns [batch, outputs]
 * @throws BayesError for a shape that makes no sense
 * @example
 * ```ts
 * import { categorical, Model } from "bayescnn";
 * import { kit, resnet } from "bayescnn/models";
 *
 * const layers = kit({ norm: "filter-response" });
 * using model = new Model({
 *   input: [32, 32, 3],
 *   likelihood: categorical(10),
 *   build: (x) => resnet(x, layers, 10, { filters: [8, 16, 32], blocks: [1, 1, 1] }), // ResNet-8
 * });
 * ```
 */
export function resnet(x: Tensor, kit: Kit, outputs: number, options: ResnetOptions): Tensor {
  const own = checkOptions("resnet", options, {
    filters: "object",
    blocks: "object",
    shortcut: "string",
    stem: "string",
  });
  const { shortcut: way = "zeros", stem = "3x3" } = own;
  if (way !== "zeros" && way !== "projection") fail("resnet", 'shortcut "zeros" or "projection"', way);
  if (stem !== "3x3" && stem !== "7x7") fail("resnet", 'stem "3x3" or "7x7"', stem);
  const stages = copyList("resnet", "filters", own.filters);
  const counts = copyList("resnet", "blocks", own.blocks);
  if (stages.length === 0 || stages.length !== counts.length)
    fail("resnet", "as many numbers of blocks as of filters, one a stage", [stages.length, counts.length]);
  stages.forEach((filters, i) => {
    checkInt("resnet", `filters of stage ${i + 1}`, filters, i > 0 && way === "zeros" ? stages[i - 1] : 1);
    checkInt("resnet", `blocks of stage ${i + 1}`, counts[i], 1);
  });
  const names = counts.flatMap((count, s) => Array.from({ length: count }, (_, b) => `stage${s + 1}/block${b + 1}`));
  const { activate, drop, head } = checkKit("resnet", kit, names.map((name) => `${name}/conv1`)); // biome-ignore format: one line

  const conv = (h: Tensor, filters: number, kernel: number, stride: number, name: string, active = false): Tensor => {
    const y = kit.conv(h, filters, kernel, { name, stride, padding: (kernel - 1) / 2, bias: false });
    return kit.norm(y, `${name}/norm`, active);
  };
  // goes by the filters of the options: those of h are fewer in a net that was shrunk, which has to have the same shortcuts
  const shortcut = (h: Tensor, stage: number, stride: number, name: string): Tensor => {
    if (stride === 1) return h; // within a stage nothing changes the shape
    if (way === "projection") return conv(h, stages[stage], 1, stride, `${name}/shortcut`);
    const seen = maxPool2d(h, { kernel: 1, stride });
    const more = stages[stage] - stages[stage - 1];
    return more === 0 ? seen : pad(seen, [0, 0, 0, 0], [0, 0, 0, more]);
  };

  let h = stem === "3x3" ? conv(x, stages[0], 3, 1, "conv1", true) : conv(x, stages[0], 7, 2, "conv1", true);
  if (stem === "7x7") h = maxPool2d(h, { kernel: 3, stride: 2, padding: 1 });
  for (const [stage, filters] of stages.entries())
    for (let block = 0; block < counts[stage]; block++) {
      const name = `stage${stage + 1}/block${block + 1}`;
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const inner = drop(conv(h, filters, 3, stride, `${name}/conv1`, true), `${name}/conv1`);
      h = activate(add(conv(inner, filters, 3, 1, `${name}/conv2`), shortcut(h, stage, stride, name)), true);
    }
  return head(globalAvgPool2d(h), outputs, { name: "classifier" });
}

/** ResNet-20 for 32x32 (He et al. 2016, section 4.2): three stages of three blocks with 16, 32 and 64 filters, shortcuts without parameters. */
export const resnet20 = (x: Tensor, kit: Kit, outputs: number): Tensor =>
  resnet(x, kit, outputs, { filters: [16, 32, 64], blocks: [3, 3, 3] });

/**
 * ResNet-18 (He et al. 2016, table 1): four stages of two blocks with 64 to 512 filters, projection shortcuts. Images of more
 * than 64 pixels begin with the 7x7 convolution and max pooling of the paper, smaller ones with a 3x3 convolution.
 */
export const resnet18 = (x: Tensor, kit: Kit, outputs: number): Tensor =>
  resnet(x, kit, outputs, {
    filters: [64, 128, 256, 512],
    blocks: [2, 2, 2, 2],
    shortcut: "projection",
    stem: Math.max(x.shape[1], x.shape[2]) > LARGE_IMAGE ? "7x7" : "3x3",
  });

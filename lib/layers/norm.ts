import type { Tensor } from "../graph/node.ts";
import { parameter, trace } from "../graph/trace.ts";
import { batchNorm2dInference, batchNorm2dUpdate, batchNorm2d as batchNormOp } from "../ops/batchNorm2d.ts";
import { checkNumber, checkOptions } from "../util/errors.ts";
import { isAmong } from "./names.ts";
import { type LayerOptions, layerKinds, layersOf, scope } from "./scope.ts";
import { checkInput } from "./weights.ts";

export interface BatchNormLayerOptions extends LayerOptions {
  /** Share of the batch's statistics in the running ones, per step. Default 0.1 (PyTorch's). */
  readonly momentum?: number;
  readonly epsilon?: number;
}

/**
 * Batch normalization over all axes but the last (Ioffe and Szegedy 2015): the batch's statistics in training, running
 * ones otherwise and where the layer is frozen. Parameters `name/gamma` and `name/beta`, state `name/mean` and `name/variance`, all [C].
 */
export function batchNorm2d(x: Tensor, options: BatchNormLayerOptions = {}): Tensor {
  const own = checkOptions<BatchNormLayerOptions>("batchNorm2d", options, {
    ...layerKinds,
    momentum: "number",
    epsilon: "number",
  });
  checkInput("batchNorm2d", x);
  return scope("batchNorm2d", own, (name) => {
    const { momentum = 0.1, epsilon = 1e-5 } = own;
    checkNumber(name, "momentum", momentum, 0, 1);
    const channels = x.shape.at(-1)!;
    const filled = (value: number) => () => new Float32Array(channels).fill(value);
    const gamma = parameter(`${name}/gamma`, [channels], filled(1));
    const beta = parameter(`${name}/beta`, [channels], filled(0));
    const mean = parameter(`${name}/mean`, [channels], filled(0), { trainable: false });
    const variance = parameter(`${name}/variance`, [channels], filled(1), {
      trainable: false,
      values: "not negative",
    });
    const count = x.size / channels;
    if (!trace().training || isAmong(layersOf().frozen, name))
      return batchNorm2dInference(x, gamma, beta, mean, variance, { epsilon });
    const batch = batchNormOp(x, gamma, beta, { epsilon });
    batchNorm2dUpdate(mean, variance, batch.mean, batch.variance, { momentum, count });
    return batch.y;
  });
}

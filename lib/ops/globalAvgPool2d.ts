import { checkTensors, type Tensor } from "../graph/node.ts";
import { avgPool2d } from "./avgPool2d.ts";
import { reshape } from "./reshape.ts";
import { checkImages } from "./shared/window.ts";

/** The mean over all pixels: [N, H, W, C] -> [N, C]. */
export function globalAvgPool2d(x: Tensor): Tensor {
  checkTensors("globalAvgPool2d", x);
  const [n, h, w, c] = checkImages("globalAvgPool2d", x);
  return reshape(avgPool2d(x, { kernel: [h, w] }), [n, c]);
}

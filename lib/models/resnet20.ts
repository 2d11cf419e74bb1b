import type { Tensor } from "../graph/node.ts";
import { batchNorm2d } from "../layers/norm.ts";
import { add } from "../ops/add.ts";
import { globalAvgPool2d } from "../ops/globalAvgPool2d.ts";
import { maxPool2d } from "../ops/maxPool2d.ts";
import { pad } from "../ops/slice.ts";
import type { Kit } from "./kit.ts";

/**
 * ResNet-20 for 32x32 (He et al. 2016, section 4.2): three stages of three blocks with 16, 32 and 64 filters, batch norm
 * after every convolution (which therefore has no bias), and shortcuts without parameters: every second pixel, and
 * zeros in the new channels.
 */
export function resnet20(x: Tensor, { conv, dense, activate }: Kit, outputs: number): Tensor {
  const norm = (h: Tensor, filters: number, stride: number, name: string): Tensor =>
    batchNorm2d(conv(h, filters, 3, { name, stride, padding: 1, bias: false }), { name: `${name}/norm` });
  let h = activate(norm(x, 16, 1, "conv1"));
  for (const [stage, filters] of [16, 32, 64].entries())
    for (let block = 0; block < 3; block++) {
      const name = `stage${stage + 1}/block${block + 1}`;
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const inner = activate(norm(h, filters, stride, `${name}/conv1`));
      h = activate(add(norm(inner, filters, 1, `${name}/conv2`), shortcut(h, filters, stride)));
    }
  return dense(globalAvgPool2d(h), outputs, { name: "classifier" });
}

function shortcut(x: Tensor, filters: number, stride: number): Tensor {
  const seen = stride === 1 ? x : maxPool2d(x, { kernel: 1, stride });
  const extra = filters - x.shape[3];
  return extra === 0 ? seen : pad(seen, [0, 0, 0, 0], [0, 0, 0, extra]);
}

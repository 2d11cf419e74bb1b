import type { Shape } from "../../lib/graph/node.ts";
import { type ResizeOptions, resizeBicubic } from "../../lib/ops/resizeBicubic.ts";
import { type OpCase, uniform, type Value } from "./harness.ts";
import { elementOf, fill } from "./transpose.ts";

// Keys' kernel, written piece by piece, a = -3/4
function weight(distance: number): number {
  const d = Math.abs(distance);
  if (d <= 1) return 1.25 * d ** 3 - 2.25 * d ** 2 + 1;
  if (d < 2) return -0.75 * d ** 3 + 3.75 * d ** 2 - 6 * d + 3;
  return 0;
}

/** Steps in pixels of x: by sizes H / H' (PyTorch's size), by a factor 1 / scale (its scale_factor). */
function reference(x: Value, height: number, width: number, options: ResizeOptions): Value {
  const [n, h, w, c] = x.shape;
  const [stepY, stepX] = "scale" in options ? [1 / options.scale, 1 / options.scale] : [h / height, w / width];
  const inside = (i: number, size: number): number => Math.min(Math.max(i, 0), size - 1);
  return fill([n, height, width, c], ([image, row, column, channel]) => {
    const y = (row + 0.5) * stepY - 0.5;
    const z = (column + 0.5) * stepX - 0.5;
    let sum = 0;
    for (let i = Math.floor(y) - 1; i <= Math.floor(y) + 2; i++)
      for (let j = Math.floor(z) - 1; j <= Math.floor(z) + 2; j++)
        sum += weight(y - i) * weight(z - j) * x.data[elementOf([image, inside(i, h), inside(j, w), channel], x.shape)];
    return sum;
  });
}

const row = (name: string, shape: Shape, options: ResizeOptions, [height, width]: readonly number[]): OpCase => ({
  name,
  inputs: { x: uniform(shape, 1) },
  build: (t) => resizeBicubic(t.x, options),
  reference: (v) => reference(v.x, height, width, options),
});

export const cases: OpCase[] = [
  row("three times larger, one channel", [1, 5, 4, 1], { scale: 3 }, [15, 12]),
  row("by another factor each way, batch 2", [2, 4, 7, 3], { height: 9, width: 8 }, [9, 8]),
  row("smaller, 17 channels", [1, 9, 8, 17], { scale: 0.5 }, [4, 4]),
  row("larger one way, smaller the other", [2, 3, 11, 6], { height: 10, width: 4 }, [10, 4]),
  row("by a factor that leaves a rest both ways", [1, 7, 5, 3], { scale: 1.5 }, [10, 7]),
  row("by a factor that leaves a rest one way", [2, 4, 5, 2], { scale: 1.75 }, [7, 8]),
  row("smaller, with a rest", [1, 9, 8, 5], { scale: 0.7 }, [6, 5]),
  row("by a third, which no float is", [1, 10, 9, 2], { scale: 1 / 3 }, [3, 3]),
  row("the same size", [1, 4, 5, 2], { scale: 1 }, [4, 5]),
  row("from one pixel", [2, 1, 1, 3], { height: 4, width: 2 }, [4, 2]),
  row("to one pixel", [1, 6, 5, 3], { height: 1, width: 1 }, [1, 1]),
];

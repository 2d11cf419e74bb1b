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

function reference(x: Value, height: number, width: number): Value {
  const [n, h, w, c] = x.shape;
  const inside = (i: number, size: number): number => Math.min(Math.max(i, 0), size - 1);
  return fill([n, height, width, c], ([image, row, column, channel]) => {
    const y = ((row + 0.5) * h) / height - 0.5;
    const z = ((column + 0.5) * w) / width - 0.5;
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
  reference: (v) => reference(v.x, height, width),
});

export const cases: OpCase[] = [
  row("three times larger, one channel", [1, 5, 4, 1], { scale: 3 }, [15, 12]),
  row("by another factor each way, batch 2", [2, 4, 7, 3], { height: 9, width: 8 }, [9, 8]),
  row("smaller, 17 channels", [1, 9, 8, 17], { scale: 0.5 }, [4, 4]),
  row("larger one way, smaller the other", [2, 3, 11, 6], { height: 10, width: 4 }, [10, 4]),
  row("the same size", [1, 4, 5, 2], { scale: 1 }, [4, 5]),
  row("from one pixel", [2, 1, 1, 3], { height: 4, width: 2 }, [4, 2]),
  row("to one pixel", [1, 6, 5, 3], { height: 1, width: 1 }, [1, 1]),
];

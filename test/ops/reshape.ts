import type { Shape } from "../../lib/graph/node.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { relu } from "../../lib/ops/relu.ts";
import { reshape } from "../../lib/ops/reshape.ts";
import { awayFromZero, type OpCase } from "./harness.ts";

// with a relu on either side, so that the view is neither an input nor an output of the program
const row = (name: string, from: Shape, to: Shape): OpCase => ({
  name,
  inputs: { x: awayFromZero(from, 1) },
  build: (t) => relu(reshape(relu(t.x), to)),
  reference: (v) => ({ shape: to, data: v.x.data.map((x) => Math.max(x, 0)) }),
});
const bare = (name: string, from: Shape, to: Shape, build: OpCase["build"]): OpCase => ({
  name,
  inputs: { x: awayFromZero(from, 2) },
  build,
  reference: (v) => ({ shape: to, data: v.x.data }),
});

export const cases: OpCase[] = [
  row("image to vector", [2, 3, 5, 6], [2, 90]),
  row("vector to image", [2, 90], [2, 5, 3, 6]),
  row("image to image", [2, 4, 6, 3], [2, 3, 4, 6]),
  row("image of one channel to vector", [1, 7, 5, 1], [1, 35]),
  row("one pixel to vector", [3, 1, 1, 17], [3, 17]),
  row("vector to one pixel", [3, 17], [3, 1, 1, 17]),
  row("samples and batch apart", [6, 5], [2, 3, 5]),
  row("samples and batch together", [2, 3, 5], [6, 5]),
  bare("flatten, input to output", [2, 3, 2, 5], [2, 30], (t) => flatten(t.x)),
  bare("flatten a batch of one", [1, 2, 2, 3], [1, 12], (t) => flatten(t.x)),
  bare("nothing changes", [2, 3], [2, 3], (t) => reshape(t.x, [2, 3])),
];

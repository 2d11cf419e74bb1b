import type { Shape } from "../../lib/graph/node.ts";
import { dropout } from "../../lib/ops/dropout.ts";
import { philox, streamWord } from "../../lib/util/philox.ts";
import { ints, type OpCase, uniform, type Value } from "./harness.ts";

interface Options {
  readonly rate: number;
  readonly samples?: number;
  readonly stream?: number;
}

/** The mask, number by number, from the words of the noise contract. */
function reference(v: Readonly<Record<string, Value>>, { rate, samples = 1, stream = 0 }: Options): Value {
  const [batch, ...rest] = v.x.shape;
  const c = rest.at(-1)!;
  const size = v.x.data.length / batch;
  const [low, high, step, first] = v.rng.data;
  const rows = v.rows.data;
  const all = batch === rows.length ? samples * batch : batch;
  const data = Float64Array.from({ length: all * size }, (_, i) => {
    const q = Math.floor(i / size);
    const pixel = Math.floor((i % size) / c);
    const channel = i % c;
    const word0 = pixel * Math.ceil(c / 4) + Math.floor(channel / 4);
    const word3 = streamWord(stream, first + Math.floor(q / rows.length));
    const u = philox([word0, rows[q % rows.length], step, word3], [low >>> 0, high >>> 0])[channel % 4];
    return u >= Math.floor(rate * 2 ** 32) ? v.x.data[i % v.x.data.length] / (1 - rate) : 0;
  });
  return { shape: [all, ...rest], data };
}

const row = (name: string, shape: Shape, rows: readonly number[], options: Options): OpCase => ({
  name,
  inputs: { x: uniform(shape, 1), rng: ints([4], [-1234567, 89, 7, 3]), rows: ints([rows.length], rows) },
  build: ({ x, rng, rows }) =>
    dropout(x, options.rate, { rng, rows, stream: options.stream ?? 0, samples: options.samples ?? 1 }),
  reference: (v) => reference(v, options),
  onnx: false,
});

export const cases: OpCase[] = [
  row("vectors", [2, 17], [0, 1], { rate: 0.5 }),
  row("one row, one number", [1, 1], [5], { rate: 0.3 }),
  row("images of six channels", [2, 3, 5, 6], [4, 9], { rate: 0.2, stream: 65534 }),
  row("images of eight channels", [1, 7, 5, 8], [70000], { rate: 0.9 }),
  row("images of one channel", [1, 9, 9, 1], [0], { rate: 0.5 }),
  row("more channels than one piece", [2, 2100], [3, 2], { rate: 0.5 }),
  row("batch repeated for each sample", [2, 2, 2, 3], [1, 0], { rate: 0.5, samples: 3 }),
  row("batch that holds the samples already", [6, 5], [1, 0], { rate: 0.5, samples: 3 }),
  row("several tasks", [2, 40, 31, 4], [1, 2], { rate: 0.1 }),
  row("rate zero", [2, 3], [0, 1], { rate: 0 }),
];

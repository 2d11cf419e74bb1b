import { gaussianNoise } from "../../lib/ops/gaussianNoise.ts";
import { philox } from "../../lib/util/philox.ts";
import { ints, type OpCase, type Value } from "./harness.ts";

const drawn = new Map<string, Value>(); // the gradient check asks for the same noise many times

/** The noise of lib/util/philox.ts in float64, from the scalar Philox: [samples * B, ...shape]. */
export function normals(rng: Value, rows: Value, stream: number, samples: number, shape: readonly number[]): Value {
  const key = JSON.stringify([[...rng.data], [...rows.data], stream, samples, shape]);
  const value = drawn.get(key) ?? draw(rng, rows, stream, samples, shape);
  drawn.set(key, value);
  return value;
}

function draw(rng: Value, rows: Value, stream: number, samples: number, shape: readonly number[]): Value {
  const [low, high, step, base] = rng.data;
  const channels = shape[shape.length - 1];
  const size = shape.reduce((a, b) => a * b, 1);
  const batch = rows.data.length;
  const data = new Float64Array(samples * batch * size);
  const quads = Math.ceil(channels / 4);
  for (let q = 0; q < samples * batch; q++)
    for (let i = 0; i < size; i++) {
      const [pixel, c] = [Math.floor(i / channels), i % channels];
      const word3 = stream * 65536 + base + Math.floor(q / batch);
      const u = philox([pixel * quads + Math.floor(c / 4), rows.data[q % batch], step, word3], [low, high]);
      const [a, b] = c % 4 < 2 ? [u[0], u[1]] : [u[2], u[3]];
      const radius = Math.sqrt(-2 * Math.log((a + 0.5) / 2 ** 32));
      const angle = (2 * Math.PI * b) / 2 ** 32;
      data[q * size + i] = radius * (c % 2 ? Math.sin(angle) : Math.cos(angle));
    }
  return { shape: [samples * batch, ...shape], data };
}

export const seed = ints([4], [123, 456, 7, 2]);

const row = (name: string, rows: number[], shape: number[], stream = 3, samples = 1): OpCase => ({
  name,
  inputs: { rng: seed, rows: ints([rows.length], rows) },
  build: (t) => gaussianNoise({ rng: t.rng, rows: t.rows, stream, samples }, shape),
  reference: (v) => normals(v.rng, v.rows, stream, samples, shape),
  tolerance: 1e-6,
  wrt: [],
});

export const cases: OpCase[] = [
  row("one number", [0], [1]),
  row("channels of every remainder by 4", [5, 1], [2, 3, 5]),
  row("six channels", [1], [7, 9, 6]),
  row("seven channels", [1], [4, 5, 7]),
  row("64 channels, rows out of order", [9, 0, 4], [5, 3, 64]),
  row("10 outputs, 3 samples", [0, 1, 2, 3], [10], 65535, 3),
  row("rows longer than a task", [2], [4100], 0),
  row("a weight", [0], [3, 3, 2, 5], 12),
];

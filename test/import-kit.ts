/** Weights by a formula that test/golden/pytorch.py has too, files of them, and the outputs of a model. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32, gunzipSync } from "node:zlib";
import { type SafeTensor, writeSafetensors } from "../lib/checkpoints/safetensors.ts";
import { compile } from "../lib/graph/compile.ts";
import { sizeOf } from "../lib/graph/node.ts";
import type { Model } from "../lib/models/model.ts";

const folder = new URL("golden/", import.meta.url);
export const golden = JSON.parse(readFileSync(new URL("torch.json", folder), "utf8")) as {
  formula: Record<string, { tensors: Record<string, number[]>; logits: number[][] }>;
  residual: Record<"f32" | "f16" | "bf16", number[][]>;
  onnx: number[][];
};

/** A golden file, unpacked into a folder. Returns its path. */
export function unpacked(name: string, dir: string): string {
  const bytes = readFileSync(new URL(name, folder));
  const path = join(dir, name.replace(/\.gz$/, ""));
  writeFileSync(path, name.endsWith(".gz") ? gunzipSync(bytes) : bytes);
  return path;
}

/** Numbers in [-0.5, 0.5), a function of the name and the index. */
function noise(name: string, count: number): Float64Array {
  const begin = crc32(name);
  return Float64Array.from({ length: count }, (_, i) => {
    let h = (Math.imul(i, 2654435761) + begin) >>> 0;
    h ^= h >>> 15;
    h = Math.imul(h, 2246822519) >>> 0;
    h ^= h >>> 13;
    return (h >>> 0) / 2 ** 32 - 0.5;
  });
}

export function made(name: string, shape: readonly number[]): Float32Array {
  const u = noise(name, sizeOf(shape));
  if (name.endsWith("running_var") || (name.endsWith("weight") && shape.length === 1))
    return Float32Array.from(u, (x) => 1 + 0.5 * x);
  if (shape.length < 2) return Float32Array.from(u, (x) => 0.2 * x);
  const scale = Math.sqrt(24 / sizeOf(shape.slice(1)));
  return Float32Array.from(u, (x) => x * scale);
}

/** Writes weights by the formula as PyTorch would; `change` may do something to them first. */
export function torchFile(
  path: string,
  shapes: Readonly<Record<string, readonly number[]>>,
  change: (tensors: Map<string, SafeTensor>) => unknown = () => {},
): string {
  const tensors = new Map<string, SafeTensor>(
    Object.entries(shapes).map(([name, shape]) => [
      name,
      name.endsWith("num_batches_tracked")
        ? { dtype: "I64", shape, data: BigInt64Array.of(20n) }
        : { dtype: "F32", shape, data: made(name, shape) },
    ]),
  );
  change(tensors);
  writeSafetensors(path, tensors, { format: "pt" });
  return path;
}

/** The outputs of a model for the images that both sides make: NCHW there, NHWC here. */
export function logits(model: Model, count: number): number[][] {
  const [h, w, c] = model.inputShape;
  const nchw = noise("images", count * c * h * w);
  const x = new Float32Array(nchw.length);
  for (let n = 0; n < count; n++)
    for (let ch = 0; ch < c; ch++)
      for (let p = 0; p < h * w; p++) x[(n * h * w + p) * c + ch] = nchw[(n * c + ch) * h * w + p];
  using program = compile({ store: model.store }, { x: [count, h, w, c] }, (t) => ({
    y: model.apply(t.x, { mode: "mean" }).output,
  }));
  const y = program.run({ x }).y as Float32Array;
  const each = y.length / count;
  return Array.from({ length: count }, (_, n) => [...y.subarray(n * each, (n + 1) * each)]);
}

/** The largest difference of two tables, in units of the largest value (at least 1). */
export function distance(a: number[][], b: number[][]): number {
  const size = Math.max(1, ...b.flat().map(Math.abs));
  return Math.max(...a.flatMap((row, n) => row.map((v, i) => Math.abs(v - b[n][i]) / size)));
}

/** Everything in the model's store, but for moments. */
export const contents = ({ store }: Model): Record<string, number[]> =>
  Object.fromEntries(
    [...store.slots.keys()]
      .filter((name) => !name.startsWith("optimizer/"))
      .map((name) => [name, [...store.get(name)]]),
  );

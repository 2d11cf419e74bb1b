// The programs of an op row, and of a layer of the product tests: what it computes, and the gradients of that.
import { grad } from "../../lib/autodiff/grad.ts";
import { constant, type DType, type Shape, type Tensor } from "../../lib/graph/node.ts";
import { add } from "../../lib/ops/add.ts";
import { leakyRelu } from "../../lib/ops/leakyRelu.ts";
import { mul } from "../../lib/ops/mul.ts";
import { softplus } from "../../lib/ops/softplus.ts";
import { sum } from "../../lib/ops/sum.ts";
import { type OpCase, uniform, type Value } from "../ops/harness.ts";
import type { Layer } from "./products-kit.ts";

export interface RowProgram {
  /** Gives gradients. */
  readonly backward: boolean;
  readonly specs: Readonly<Record<string, { readonly shape: Shape; readonly dtype: DType }>>;
  readonly feeds: Readonly<Record<string, Float32Array | Int32Array | Uint8Array>>;
  readonly build: (t: Readonly<Record<string, Tensor>>) => Record<string, Tensor>;
}

const list = <T>(x: T | readonly T[]): readonly T[] => (Array.isArray(x) ? (x as readonly T[]) : [x as T]);
const arrays = { f32: Float32Array, i32: Int32Array, u8: Uint8Array };

/** A number that depends on all elements of y in different ways. */
export const mixed = (y: Tensor): Tensor =>
  sum(mul(y, constant(Float32Array.from(uniform(y.shape, 99).data), y.shape)));

export function programsOf(c: OpCase): RowProgram[] {
  const type = (v: Value) => v.dtype ?? "f32";
  const names = Object.keys(c.inputs);
  const wrt = c.wrt ?? names.filter((k) => type(c.inputs[k]) === "f32");
  return (wrt.length ? [false, true] : [false]).map((backward) => ({
    backward,
    specs: Object.fromEntries(names.map((k) => [k, { shape: c.inputs[k].shape, dtype: type(c.inputs[k]) }])),
    feeds: Object.fromEntries(names.map((k) => [k, arrays[type(c.inputs[k])].from(c.inputs[k].data)])),
    build: (t) => {
      const outputs = list(c.build(t));
      if (!backward) return Object.fromEntries(outputs.map((o, i) => [`y${i}`, o]));
      const of = wrt.map((k) => t[k]);
      const parts = (c.gradOutputs ?? [0]).map((k) => mixed(outputs[k]));
      return Object.fromEntries(grad(parts.reduce(add), of).map((g, i) => [`d${wrt[i]}`, g]));
    },
  }));
}

/** Without the gradient of x, too (`first`): layers that stand first pool, and put gradients back, in the lanes. */
export function layerPrograms(
  { x, w, channels, ...layer }: Layer,
  samples: number,
): (Omit<RowProgram, "backward"> & { readonly first: boolean })[] {
  const shapes: Record<string, Shape> = samples
    ? { x, mu: w, sigma2: w, biasMu: [channels], biasSigma2: [channels] }
    : { x, w, b: [channels] };
  const names = Object.keys(shapes);
  const value = (name: string, i: number) =>
    Float32Array.from(uniform(shapes[name], i, /sigma2/i.test(name) ? 0.05 : -1).data);
  const noise = { rng: Int32Array.of(1, 2, 3, 0), rows: Int32Array.from({ length: x[0] }, (_, i) => 3 * i) };
  const spec = (shape: Shape, dtype: DType) => ({ shape, dtype });
  return [false, true].map((first) => ({
    first,
    specs: {
      ...Object.fromEntries(names.map((name) => [name, spec(shapes[name], "f32")])),
      ...{ rng: spec([4], "i32"), rows: spec([x[0]], "i32") },
    },
    feeds: { ...Object.fromEntries(names.map((name, i) => [name, value(name, i)])), ...noise },
    build: (t) => {
      const { rng, rows, ...weights } = t;
      const z = samples
        ? layer.bayes(
            t.x,
            weights as unknown as Parameters<Layer["bayes"]>[1],
            { rng, rows, stream: 3, samples } as never,
          )
        : layer.plain(t.x, t.w, t.b);
      const y = layer.activation ? { leaky: (v: Tensor) => leakyRelu(v, 0.3), softplus }[layer.activation](z) : z;
      const wrt = names.slice(first ? 1 : 0);
      const gradients = grad(
        mixed(y),
        wrt.map((name) => t[name]),
      );
      return { y, ...Object.fromEntries(gradients.map((g, i) => [`d${wrt[i]}`, g])) };
    },
  }));
}

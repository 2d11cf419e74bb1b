/** An ONNX model under construction: names, constants, noise and the final bytes. The wire format is proto.ts. */
import type { Tensor } from "../graph/node.ts";
import {
  NCHW,
  type OnnxAttrs,
  type OnnxContext,
  type OnnxData,
  type OnnxDim,
  type OnnxLayout,
  type OnnxNoiseMode,
} from "../ops/shared/onnx.ts";
import { BayesError, checkInt, fail } from "../util/errors.ts";
import { newArray } from "../util/memory.ts";
import { FLOAT, INT64, Message, nodeProto, tensorProto, valueInfoProto } from "./proto.ts";

/**
 * The newest opset that every runtime we know of can run: Debian's checker ends there, ReduceMean still takes its axes
 * as an attribute, and ONNX Runtime has no RandomNormalLike kernel for opset 22. IR 8 is the version that goes with it.
 */
export const OPSET = 17;
export const IR_VERSION = 8;

export interface OnnxGraphOptions {
  /** Graph name; default "model". */
  readonly name?: string;
  /** Default "mean". */
  readonly noiseMode?: OnnxNoiseMode;
  /** Seeds the RandomNormalLike nodes of mode `random`; a 32-bit unsigned integer, default 0. */
  readonly seed?: number;
  /** Contents of a tensor that depends on parameters and constants only; the exporter computes it. Default: throws. */
  readonly value?: (tensor: Tensor) => Float32Array;
  readonly producerVersion?: string;
  /** Documentation shown by viewers. */
  readonly doc?: string;
  /** `metadata_props`: strings kept in the file, in the order given. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Bijective mix of 32 bits (the finaliser of MurmurHash3). */
function mix32(value: number): number {
  let h = value >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** The array of shape `shape` with its axes in the order `perm`, as Transpose does, and its new shape. */
export function permuted(
  data: Float32Array,
  shape: readonly number[],
  perm: readonly number[],
): { data: Float32Array; dims: number[] } {
  const valid = perm.length === shape.length && shape.every((_, axis) => perm.includes(axis));
  if (!valid) fail("onnx weight", `a permutation of ${shape.length} axes`, perm);
  const dims = perm.map((axis) => shape[axis]);
  const strides = perm.map((axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1)); // in `data`, by new axis
  const out = newArray("onnx weight", "f32", data.length);
  const index = dims.map(() => 0);
  for (let i = 0, from = 0; i < out.length; i++) {
    out[i] = data[from];
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < dims[axis]) break;
      from -= strides[axis] * dims[axis];
      index[axis] = 0;
    }
  }
  return { data: out, dims };
}

/**
 * Builds one graph. The same calls give the same bytes.
 * Errors (an unknown value, a name used twice, noise in mode `mean`) are {@link BayesError}s.
 */
export class OnnxGraph implements OnnxContext {
  readonly layout: OnnxLayout = NCHW;
  readonly noiseMode: OnnxNoiseMode;
  readonly #options: OnnxGraphOptions;
  readonly #nodes: Message[] = [];
  readonly #initializers: Message[] = [];
  readonly #inputs: Message[] = [];
  readonly #outputs: Message[] = [];
  readonly #names = new Set<string>();
  readonly #counters = new Map<string, number>();
  readonly #scalars = new Map<string, string>();
  readonly #noise = new Map<string, string>();
  readonly #noiseSeeds = new Set<number>();
  readonly #weights = new Map<Tensor, Map<string, string>>();

  constructor(options: OnnxGraphOptions = {}) {
    checkInt("OnnxGraph", "seed", options.seed ?? 0, 0, 2 ** 32 - 1);
    this.#options = options;
    this.noiseMode = options.noiseMode ?? "mean";
  }

  /** Names of the noise inputs added so far, by label (mode `inputs`). */
  get noiseInputs(): ReadonlyMap<string, string> {
    return this.#noise;
  }

  #fresh(hint: string): string {
    for (;;) {
      const count = this.#counters.get(hint) ?? 0;
      this.#counters.set(hint, count + 1);
      const name = count === 0 && !/^[A-Z]/.test(hint) ? hint : `${hint}_${count}`;
      if (!this.#names.has(name)) return this.#claim(name);
    }
  }

  #claim(name: string): string {
    if (name === "" || this.#names.has(name)) fail("onnx", "a value name that is not empty and not in use", name);
    this.#names.add(name);
    return name;
  }

  /** Declares an input of the model. `dims` in ONNX order; a string is a symbolic dimension. Returns `name`. */
  input(name: string, dims: readonly OnnxDim[], dtype: "float32" | "int64" = "float32", doc?: string): string {
    this.#inputs.push(valueInfoProto(this.#claim(name), dtype === "int64" ? INT64 : FLOAT, dims, doc));
    return name;
  }

  /** Declares `value` to be an output of the model, under the public name `name`. Returns `name`. */
  output(
    name: string,
    value: string,
    dims: readonly OnnxDim[],
    dtype: "float32" | "int64" = "float32",
    doc?: string,
  ): string {
    this.#checkInputs("output", [value]);
    this.#node("Identity", [value], {}, [this.#claim(name)]);
    this.#outputs.push(valueInfoProto(name, dtype === "int64" ? INT64 : FLOAT, dims, doc));
    return name;
  }

  emit(opType: string, inputs: readonly string[], attrs: OnnxAttrs = {}, outputs = 1): string {
    return this.emitAll(opType, inputs, attrs, outputs)[0];
  }

  emitAll(opType: string, inputs: readonly string[], attrs: OnnxAttrs, outputs: number): string[] {
    checkInt(`onnx ${opType}`, "outputs", outputs, 1);
    this.#checkInputs(opType, inputs);
    const names = Array.from({ length: outputs }, () => this.#fresh(opType));
    this.#node(opType, inputs, attrs, names);
    return names;
  }

  #checkInputs(what: string, inputs: readonly string[]): void {
    for (const input of inputs) {
      if (input !== "" && !this.#names.has(input)) fail(`onnx ${what}`, "the name of an earlier value", input);
    }
  }

  #node(opType: string, inputs: readonly string[], attrs: OnnxAttrs, outputs: readonly string[]): void {
    this.#nodes.push(nodeProto(`${outputs[0]}/${opType}`, opType, inputs, outputs, attrs));
  }

  constant(data: OnnxData, dims: readonly number[], hint = "constant"): string {
    const name = this.#fresh(hint);
    this.#initializers.push(tensorProto(`onnx constant ${name}`, data, dims, name));
    return name;
  }

  scalar(value: number): string {
    const single = Math.fround(value);
    const key = Object.is(single, -0) ? "-0" : String(single);
    const known = this.#scalars.get(key);
    if (known !== undefined) return known;
    const name = this.constant(Float32Array.of(single), [], "scalar");
    this.#scalars.set(key, name);
    return name;
  }

  value(tensor: Tensor): Float32Array {
    const { value } = this.#options;
    if (value === undefined) throw new BayesError(`[onnx] the contents of ${tensor} are not known to this export`);
    return value(tensor);
  }

  weight(tensor: Tensor, perm?: readonly number[], hint = "weight"): string {
    const key = perm?.join() ?? "";
    const known = this.#weights.get(tensor) ?? new Map<string, string>();
    this.#weights.set(tensor, known);
    const existing = known.get(key);
    if (existing !== undefined) return existing;
    const contents = this.value(tensor);
    const { data, dims } = perm ? permuted(contents, tensor.shape, perm) : { data: contents, dims: tensor.shape };
    const name = this.constant(data, dims, hint);
    known.set(key, name);
    return name;
  }

  noise(label: string, like: string, shape: readonly OnnxDim[]): string {
    if (this.noiseMode === "mean") {
      throw new BayesError(`[onnx] noise ${JSON.stringify(label)} asked for, but the export uses mean weights`);
    }
    if (this.#noise.has(label)) fail("onnx noise", "a label that is not in use", label);
    const name =
      this.noiseMode === "inputs"
        ? this.input(`noise/${label}`, shape, "float32", "independent standard normals")
        : this.emit("RandomNormalLike", [like], {
            mean: { float: 0 },
            scale: { float: 1 },
            seed: { float: this.#noiseSeed() },
          });
    this.#noise.set(label, name);
    return name;
  }

  uniform(like: string): string {
    if (this.noiseMode !== "random") fail("onnx", 'uniform numbers in mode "random"', this.noiseMode);
    const range = { low: { float: 0 }, high: { float: 1 } };
    return this.emit("RandomUniformLike", [like], { ...range, seed: { float: this.#noiseSeed() } });
  }

  /**
   * A seed no other node has: equal seeds give equal noise. The attribute is a float, so 24 bits; hashed rather than
   * counted, because ONNX Runtime's generator is a linear congruence, whose first draws from seeds 1, 2, 3 are alike.
   */
  #noiseSeed(): number {
    for (let i = this.#noiseSeeds.size; ; i++) {
      const seed = mix32(mix32(this.#options.seed ?? 0) ^ (i + 1)) >>> 8;
      if (seed === 0 || this.#noiseSeeds.has(seed)) continue;
      this.#noiseSeeds.add(seed);
      return seed;
    }
  }

  /** The ModelProto as bytes. */
  encode(): Uint8Array {
    if (this.#outputs.length === 0) throw new BayesError("[onnx] the model has no output");
    const { name = "model", producerVersion, doc, metadata = {} } = this.#options;
    const graph = new Message();
    for (const node of this.#nodes) graph.message(1, node);
    graph.string(2, name);
    for (const initializer of this.#initializers) graph.message(5, initializer);
    if (doc !== undefined) graph.string(10, doc);
    for (const input of this.#inputs) graph.message(11, input);
    for (const output of this.#outputs) graph.message(12, output);

    const model = new Message().int(1, IR_VERSION).string(2, "bayescnn");
    if (producerVersion !== undefined) model.string(3, producerVersion);
    if (doc !== undefined) model.string(6, doc);
    model.message(7, graph).message(8, new Message().string(1, "").int(2, OPSET));
    for (const [key, value] of Object.entries(metadata)) {
      model.message(14, new Message().string(1, key).string(2, value));
    }
    return model.bytes();
  }
}

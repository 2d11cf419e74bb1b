/** Files with somebody else's weights, as tensors by name. What is read is bounded and checked; nothing of it is run. */

import { type Checkpoint, loadCheckpoint } from "../checkpoints/checkpoint.ts";
import { readSafetensors, SafetensorsFile } from "../checkpoints/safetensors.ts";
import { ARRAYS, elements } from "../checkpoints/safetensors-header.ts";
import { roleOf } from "../graph/roles.ts";
import { type Initializer, readOnnxWeights, type UsedWeights } from "../onnx/read.ts";
import { BayesError, checkPath, failFile, shorten, words } from "../util/errors.ts";
import { newArray } from "../util/memory.ts";
import { headOf, readRegular } from "../util/regular.ts";

/** A tensor of floating-point numbers in a file. */
export interface ForeignTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** A fully connected layer's weight is [in, out]; false: [out, in], PyTorch's. */
  readonly inputsFirst: boolean;
  /** Flattened features lie in the order H, W, C; false: C, H, W, PyTorch's. */
  readonly channelsLast: boolean;
  /** Its values as float32. */
  values(): Float32Array;
}

export interface Source {
  /** "torch": convolutions [out, in, kh, kw], and what a flatten gives in the order C, H, W; "ours": as in our store. */
  readonly layout: "torch" | "ours";
  readonly tensors: ReadonlyMap<string, ForeignTensor>;
  /** Of an ONNX file: its layers in the order of the graph. */
  readonly layers?: readonly UsedWeights[];
  /** Of a checkpoint of this library: all of it. */
  readonly checkpoint?: Checkpoint;
}

/**
 * Reads a safetensors file (of this library or of others) or an ONNX file.
 * @throws BayesError (ERR_BAYES_FILE) for anything else, with advice where it is a checkpoint of torch.save
 */
export function openSource(where: string, path: string): Source {
  checkPath(where, path);
  const head = headOf(path, 9);
  if (!beginsSafetensors(head) && head.length > 0) {
    if (head[0] === 0x50 && head[1] === 0x4b) refusePickle(path, "a zip file, such as torch.save writes");
    if (head[0] === 0x80 && head[1] >= 2 && head[1] <= 5) refusePickle(path, "a pickle, such as torch.save once wrote");
    return onnx(path);
  }
  if (isCheckpoint(path)) {
    const checkpoint = loadCheckpoint(path);
    return { layout: "ours", checkpoint, tensors: floats(path, checkpoint.tensors, true) };
  }
  return { layout: "torch", tensors: floats(path, readSafetensors(path).tensors, false) };
}

/** Whether the first nine bytes are a safetensors file's: "{" behind eight bytes of length, which may be any. */
const beginsSafetensors = (head: Uint8Array): boolean => head[8] === 0x7b;

/** Whether a file is a checkpoint of this library; of a safetensors file the header is read. */
export function isCheckpoint(path: string): boolean {
  if (!beginsSafetensors(headOf(path, 9))) return false;
  using file = new SafetensorsFile(path);
  return file.metadata.format === "bayescnn";
}

function refusePickle(path: string, what: string): never {
  throw new BayesError(
    `[${path}] expected a safetensors or ONNX file, received ${what}, whose reading may run any program; in Python, where the file is trusted: from safetensors.torch import save_model; save_model(model, "model.safetensors")`,
    { code: "ERR_BAYES_FILE" },
  );
}

type Numbers = {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: ArrayLike<number | bigint>;
};

/** Tensors of numbers that are not integers; those of integers (num_batches_tracked) are no weights. */
function floats(path: string, all: ReadonlyMap<string, Numbers>, ours: boolean): Map<string, ForeignTensor> {
  const found = new Map<string, ForeignTensor>();
  for (const [name, { dtype, shape, data }] of all)
    if (["F32", "F16", "BF16", "F64"].includes(dtype))
      found.set(name, {
        name,
        shape,
        inputsFirst: ours,
        channelsLast: ours,
        values: () => asFloat32(`${path}: ${name}`, dtype, data as ArrayLike<number>),
      });
    else if (!/(^|\.)num_batches_tracked$/.test(name) && roleOf(name).role !== "moment")
      failFile(`${path}: ${shorten(name, 80)}`, "weights of F32, F16, BF16 or F64", dtype);
  return found;
}

function onnx(path: string): Source {
  const { initializers, layers } = readOnnxWeights(readRegular(path, { what: "a safetensors or ONNX file" }), path);
  const uses = new Map<string, Pick<ForeignTensor, "inputsFirst" | "channelsLast">>();
  for (const { inputs, inputsFirst, channelsLast } of layers)
    for (const name of inputs) {
      const before = uses.get(name);
      if (name && before && (before.inputsFirst !== inputsFirst || before.channelsLast !== channelsLast))
        failFile(path, "every weight to be used one way", name);
      uses.set(name, { inputsFirst, channelsLast });
    }
  const tensors = new Map<string, ForeignTensor>();
  for (const [name, { shape, dtype, bytes }] of initializers)
    tensors.set(name, {
      name,
      shape,
      ...(uses.get(name) ?? { inputsFirst: false, channelsLast: false }),
      values: () => asFloat32(`${path}: ${name}`, dtype, elementsOf({ dtype, bytes, shape })),
    });
  return { layout: "torch", tensors, layers };
}

function elementsOf({ dtype, bytes, shape }: Pick<Initializer, "dtype" | "bytes" | "shape">): ArrayLike<number> {
  const array = ARRAYS[dtype];
  return new array(new Uint8Array(bytes).buffer, 0, elements(shape));
}

/** @throws BayesError for a value that is NaN or infinite, also where it is too large for float32 */
function asFloat32(where: string, dtype: string, data: ArrayLike<number>): Float32Array {
  const values = newArray(where, "f32", data.length, "a smaller file would fit");
  const read = dtype === "F16" ? halfToFloat : dtype === "BF16" ? bfloatToFloat : (x: number) => x;
  for (let i = 0; i < values.length; i++) {
    values[i] = read(data[i]);
    if (!Number.isFinite(values[i])) failFile(where, "finite values", words(`${read(data[i])} at ${i}`));
  }
  return values;
}

/** IEEE 754 binary16, from its bits. */
export function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

const word = new DataView(new ArrayBuffer(4));
/** bfloat16, from its bits: the upper half of a float32. */
export function bfloatToFloat(bits: number): number {
  word.setUint32(0, bits * 65536);
  return word.getFloat32(0);
}

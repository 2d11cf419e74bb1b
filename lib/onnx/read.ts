/** The weights of an ONNX file, and which layers use them: enough of a reader to import a net, and nothing to run one. */
import { elements } from "../checkpoints/safetensors-header.ts";
import { failFile, shorten, words } from "../util/errors.ts";
import { type Field, fields, malformed, packed, text } from "./wire.ts";

/** TensorProto.DataType of the numbers that a weight may have, and their bytes. */
const FLOATS = { 1: ["F32", 4], 10: ["F16", 2], 11: ["F64", 8], 16: ["BF16", 2] } as const;

const MOST_NODES = 1 << 20;
const MOST_DIMENSIONS = 64;

/** An initializer of floating-point numbers. */
export interface Initializer {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: "F32" | "F16" | "F64" | "BF16";
  /** Its elements, little-endian. */
  readonly bytes: Uint8Array;
}

/** What a node of the graph uses as its weights, by their place among its inputs. */
export interface UsedWeights {
  /** "Conv", "ConvTranspose", "Gemm", "MatMul" or "BatchNormalization". */
  readonly op: string;
  readonly node: string;
  /** Names of initializers, "" where it has none: weight and bias, or those of a norm: scale, bias, mean, variance. */
  readonly inputs: readonly string[];
  /** A weight of shape [in, out], as x w wants it; PyTorch writes [out, in] and asks for its transpose. */
  readonly inputsFirst: boolean;
  /** Behind a flatten of an image that was brought into the order H, W, C (as tf2onnx and this library's export do). */
  readonly channelsLast: boolean;
}

export interface OnnxWeights {
  readonly initializers: ReadonlyMap<string, Initializer>;
  /** In the order of the graph. */
  readonly layers: readonly UsedWeights[];
}

interface GraphNode {
  readonly op: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attrs: ReadonlyMap<string, number | readonly number[]>;
}

/**
 * Takes an ONNX file apart (onnx.proto of ONNX 1.12 has the numbers of the fields).
 * @param where the file's name
 * @throws BayesError (ERR_BAYES_FILE) for what is none, or keeps its weights in files beside it
 */
export function readOnnxWeights(bytes: Uint8Array, where: string): OnnxWeights {
  let graph: Uint8Array | undefined;
  for (const field of fields(bytes, where)) if (field.number === 7) graph = field.bytes;
  if (!graph) throw malformed(where);
  const initializers = new Map<string, Initializer>();
  const nodes: GraphNode[] = [];
  for (const { number, bytes: part } of fields(graph, where)) {
    if (number === 1 && part) nodes.push(nodeOf(part, where));
    if (nodes.length > MOST_NODES) failFile(where, `a graph of at most ${MOST_NODES} nodes`, words("more"));
    if (number !== 5 || !part) continue;
    const found = initializerOf(part, where);
    if (found && initializers.has(found.name)) failFile(where, "every initializer once", found.name);
    if (found) initializers.set(found.name, found);
  }
  return { initializers, layers: layersOf(nodes, initializers) };
}

function initializerOf(message: Uint8Array, where: string): Initializer | undefined {
  const shape: number[] = [];
  const numbers: Field[] = [];
  let [type, name, raw, external] = [0, "", undefined as Uint8Array | undefined, false];
  for (const field of fields(message, where)) {
    const { number, bytes, int } = field;
    if (number === 1) shape.push(...(bytes ? packed(bytes, where) : [int]));
    else if (number === 2) type = int;
    if (shape.length > MOST_DIMENSIONS) throw malformed(where);
    if (number === 8) name = text(bytes);
    else if (number === 9) raw = bytes;
    else if (number === 14) external = int === 1;
    else if (number === 4 || number === 5 || number === 10) numbers.push(field); // float_data, int32_data, double_data
  }
  if (!Object.hasOwn(FLOATS, type)) return undefined; // shapes, indices
  const at = `${where}: ${shorten(name, 80)}`;
  if (external) failFile(at, "weights inside the file", words("a reference to a file beside it"));
  const [dtype, width] = FLOATS[type as keyof typeof FLOATS];
  const size = elements(shape);
  if (size === undefined || shape.some((d) => d < 0)) failFile(at, "dimensions that are integers >= 0", shape);
  const content = raw ?? gathered(numbers, width, where);
  if (content.length !== size * width)
    failFile(at, `${size * width} bytes for ${dtype} [${shape.join(", ")}]`, content.length);
  return { name, shape, dtype, bytes: content };
}

/** Elements that stand in fields of their own kind in place of raw_data; those of half floats are varints. */
function gathered(numbers: readonly Field[], width: number, where: string): Uint8Array {
  const pieces = numbers.map(({ number, bytes, int }) => {
    if (number !== 5) return bytes ?? new Uint8Array(0);
    return new Uint8Array(Uint16Array.from(bytes ? packed(bytes, where) : [int]).buffer);
  });
  return numbers.some(({ number }) => number !== { 4: 4, 8: 10, 2: 5 }[width])
    ? new Uint8Array(0)
    : new Uint8Array(Buffer.concat(pieces));
}

function nodeOf(message: Uint8Array, where: string): GraphNode {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attrs = new Map<string, number | readonly number[]>();
  let [op, name] = ["", ""];
  for (const { number, bytes } of fields(message, where)) {
    if (!bytes) continue;
    if (number === 1) inputs.push(text(bytes));
    else if (number === 2) outputs.push(text(bytes));
    else if (number === 3) name = text(bytes);
    else if (number === 4) op = text(bytes);
    else if (number === 5) attribute(bytes, attrs, where);
  }
  return { op, name, inputs, outputs, attrs };
}

/** Adds an attribute that is one number, or a list of integers. */
function attribute(message: Uint8Array, attrs: Map<string, number | readonly number[]>, where: string): void {
  const list: number[] = [];
  let [name, value] = ["", undefined as number | undefined];
  for (const { number, bytes, int } of fields(message, where)) {
    if (number === 1) name = text(bytes);
    else if (number === 3) value = int;
    else if (number === 8) list.push(...(bytes ? packed(bytes, where) : [int]));
    else if (number === 2 && bytes?.length === 4)
      value = new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true);
  }
  if (list.length > MOST_DIMENSIONS) throw malformed(where);
  if (list.length > 0 || value !== undefined) attrs.set(name, list.length > 0 ? list : value!);
}

function layersOf(nodes: readonly GraphNode[], initializers: ReadonlyMap<string, Initializer>): UsedWeights[] {
  const known = (name: string | undefined): string => (name !== undefined && initializers.has(name) ? name : "");
  // x w + b of two nodes: the bias is what is added to the product
  const adds = new Map(nodes.flatMap((n) => (n.op === "Add" ? n.inputs.map((value) => [value, n] as const) : [])));
  const added = (value: string): string =>
    known(adds.get(value)?.inputs.find((name) => initializers.get(name)?.shape.length === 1));
  const makers = new Map(nodes.flatMap((n) => n.outputs.map((value) => [value, n] as const)));
  const layers: UsedWeights[] = [];
  for (const { op, name, inputs, outputs, attrs } of nodes) {
    if (!known(inputs[1])) continue;
    const channelsLast = !op.startsWith("Conv") && flattensLast(inputs[0], makers);
    const layer = { op, node: name || outputs[0] || op, inputsFirst: false, channelsLast };
    if (op === "Conv" || op === "ConvTranspose") layers.push({ ...layer, inputs: [inputs[1], known(inputs[2])] });
    else if (op === "BatchNormalization") layers.push({ ...layer, inputs: inputs.slice(1, 5).map(known) });
    else if (op === "MatMul") layers.push({ ...layer, inputs: [inputs[1], added(outputs[0])], inputsFirst: true });
    else if (op === "Gemm" && !attrs.get("transA") && (attrs.get("alpha") ?? 1) === 1 && (attrs.get("beta") ?? 1) === 1)
      layers.push({ ...layer, inputs: [inputs[1], known(inputs[2])], inputsFirst: !attrs.get("transB") });
  }
  return layers;
}

const ELEMENTWISE =
  /^(Relu|LeakyRelu|Elu|Gelu|Selu|Sigmoid|Softplus|Tanh|Clip|Dropout|Identity|BatchNormalization|Mul|Add)$/;

/** Whether a value is an image of the order H, W, C, flattened. */
function flattensLast(value: string, makers: ReadonlyMap<string, GraphNode>): boolean {
  let node = makers.get(value);
  for (let hops = 0; node && ELEMENTWISE.test(node.op) && hops < 16; hops++) node = makers.get(node.inputs[0]);
  if (node?.op !== "Reshape" && node?.op !== "Flatten") return false;
  const before = makers.get(node.inputs[0]);
  return before?.op === "Transpose" && String(before.attrs.get("perm")) === "0,2,3,1";
}

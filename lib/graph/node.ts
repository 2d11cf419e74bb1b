import { asArray, copyList, kindsFor } from "../util/arrays.ts";
import { BayesError, checkInt, fail } from "../util/errors.ts";
import { newArray } from "../util/memory.ts";
import type { ChannelFlow, Channels } from "./channels.ts";
import { userSite } from "./site.ts";
import type { Slot, Store } from "./store.ts";

/** Dimensions, outermost first. Activations are channels-last: [batch, height, width, channels]. */
export type Shape = readonly number[];
/** float32, int32 (labels, rows, seeds) and uint8 (resident image data). */
export type DType = "f32" | "i32" | "u8";
export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}
export type Attrs = Readonly<Record<string, number | boolean | readonly number[]>>;

/** An activation as attributes of a layer: 1 is a leaky ReLU (a ReLU has slope 0), 2 softplus. */
export type Activation = { readonly activation: 1 | 2; readonly slope: number };

/**
 * Everything the library knows about one operation. Whoever walks the graph (autodiff, planner, …) asks
 * the record; there is no list of op names anywhere. The kernel of the same name lies in native/ops/<name>.cpp.
 */
export interface Op<A extends Attrs = Attrs> {
  readonly name: string;
  /** Types of the outputs. The only validation there is: throws a BayesError that names what is wrong. */
  infer(inputs: readonly TensorType[], attrs: A): readonly TensorType[];
  /** Gradients for the inputs (undefined: none), as more nodes, given those of the outputs (undefined: zero). */
  grad?(dys: readonly (Tensor | undefined)[], node: Node<A>): readonly (Tensor | undefined)[];
  /** Inputs whose memory output 0 may take over when nobody else needs it; of a list, the first output of each group. */
  readonly inplace?: readonly number[];
  /** Output 0 is input 0 seen with another shape: no kernel, no memory. */
  readonly view?: boolean;
  /** Inputs (parameters, state) written in place. Such a node runs after every other reader of them. */
  mutates?(node: Node<A>): readonly number[];
  /** Stops the step before anything is committed: runs before the first mutating node. */
  readonly guard?: boolean;
  /** The gradient ends here, whatever the inputs are. */
  readonly stopsGradient?: boolean;
  /** An elementwise y = f(z) that the layer before it can apply itself (fuse.ts); undefined: with these attributes not. */
  activation?(attrs: A): Activation | undefined;
  /** The gradient of such an f with respect to z, computed from its inputs (dy, y). */
  activationGrad?(attrs: A): Activation | undefined;
  /**
   * A layer whose kernel takes the attributes of an {@link Activation}: "forward" applies it to output 0; "backward", the
   * gradient, then takes dy for dz as input 0, and y as one input more.
   */
  readonly activates?: "forward" | "backward";
  /**
   * "forward": each output is one of the inputs, the largest of some, so that an {@link Activation} may as well come after
   * it; output 1 says which. "backward": its gradient, from dy and that output.
   */
  readonly selects?: "forward" | "backward";
  /**
   * "forward" with outputs (y, r?), r = dy/dv kept for the gradient: a layer whose kernel takes the attribute `pool`, the
   * kernel of a max pooling by tiles behind it. Both are then the pooled ones, and one output more says where the largest
   * were. "backward": its gradient takes those, from dy and r, and that output as its last input.
   */
  readonly pools?: "forward" | "backward";
  /**
   * Which channels (positions of the last axis) the output has, given those of the inputs: see {@link ChannelFlow}. Absent,
   * or undefined: it may mix them in any way, and pruning leaves them alone.
   */
  channels?(flow: ChannelFlow, node: Node<A>): Channels | undefined;
  /**
   * The kernel takes lists: behind so many inputs that all have in common come those of one group, of a second one, …, and so do
   * the outputs. Nodes that need not wait for each other become one (group.ts). Undefined: not of such inputs.
   */
  lists?(node: Node<A>): number | undefined;
  /** y = a + b. A sum of sums may be one node of all terms, from left to right: the attribute `terms` says how many. */
  readonly sums?: boolean;
  /** With the attribute `onto`, the kernel takes as many inputs more as it has outputs, in each group, and adds to them. */
  readonly onto?: boolean;
  /** Floating-point operations (a multiply-add is 2), for the plan's report. */
  flops?(node: Node<A>): number;
}

/** Where a leaf's data comes from. */
export type Leaf =
  | { readonly kind: "input"; readonly name: string }
  | { readonly kind: "store"; readonly name: string; readonly trainable: boolean; readonly of: StoreLeaf }
  | { readonly kind: "constant"; readonly data: Float32Array | Int32Array };

/** The very slot of the very store: a name says neither which store, nor that the slot is still the one it was. */
export interface StoreLeaf {
  readonly store: Store;
  readonly slot: Slot;
}

/** "conv1, conv2": each once; undefined if there is none. */
const allOf = (names: readonly (string | undefined)[]): string | undefined =>
  [...new Set(names.filter((name) => name !== undefined))].join(", ") || undefined;

let created = 0;
/** The id of the next node: whatever has a smaller one was made before. */
export const nextId = (): number => created;

/** One application of an op in a traced program. Nothing computes here, and nothing of it can be changed. */
export class Node<A extends Attrs = Attrs> {
  /** Its place in the order of the trace. */
  readonly id: number;
  readonly outputs: readonly Tensor[];
  /** @internal */
  readonly op: Op<A>;
  readonly inputs: readonly Tensor[];
  readonly attrs: A;
  /** @internal */
  readonly leaf: Leaf | undefined;
  /** @internal Of a list: the nodes whose work it does, group by group. */
  readonly members: readonly Node[] | undefined;
  /** The user's source line that made it, and the layer it belongs to; both shown in errors. Of a list, all of them. */
  readonly site: string | undefined;
  readonly layer: string | undefined;

  constructor(
    op: Op<A>,
    inputs: readonly Tensor[],
    attrs: A,
    types: readonly TensorType[],
    leaf?: Leaf,
    like?: Node,
    place = like,
    members = like?.members,
  ) {
    this.id = place ? place.id : created++;
    this.op = op;
    this.inputs = Object.freeze(inputs);
    this.attrs = Object.freeze(attrs);
    this.leaf = leaf && Object.freeze(leaf);
    this.members = members;
    this.layer = members ? allOf(members.map((m) => m.layer)) : like ? like.layer : layerPath.at(-1);
    this.site = members ? allOf(members.map((m) => m.site)) : like ? like.site : userSite();
    this.outputs = Object.freeze(types.map((t, i) => new Tensor(this as unknown as Node, i, t.shape, t.dtype)));
    Object.freeze(this);
  }

  /** The same node, in line and layer, with other inputs or attributes; perhaps in another's place, or of other types. */
  with(
    inputs: readonly Tensor[],
    attrs: A,
    { place, types = this.outputs }: { readonly place?: Node; readonly types?: readonly TensorType[] } = {},
  ): Node<A> {
    return new Node(this.op, inputs, attrs, types, this.leaf, this as unknown as Node, place);
  }

  /** One node in the place of several of one op that have their first inputs and their attributes in common. */
  static list(nodes: readonly Node[], shared: number, at: (t: Tensor) => Tensor, place: Node): Node {
    const [first] = nodes;
    const inputs = [...first.inputs.slice(0, shared), ...nodes.flatMap((n) => n.inputs.slice(shared))];
    const outputs = nodes.flatMap((n) => n.outputs);
    const members = Object.freeze(nodes.flatMap((n) => n.members ?? [n]));
    return new Node(first.op, inputs.map(at), first.attrs, outputs, undefined, first, place, members);
  }

  /** "bayesConv2d (layer conv1, at model.ts:12)" */
  describe(): string {
    const layers = this.layer?.includes(", ") ? "layers" : "layer";
    const where = [this.layer && `${layers} ${this.layer}`, this.site && `at ${this.site}`].filter(Boolean).join(", ");
    return where ? `${this.op.name} (${where})` : this.op.name;
  }
}

/** One output of a node: what model functions pass around. It is frozen, and so is its shape. */
export class Tensor {
  readonly node: Node;
  readonly index: number;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly #made = true;
  constructor(node: Node, index: number, shape: Shape, dtype: DType) {
    this.node = node;
    this.index = index;
    this.shape = Object.isFrozen(shape) ? shape : Object.freeze([...shape]);
    this.dtype = dtype;
    Object.freeze(this);
  }
  /** Whether `value` is a tensor that this library made: neither a proxy of one nor a copy with another shape is. */
  static is(value: unknown): value is Tensor {
    return typeof value === "object" && value !== null && #made in value;
  }
  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }
  get bytes(): number {
    return this.size * (this.dtype === "u8" ? 1 : 4);
  }
  toString(): string {
    return typeName(this);
  }
}

/** A type in words, for messages: "f32[2,3]". */
export const typeName = (t: TensorType): string => `${t.dtype}[${t.shape.join(",")}]`;
export const sizeOf = (shape: Shape): number => shape.reduce((a, b) => a * b, 1);
export const f32 = (shape: Shape): TensorType => ({ shape, dtype: "f32" });
export const i32 = (shape: Shape): TensorType => ({ shape, dtype: "i32" });
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);

const layerPath: string[] = [];
/** The layer that is being built. */
export const currentLayer = (): string | undefined => layerPath.at(-1);
/** Runs `build` with every node it makes labelled as part of layer `name`. */
export function inLayer<T>(name: string, build: () => T): T {
  layerPath.push(name);
  try {
    return build();
  } finally {
    layerPath.pop();
  }
}

/**
 * Makes a node: takes copies of what the caller holds, checks those (the op's rule is the validation), and keeps those. What
 * the caller changes afterwards, also in between, changes nothing.
 */
export function makeNode<A extends Attrs>(op: Op<A>, inputs: readonly Tensor[], attrs: A): Node<A> {
  if (!Array.isArray(inputs)) fail(op.name, "a list of traced tensors", inputs);
  const own = [...inputs];
  for (const [i, x] of own.entries())
    if (!Tensor.is(x))
      throw new BayesError(`[${op.name}] expected input ${i} to be a traced tensor, received ${typeof x}`);
  const kept = copyAttrs(op.name, attrs);
  try {
    return new Node(op, own, kept, checkTypes(op.name, op.infer(own, kept), kept));
  } catch (error) {
    if (!(error instanceof BayesError)) throw error;
    throw new BayesError(`${error.message}${herePlace()}`, { code: error.code });
  }
}

/** Throws unless all are traced tensors: for an op that looks at their shapes before it is applied. */
export function checkTensors(op: string, ...tensors: readonly unknown[]): void {
  for (const [i, x] of tensors.entries()) if (!Tensor.is(x)) fail(op, `input ${i} to be a traced tensor`, x);
}

/** " (layer conv1, at model.ts:12)": where a node would have been made, for the end of a message. */
function herePlace(): string {
  const site = userSite();
  const where = [layerPath.at(-1) && `layer ${layerPath.at(-1)}`, site && `at ${site}`].filter(Boolean);
  return where.length ? ` (${where.join(", ")})` : "";
}

/** Applies an op: infers (and so validates) the outputs and records the node. */
export function apply<A extends Attrs>(op: Op<A>, inputs: readonly Tensor[], attrs: A): readonly Tensor[] {
  return makeNode(op, inputs, attrs).outputs;
}

function copyAttrs<A extends Attrs>(op: string, attrs: A): A {
  const own: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(attrs))
    own[name] = Array.isArray(value) ? copyList(op, name, value) : value;
  return own as A;
}

/** What an op's rule has not looked at: attributes are numbers, or lists of them, and every size is one that can be. */
function checkTypes(op: string, types: readonly TensorType[], attrs: Attrs): readonly TensorType[] {
  for (const [name, value] of Object.entries(attrs)) {
    const wrong = Array.isArray(value) ? value.find((v) => typeof v !== "number") : value;
    if (Array.isArray(value) ? value.some((v) => typeof v !== "number") : !/^(number|boolean)$/.test(typeof value))
      fail(op, `${name} as a number${Array.isArray(value) ? " each" : ""}`, wrong);
  }
  for (const t of types)
    if (!(sizeOf(t.shape) <= MOST_VALUES)) fail(op, "a result of at most 2^48 values", typeName(t), "ERR_BAYES_MEMORY");
  return types;
}

/** Sizes up to here are exact integers, also in bytes and summed over a program; no memory is as large. */
const MOST_VALUES = 2 ** 48;

const leafOp: Op = { name: "leaf", infer: () => [] };
/** A leaf: data that comes from outside the program. */
export const leaf = (type: TensorType, source: Leaf): Tensor => new Node(leafOp, [], {}, [type], source).outputs[0];

/** The most dimensions that a tensor may have (BAYES_MAX_RANK of native/shared/backend.h). */
const MOST_DIMENSIONS = 6;

/**
 * A frozen copy of a shape from outside. The copy is what is checked.
 * @throws BayesError unless it is a list of at most six positive integers, of a product that memory might hold
 */
export function checkShape(where: string, shape: unknown): Shape {
  if (!Array.isArray(shape)) fail(where, "a shape, as a list of integers", shape);
  if (shape.length > MOST_DIMENSIONS) fail(where, `a shape of at most ${MOST_DIMENSIONS} dimensions`, shape);
  const own: readonly unknown[] = [...shape];
  const dims = Object.freeze(own.map((d) => checkInt(where, "every dimension", d, 1)));
  if (sizeOf(dims) > MOST_VALUES) fail(where, "a shape of at most 2^48 values", dims, "ERR_BAYES_MEMORY");
  return dims;
}

/** A constant, frozen into the program: a number, or an array (copied) with a shape. */
export function constant(value: number | Float32Array | Int32Array, shape?: Shape): Tensor {
  const given = typeof value === "number" ? undefined : asArray(value, "Float32Array", "Int32Array");
  if (typeof value !== "number" && !given)
    fail("constant", `a number, or values as ${kindsFor(value, "Float32Array", "Int32Array")}`, value);
  const dims = shape !== undefined ? checkShape("constant", shape) : given ? [given.length] : [];
  const size = sizeOf(dims);
  if (given && size !== given.length)
    throw new BayesError(`[constant] expected ${size} values for shape [${dims}], received ${given.length}`);
  const dtype = given instanceof Int32Array ? "i32" : "f32";
  const data = newArray("constant", dtype, size) as Float32Array | Int32Array;
  if (given) data.set(given);
  else data.fill(value as number);
  return leaf({ shape: dims, dtype }, { kind: "constant", data });
}

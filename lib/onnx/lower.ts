import { Program } from "../graph/compile.ts";
import { type Node, type Shape, sameShape, type Tensor } from "../graph/node.ts";
import type { Store } from "../graph/store.ts";
import { reached, topo } from "../graph/walk.ts";
import type { OnnxDim, OnnxOp } from "../ops/shared/onnx.ts";
import { BayesError, fail } from "../util/errors.ts";
import { OnnxGraph, type OnnxGraphOptions } from "./model.ts";

/** One tensor of standard normals that an exported model draws, or expects as an input. */
export interface NoiseSource {
  /** Its ONNX value: the input's name in mode `inputs`. */
  readonly name: string;
  /** Name of the stochastic node, and the stream its native twin draws from. */
  readonly label: string;
  readonly stream: number;
  /** Our shape of one example's noise, without the batch; a rank of 3 is [H, W, C] here and [C, H, W] there. */
  readonly shape: Shape;
  /** Noise of the weights: one draw for the whole batch (its first dimension is 1), always row 0's. */
  readonly shared: boolean;
}

/**
 * Turns traced tensors into ONNX nodes by asking each op's record. What depends on parameters and constants alone is
 * computed once on the device and stored: a reader of the file sees sigma squared, never rho.
 */
export class Lowering extends OnnxGraph {
  readonly noiseSources: NoiseSource[] = [];
  readonly #store: Store;
  readonly #values = new Map<Tensor, Float32Array>();
  /** Nodes that depend on an input of the model. */
  readonly #live = new Set<Node>();
  #names = new Map<Tensor, string>();
  #batched = "";
  #current: Node | undefined;
  #copies = 0;

  constructor(store: Store, options: OnnxGraphOptions = {}) {
    super(options);
    this.#store = store;
  }

  /**
   * Appends all that `outputs` need. May be called again (with other feeds): the constants are shared, the noise is new.
   * @param feeds ONNX values of the input leaves, in ONNX layout; "" for one that no lowering reads (seeds, rows)
   * @returns the ONNX value of each output, in ONNX layout
   * @throws BayesError for an op without a lowering, naming op and layer
   */
  lower(outputs: readonly Tensor[], feeds: ReadonlyMap<Tensor, string>): string[] {
    this.#names = new Map(feeds);
    this.#batched = [...feeds.values()].find((name) => name !== "") ?? "";
    const order = this.#follow(outputs);
    this.#evaluate(order, outputs);
    for (const node of order) {
      if (node.leaf || this.#isFixed(node)) continue;
      const { onnx } = node.op as OnnxOp;
      if (!onnx) throw new BayesError(`[onnx] expected ops that have an ONNX form, received ${node.describe()}`);
      this.#current = node;
      const results = onnx.call(node.op, this, node, this.#lazyNames(node));
      for (const [i, name] of (typeof results === "string" ? [results] : results).entries())
        this.#names.set(node.outputs[i], name);
    }
    this.#current = undefined;
    this.#copies++;
    return outputs.map((t) => this.#name(t));
  }

  /** Whether some noise that `output` needs is drawn for the weights, once for a whole batch. */
  drawsWeights(output: Tensor): boolean {
    return this.#follow([output]).some((n) => typeof n.attrs.stream === "number" && this.#isShared(n));
  }

  // the rows that noise is drawn for, the last input of a stochastic op, are a constant for weights
  #isShared(node: Node): boolean {
    return this.#isFixed(node.inputs[node.inputs.length - 1].node);
  }

  /** What the outputs depend on, in order; notes what of it depends on an input of the model. */
  #follow(outputs: readonly Tensor[]): Node[] {
    const order = topo(outputs);
    const inputs = order.flatMap((n) => (n.leaf?.kind === "input" ? n.outputs : []));
    for (const t of reached(order, inputs)) this.#live.add(t.node);
    return order;
  }

  /** Whether the node depends on no input of the model. */
  #isFixed(node: Node): boolean {
    return !this.#live.has(node);
  }

  /** Runs one native program for every fixed tensor that a node of the model (or nobody but the caller) reads. */
  #evaluate(order: readonly Node[], outputs: readonly Tensor[]): void {
    const read = order.filter((n) => !this.#isFixed(n)).flatMap((n) => n.inputs);
    const wanted = new Set([...read, ...outputs].filter((t) => this.#isFixed(t.node) && !this.#values.has(t)));
    const computed = new Map<string, Tensor>();
    for (const t of wanted) {
      const { leaf } = t.node;
      if (!leaf) computed.set(`${computed.size}`, t);
      else if (t.dtype === "f32")
        this.#values.set(
          t,
          (leaf.kind === "store" ? this.#store.get(leaf.name) : (leaf as { data: Float32Array }).data) as Float32Array,
        );
    }
    if (computed.size === 0) return;
    using program = new Program<never, string>(this.#store, new Map(), computed, []);
    const results = program.run({});
    for (const [key, t] of computed) this.#values.set(t, results[key]);
  }

  /** Names of a node's inputs, asked for when read: a constant that a lowering stores in its own way is not stored twice. */
  #lazyNames(node: Node): readonly string[] {
    const names: string[] = [];
    for (const [i, t] of node.inputs.entries())
      Object.defineProperty(names, i, { get: () => this.#name(t), enumerable: true });
    return names;
  }

  #name(t: Tensor): string {
    const known = this.#names.get(t);
    if (known !== undefined) return known;
    if (this.#isFixed(t.node)) {
      if (t.dtype !== "f32") return "";
      if (t.shape.length === 0) return this.scalar(this.value(t)[0]);
      return this.weight(t, this.layout.toOnnx(t.shape.length));
    }
    const { leaf } = t.node;
    if (leaf?.kind === "input") return fail("onnx", "inputs that were declared to the export", leaf.name);
    throw new BayesError(`[onnx] ${t.node.describe()} has no ONNX form of its output ${t.index}`);
  }

  override value(t: Tensor): Float32Array {
    const value = this.#values.get(t);
    if (value) return value;
    const reader = this.#current?.describe() ?? "the model";
    throw new BayesError(
      `[onnx] expected constants, received ${t} of ${t.node.describe()}, which depends on an input, in ${reader}`,
    );
  }

  /** As the base; a weight that is not constant (one draw of a distribution, say) is transposed at run time. */
  override weight(t: Tensor, perm?: readonly number[], hint?: string): string {
    if (this.#isFixed(t.node)) return super.weight(t, perm, hint ?? nameOf(t));
    const rank = t.shape.length;
    const wanted = perm ?? t.shape.map((_, i) => i);
    const there = this.layout.toOnnx(rank) ?? t.shape.map((_, i) => i); // our axis of each ONNX axis
    const moves = wanted.map((axis) => there.indexOf(axis));
    return moves.every((m, i) => m === i) ? this.#name(t) : this.emit("Transpose", [this.#name(t)], { perm: moves });
  }

  /**
   * As the base, but named after the stochastic node's stream, so that the same draw used twice (the weights of a
   * layer applied twice) is one tensor, as it is natively.
   * @param like "" where the graph has no tensor of that shape
   */
  override noise(label: string, like: string, dims: readonly OnnxDim[]): string {
    const node = this.#current;
    const stream = node?.attrs.stream;
    if (!node || typeof stream !== "number") return super.noise(label, like, dims);
    const shape = node.outputs[0].shape;
    const shared = this.#isShared(node);
    const name = [...this.#store.streams].find(([, s]) => s === stream)?.[0] ?? label;
    const copy = this.#copies ? `${name}#${this.#copies}` : name;
    const known = this.noiseSources.find((n) => n.stream === stream && n.label === copy);
    if (known) {
      if (sameShape(known.shape, shape.slice(1))) return known.name;
      return fail("onnx", `noise of shape [${known.shape}] wherever layer ${name} is used`, shape.slice(1));
    }
    const exact = shared ? [shape[0], ...dims.slice(1)] : dims;
    const value = super.noise(copy, like || this.#zeros(exact), exact);
    this.noiseSources.push({ name: value, label: copy, stream, shape: shape.slice(1), shared });
    return value;
  }

  /** A tensor of these dimensions for RandomNormalLike to imitate; a symbolic one is the batch of the first feed. */
  #zeros(dims: readonly OnnxDim[]): string {
    if (this.noiseMode !== "random") return "";
    const sizes = dims.filter((d) => typeof d === "number");
    const tail = this.constant(sizes, [sizes.length], "shape");
    if (sizes.length === dims.length) return this.emit("ConstantOfShape", [tail]);
    const batch = this.emit("Shape", [this.#batched], { start: 0, end: 1 });
    return this.emit("ConstantOfShape", [this.emit("Concat", [batch, tail], { axis: 0 })]);
  }
}

/** What a stored tensor is called: its parameter's name, or that of the distribution it was computed from ("…/sigma2"). */
function nameOf(t: Tensor): string {
  const { leaf, op, inputs } = t.node;
  if (leaf) return leaf.kind === "constant" ? "constant" : leaf.name;
  const mask = inputs[1]?.node.leaf;
  if (op.name === "mul" && mask?.kind === "store" && mask.of.slot.role === "mask") return nameOf(inputs[0]);
  const what = op.name.replace(/From.*$/, "");
  return inputs.length ? nameOf(inputs[0]).replace(/[^/]*$/, what) : what;
}

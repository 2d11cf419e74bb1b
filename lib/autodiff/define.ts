import { apply, currentLayer, inLayer, type Node, nextId, sameShape, Tensor, typeName } from "../graph/node.ts";
import type { OnnxOp } from "../ops/shared/onnx.ts";
import { checkOptions, fail } from "../util/errors.ts";

/** An op made of others; see {@link defineOp}. */
export interface OpDefinition<I extends readonly Tensor[] = readonly Tensor[]> {
  /** For errors and plans: without spaces or brackets. */
  readonly name: string;
  /** The result, of existing ops. Its inputs are all that it depends on, where `grad` is given. */
  readonly forward: (...inputs: I) => Tensor;
  /**
   * The gradient of each input (undefined: none), of existing ops, in place of what {@link grad} makes of `forward`.
   * @param dy the gradient of the result, of its shape
   * @param rest the inputs, and the result
   */
  readonly grad?: (dy: Tensor, ...rest: [...inputs: I, y: Tensor]) => readonly (Tensor | undefined)[];
}

/**
 * Makes an op out of existing ones, perhaps with a gradient of its own. Memory plan, kernels and ONNX export see the ops it
 * is made of; errors name it. Numbers that it closes over are frozen into the program, as everywhere.
 * @returns the op, a function of traced tensors
 * @throws BayesError for a definition that is none; when it is called, for other arguments than tensors, a result that is no
 *   tensor, and with `grad` for a result that depends on a traced tensor that is not among the inputs, whose gradient would be
 *   lost; when it is differentiated, for gradients that are not of the inputs' shapes
 * @example
 * <!-- setup: import { defineOp, ops } from "bayescnn/graph"; -->
 * ```ts
 * // 0 or 1, with the gradient of the identity: a straight-through estimator (Bengio et al. 2013)
 * const binarize = defineOp({
 *   name: "binarize",
 *   forward: (x) => ops.greaterEqual(x, ops.scale(x, 0)),
 *   grad: (dy) => [dy],
 * });
 * ```
 */
export function defineOp<I extends readonly Tensor[]>(definition: OpDefinition<I>): (...inputs: I) => Tensor {
  const { name, forward, grad } = checkOptions("defineOp", definition, {
    name: "string",
    forward: "function",
    grad: "function",
  });
  if (typeof name !== "string" || !/^[^\s[\]]+$/.test(name))
    fail("defineOp", "a name without spaces or brackets", name);
  if (!forward) fail(`defineOp ${name}`, "forward, a function of traced tensors", forward);
  const rule = grad && ruleOf(name, grad as unknown as GradientRule);
  return (...inputs) => {
    if (inputs.length < forward.length) fail(name, `${forward.length} traced tensors`, inputs.length);
    for (const [i, x] of inputs.entries()) if (!Tensor.is(x)) fail(name, `input ${i} to be a traced tensor`, x);
    const around = currentLayer();
    return inLayer(around === undefined ? name : `${around}/${name}`, () => {
      const first = nextId();
      const y = forward(...inputs);
      if (!Tensor.is(y)) fail(name, "forward to return a traced tensor", y);
      if (!rule) return y;
      checkClosed(name, y, inputs, first);
      return apply(rule, [y, ...inputs], {})[0];
    });
  };
}

type GradientRule = (dy: Tensor, ...rest: readonly Tensor[]) => readonly (Tensor | undefined)[];

/** The result of `forward` once more, as a node that autodiff enters by its other inputs: (y, ...inputs) -> y. */
function ruleOf(name: string, grad: GradientRule): OnnxOp {
  return {
    name,
    view: true,
    infer: ([y]) => [y],
    channels: (flow, { inputs: [y] }) => flow.of(y),
    grad([dy], { inputs: [, ...inputs], outputs: [y] }) {
      const given = grad(dy!, ...inputs, y);
      if (!Array.isArray(given) || given.length !== inputs.length)
        fail(name, `grad to return a list of ${inputs.length} gradients, one for each input`, given);
      const gradients: readonly (Tensor | undefined)[] = [...given];
      for (const [i, d] of gradients.entries())
        if (d !== undefined && !(Tensor.is(d) && d.dtype === "f32" && sameShape(d.shape, inputs[i].shape)))
          fail(
            name,
            `grad to return ${typeName({ shape: inputs[i].shape, dtype: "f32" })} (or undefined) for input ${i}`,
            Tensor.is(d) ? typeName(d) : d,
          );
      return [undefined, ...gradients];
    },
    onnx: (_ctx, _node, [y]) => y,
  };
}

/** Throws if `y` depends on numbers besides those of the inputs and of constants: their gradient would be lost. */
function checkClosed(name: string, y: Tensor, inputs: readonly Tensor[], first: number): void {
  const seen = new Set<Node>();
  const stack = [y];
  for (let t = stack.pop(); t; t = stack.pop()) {
    const { node } = t;
    if (inputs.includes(t) || seen.has(node)) continue;
    seen.add(node);
    const { leaf } = node;
    if (node.op.stopsGradient) continue;
    const parameter = leaf?.kind === "store" && leaf.trainable;
    if (t.dtype === "f32" && (parameter || (node.id < first && leaf?.kind !== "constant")))
      fail(
        name,
        "everything that forward depends on among its inputs, because it has a gradient of its own",
        leaf && "name" in leaf ? leaf.name : node.describe(),
      );
    stack.push(...node.inputs);
  }
}

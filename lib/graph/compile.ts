// a user's "lib" may lack [Symbol.dispose]:
/// <reference lib="esnext.disposable" preserve="true" />
import { types } from "node:util";
import type { Data, NativeFeed, NativePlan } from "../native/addon.ts";
import { checkArray, copyOf } from "../util/arrays.ts";
import { BayesError, checkInt, type ErrorCode, fail } from "../util/errors.ts";
import { MapView } from "../util/map-view.ts";
import { checkMemory, newArray } from "../util/memory.ts";
import { fuse } from "./fuse.ts";
import { group } from "./group.ts";
import { checkShape, type DType, Node, type Shape, sizeOf, Tensor } from "./node.ts";
import { type Planned, planProgram, printProgram } from "./program.ts";
import { arrayOf, Store } from "./store.ts";
import { checkTraceOptions, input, type TraceOptions, withTrace } from "./trace.ts";
import type { Turn } from "./turns.ts";

/** Shapes of a program's inputs: a shape (float32), or shape and dtype. */
export type InputSpec = Shape | { readonly shape: Shape; readonly dtype: DType };
export type Inputs<K extends string> = Readonly<Record<K, Data | number>>;

/** What the plan costs, known before the first step. */
export interface PlanReport {
  readonly arenaBytes: number;
  readonly workspaceBytes: number;
  readonly constantBytes: number;
  readonly flops: number;
  /** Bytes read and written by the kernels in one step. */
  readonly traffic: number;
  readonly steps: readonly {
    readonly op: string;
    readonly layer: string | undefined;
    /**
     * How the kernel computes it, where it has a choice (convolutions and linear layers): "mean winograd/imagePanels,
     * variance imagePanels" (docs/kernels.md). In words that may change.
     */
    readonly algorithm: string | undefined;
    readonly flops: number;
    readonly bytes: number;
  }[];
}

const FEWER = "fewer steps at a time, or a smaller batch, would fit";

/** A copy of a map of tensors. */
function tensorsByName(given: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  if (!types.isMap(given)) fail("compile", "a Map of traced tensors by name", given);
  const own = new Map<string, Tensor>(given);
  for (const [name, t] of own) if (!Tensor.is(t)) fail("compile", `a traced tensor as ${name}`, t);
  return own;
}

/** One number as an input: as exact as the input's type has it, or refused. */
function scalar(where: string, dtype: DType, value: number): Data {
  if (dtype === "f32") return Float32Array.of(value);
  if (dtype === "i32") return Int32Array.of(checkInt(where, "the number", value, -(2 ** 31), 2 ** 31 - 1));
  return Uint8Array.of(checkInt(where, "the number", value, 0, 255));
}

/** A compiled program: one native call per run of any number of steps. Close it when done. */
export class Program<I extends string, O extends string> {
  readonly store: Store;
  readonly inputs: ReadonlyMap<string, Tensor>;
  readonly outputs: ReadonlyMap<string, Tensor>;
  /** @internal */
  readonly planned: Planned;
  readonly #plan: NativePlan;
  readonly #constants: number;
  #closed = false;

  constructor(
    store: Store,
    inputs: ReadonlyMap<string, Tensor>,
    outputs: ReadonlyMap<string, Tensor>,
    effects: readonly Node[],
  ) {
    if (!(store instanceof Store)) fail("compile", "a store", store);
    store.checkIdle("compile");
    let constants = -1;
    this.store = store;
    this.inputs = new MapView(tensorsByName(inputs));
    this.outputs = new MapView(tensorsByName(outputs));
    if (!Array.isArray(effects) || !effects.every((n) => n instanceof Node))
      fail("compile", "a list of nodes", effects);
    try {
      this.planned = planProgram({
        inputs: this.inputs,
        outputs: this.outputs,
        effects,
        store,
        allocConstants: (bytes) => (constants = store.alloc("constants", bytes)),
      });
      this.#constants = constants;
      if (constants >= 0) store.native.write(constants, 0, this.planned.constants);
      store.checkMemory("compile", this.planned.native.arenaBytes);
      this.#plan = new store.device.addon.Plan(store.native, this.planned.native);
    } catch (error) {
      if (constants >= 0) store.native.free(constants);
      if (error instanceof BayesError) throw error;
      const { message } = error as Error;
      const code = message.includes("out of memory") ? "ERR_BAYES_MEMORY" : undefined;
      throw new BayesError(`[compile] ${message}`, { code, cause: error });
    }
    Object.freeze(this);
  }

  /**
   * Runs `steps` steps and returns each output's values of all steps, one after the other.
   * @param values for each input one step's values (used in every step) or `steps` times as many (one slice a step)
   */
  run(values: Inputs<I>, steps = 1): Record<O, Float32Array> {
    this.store.checkIdle("run");
    const call = this.#prepare(values, steps);
    try {
      this.#plan.run(steps, call.feeds, call.results);
    } catch (error) {
      throw this.#explain(error);
    }
    return call.named;
  }

  /**
   * As {@link run}, on the library's own thread: the event loop goes on. A store has one run at a time, so this one waits
   * for its turn, with the values as they are now.
   * @param turn the turn it is part of, from {@link Store.turn}; default: one of its own
   */
  async runAsync(values: Inputs<I>, steps = 1, turn?: Turn): Promise<Record<O, Float32Array>> {
    const call = this.#prepare(values, steps);
    if (!turn) {
      // the device copies what it is given when the run begins: that may be later
      const own = { ...call, feeds: call.feeds.map(({ data, stride }) => ({ data: copyOf(data), stride })) };
      await this.store.turn("a run", () => this.#execute(own, steps));
    } else {
      this.store.checkTurn("run", turn);
      await this.#execute(call, steps);
    }
    return call.named;
  }

  async #execute({ feeds, results }: { feeds: readonly NativeFeed[]; results: readonly Data[] }, steps: number) {
    try {
      await this.#plan.runAsync(steps, feeds, results);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  #prepare(values: Inputs<I>, steps: number) {
    if (this.#closed)
      throw new BayesError("[run] expected an open program, received one that was closed", {
        code: "ERR_BAYES_CLOSED",
      });
    this.store.checkOpen("run");
    checkInt("run", "the number of steps", steps, 1, 2 ** 31 - 1);
    if (typeof values !== "object" || values === null) fail("run", "the inputs' values by name", values);
    const feeds = [...this.inputs].map(([name, t]) => {
      const given = (values as Record<string, Data | number>)[name];
      const data =
        typeof given === "number"
          ? scalar(`run: input ${name}`, t.dtype, given)
          : checkArray(`run: input ${name}`, `${t}`, given, arrayOf[t.dtype]);
      if (data.length === t.size) return { data, stride: 0 };
      if (data.length === t.size * steps) return { data, stride: t.bytes };
      return fail(
        `run: input ${name}`,
        `${t.size} values${steps > 1 ? ` or ${t.size * steps} for ${steps} steps` : ""} for ${t}`,
        data,
      );
    });
    let bytes = 0;
    for (const t of this.outputs.values()) bytes += t.bytes * steps;
    checkMemory("run", bytes, FEWER);
    const results = [...this.outputs].map(([name, t]) =>
      newArray(`run: output ${name}`, t.dtype, t.size * steps, FEWER),
    );
    const named = Object.fromEntries([...this.outputs.keys()].map((name, i) => [name, results[i]])) as Record<
      O,
      Float32Array
    >;
    return { feeds, results, named };
  }

  #explain(error: unknown): BayesError {
    const { message, runStep, programStep } = error as Error & { runStep?: number; programStep?: number };
    const node = programStep !== undefined && programStep >= 0 ? this.planned.steps[programStep]?.node : undefined;
    return new RunError(`[run] ${message}${node ? `, made by ${node.describe()}` : ""}`, runStep ?? -1, node, {
      code: CODES.find(([text]) => message.includes(text))?.[1],
    });
  }

  report(): PlanReport {
    const { algorithms, workspaceBytes } = this.#plan;
    const steps = this.planned.steps.map((s, i) => ({
      op: s.op,
      layer: s.node?.layer,
      algorithm: algorithms[i] || undefined,
      flops: s.flops,
      bytes: s.bytes,
    }));
    return {
      arenaBytes: this.planned.native.arenaBytes,
      workspaceBytes,
      constantBytes: this.planned.constants.byteLength,
      flops: steps.reduce((sum, s) => sum + s.flops, 0),
      traffic: steps.reduce((sum, s) => sum + s.bytes, 0),
      steps,
    };
  }

  /** The flat program in words. */
  toString(): string {
    return printProgram(this.planned);
  }

  close(): void {
    if (this.#closed) return;
    try {
      this.#plan.close();
      if (this.#constants >= 0) this.store.release(this.#constants);
    } catch (error) {
      throw new BayesError(`[close] ${(error as Error).message}`, { code: "ERR_BAYES_BUSY" });
    }
    this.#closed = true;
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

/** What the device says when a run fails, by what a program may want to tell apart. */
const CODES: readonly (readonly [text: string, code: ErrorCode])[] = [
  ["has stopped", "ERR_BAYES_MISSING"],
  ["not finite", "ERR_BAYES_NUMERIC"],
  ["out of memory", "ERR_BAYES_MEMORY"],
  ["was stopped", "ERR_BAYES_CLOSED"],
  ["is outside", "ERR_BAYES_DATA"],
  ["is busy", "ERR_BAYES_BUSY"],
  ["is closed", "ERR_BAYES_CLOSED"],
  ["has been freed", "ERR_BAYES_CLOSED"],
];

/** A fault inside a run: which of its steps, and which node. Steps before it have been committed, the faulty one has not. */
export class RunError extends BayesError {
  readonly runStep: number;
  readonly #node: Node | undefined; // private, so that printing the error does not print the graph
  constructor(
    message: string,
    runStep: number,
    node: Node | undefined,
    options?: ConstructorParameters<typeof BayesError>[1],
  ) {
    super(message, options);
    this.runStep = runStep;
    this.#node = node;
  }
  get node(): Node | undefined {
    return this.#node;
  }
}

/**
 * Traces `build` once with inputs of the given shapes and compiles what it returns into one native program. Numbers that
 * `build` closes over are frozen into it; what must change between runs is an input.
 *
 * @example
 * <!-- setup: import { compile, ops, Store } from "bayescnn/graph"; const images = new Float32Array(64 * 28 * 28); -->
 * ```ts
 * const store = new Store("cpu");
 * const step = compile({ store }, { x: [64, 28, 28, 1], factor: [] }, ({ x, factor }) => ({
 *   loss: ops.mean(ops.square(ops.mul(x, factor))),
 * }));
 * step.run({ x: images, factor: 0.1 }).loss[0];
 * ```
 */
export function compile<I extends string, O extends string>(
  options: TraceOptions,
  specs: Readonly<Record<I, InputSpec>>,
  build: (inputs: Readonly<Record<I, Tensor>>) => Readonly<Record<O, Tensor>>,
): Program<I, O> {
  const { inputs, ...traced } = traceProgram("compile", options, specs, build);
  const { outputs, effects } = group(traced, options.store.device.alignment);
  return new Program<I, O>(options.store, inputs, outputs, effects);
}

/** Runs `build` once, on inputs of the given shapes: what {@link compile} and `interpret` have in common. */
export function traceProgram<I extends string, O extends string>(
  where: string,
  options: TraceOptions,
  specs: Readonly<Record<I, InputSpec>>,
  build: (inputs: Readonly<Record<I, Tensor>>) => Readonly<Record<O, Tensor>>,
): { inputs: Map<string, Tensor>; outputs: ReadonlyMap<string, Tensor>; effects: readonly Node[] } {
  const checked = checkTraceOptions(where, options);
  checked.store.checkOpen(where);
  if (typeof specs !== "object" || specs === null) fail(where, "the inputs' shapes by name", specs);
  if (typeof build !== "function") fail(where, "a function of traced tensors", build);
  const inputs = new Map<string, Tensor>();
  for (const [name, spec] of Object.entries<InputSpec>(specs)) {
    const here = `${where}: input ${name}`;
    const { shape, dtype } =
      typeof spec === "object" && spec !== null && "dtype" in spec ? spec : { shape: spec, dtype: "f32" as const };
    if (!Object.hasOwn(arrayOf, dtype)) fail(here, `dtype ${Object.keys(arrayOf).join(", ")}`, dtype);
    const own = checkShape(here, shape);
    if (sizeOf(own) > 2 ** 32) fail(here, "a shape of at most 2^32 values", own);
    inputs.set(name, input(name, { shape: own, dtype }));
  }
  const { value, trace } = withTrace(checked, () => build(Object.fromEntries(inputs) as Record<I, Tensor>));
  if (typeof value !== "object" || value === null) fail(where, "a function that returns traced tensors by name", value);
  const outputs = new Map<string, Tensor>();
  for (const [name, t] of Object.entries<Tensor>(value)) {
    if (!Tensor.is(t)) fail(`${where}: output ${name}`, "a traced tensor", t);
    outputs.set(name, t);
  }
  return { inputs, ...fuse({ outputs, effects: trace.effects }, checked.store.device.joins) };
}

import type { Data } from "../native/addon.ts";
import { BayesError, fail } from "../util/errors.ts";
import { type InputSpec, type Inputs, Program, traceProgram } from "./compile.ts";
import { leaf, Node, type Tensor } from "./node.ts";
import type { TraceOptions } from "./trace.ts";
import { runOrder } from "./walk.ts";

/** One executed node: its record, the user's line, and the values it made. */
export interface NodeRecord {
  readonly node: Node;
  readonly outputs: readonly Data[];
}

/**
 * The debugger: traces `build` like compile(), then runs the same kernels one node at a time, calling `watch` after each, so that
 * one can stop anywhere and look. Effects (parameter updates) happen. Slow; results are those of the compiled program, and so
 * are the nodes: a layer comes with its activation and the max pooling by tiles that it took in, whose values it then has
 * (one output more says where in each window the largest was).
 */
export function interpret<I extends string, O extends string>(
  options: TraceOptions,
  specs: Readonly<Record<I, InputSpec>>,
  values: Inputs<I>,
  build: (inputs: Readonly<Record<I, Tensor>>) => Readonly<Record<O, Tensor>>,
  watch: (record: NodeRecord) => unknown = () => {},
): Record<O, Data> {
  const feeds = new Map<Tensor, Data | number>();
  const { inputs, outputs, effects } = traceProgram("interpret", options, specs, build);
  if (typeof watch !== "function") fail("interpret", "a function that is called after each node", watch);
  if (typeof values !== "object" || values === null) fail("interpret", "the inputs' values by name", values);
  for (const [name, t] of inputs) {
    const value = (values as Record<string, Data | number>)[name];
    if (value === undefined) fail(`interpret: input ${name}`, `a value for ${t}`, value);
    feeds.set(t, value);
  }
  for (const n of runOrder({ outputs, effects })) {
    const results = runNode(options, n, feeds);
    n.outputs.forEach((o, i) => {
      feeds.set(o, results[i]);
    });
    watch({ node: n, outputs: results });
  }
  return Object.fromEntries(
    [...outputs].map(([name, t]) => {
      const known = isParameter(t) ? undefined : feeds.get(t); // a parameter is shown as the step left it
      if (typeof known === "object") return [name, known];
      return [name, evaluate(options, t, known)];
    }),
  ) as Record<O, Data>;
}

const isParameter = ({ node }: Tensor): boolean =>
  node.op.view ? isParameter(node.inputs[0]) : node.leaf?.kind === "store";

// a node on its own: what other nodes made comes in as inputs, parameters and constants stay what they are
function runNode(options: TraceOptions, n: Node, feeds: Map<Tensor, Data | number>): Data[] {
  const ins = new Map<string, Tensor>();
  const given: Record<string, Data | number> = {};
  const own = n.inputs.map((t, i) => {
    const known = feeds.get(t);
    if (known === undefined) {
      if (!t.node.leaf || t.node.leaf.kind === "input")
        throw new BayesError(`[interpret] expected a value for ${t.node.describe()}, received none`);
      return t;
    }
    const name = `in${i}`;
    const fresh = leaf(t, { kind: "input", name });
    ins.set(name, fresh);
    given[name] = known;
    return fresh;
  });
  const alone = new Node(n.op, own, n.attrs, n.outputs);
  const outs = new Map(alone.outputs.map((o, i) => [`out${i}`, o]));
  using program = new Program<string, string>(options.store, ins, outs, n.op.mutates || n.op.guard ? [alone] : []);
  return Object.values(program.run(given));
}

function evaluate(options: TraceOptions, t: Tensor, known: Data | number | undefined): Data {
  const name = "value";
  const source = known === undefined ? t : leaf(t, { kind: "input", name });
  const ins = known === undefined ? new Map() : new Map([[name, source]]);
  using program = new Program<string, string>(options.store, ins, new Map([[name, source]]), []);
  return program.run(known === undefined ? {} : { value: known }).value;
}

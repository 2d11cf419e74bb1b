import { BayesError } from "../errors.ts";
import type { Data } from "../native/addon.ts";
import { type InputSpec, type Inputs, Program } from "./compile.ts";
import { leaf, Node, type Tensor, topo } from "./node.ts";
import { input, type TraceOptions, withTrace } from "./trace.ts";

/** One executed node: its record, the user's line, and the values it made. */
export interface Executed {
  readonly node: Node;
  readonly outputs: readonly Data[];
}

/**
 * The debugger: traces `build` like compile(), then runs the same kernels one node at a time, calling `watch` after each, so that
 * one can stop anywhere and look. Effects (parameter updates) happen. Slow; results are those of the compiled program.
 */
export function interpret<I extends string, O extends string>(
  options: TraceOptions,
  specs: Readonly<Record<I, InputSpec>>,
  values: Inputs<I>,
  build: (inputs: Readonly<Record<I, Tensor>>) => Readonly<Record<O, Tensor>>,
  watch: (executed: Executed) => void = () => {},
): Record<O, Data> {
  const feeds = new Map<Tensor, Data | number>();
  const inputs = Object.entries<InputSpec>(specs).map(([name, spec]) => {
    const t = input(name, "dtype" in spec ? spec : { shape: spec, dtype: "f32" });
    feeds.set(t, (values as Record<string, Data | number>)[name]);
    return [name, t] as const;
  });
  const { value, trace } = withTrace(options, () => build(Object.fromEntries(inputs) as Record<I, Tensor>));
  const outputs = Object.entries<Tensor>(value);
  const effects = new Set(trace.effects);
  const forward = topo([...outputs.map(([, t]) => t), ...trace.effects.flatMap((n) => n.inputs)]).filter(
    (n) => !n.leaf && !effects.has(n),
  );
  for (const n of [...forward, ...trace.effects]) {
    const results = runNode(options, n, feeds);
    n.outputs.forEach((o, i) => {
      feeds.set(o, results[i]);
    });
    watch({ node: n, outputs: results });
  }
  return Object.fromEntries(
    outputs.map(([name, t]) => {
      const known = feeds.get(t);
      if (typeof known === "object") return [name, known];
      return [name, evaluate(options, t, feeds)];
    }),
  ) as Record<O, Data>;
}

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

function evaluate(options: TraceOptions, t: Tensor, feeds: Map<Tensor, Data | number>): Data {
  const known = feeds.get(t);
  const name = "value";
  const source = known === undefined ? t : leaf(t, { kind: "input", name });
  const ins = known === undefined ? new Map() : new Map([[name, source]]);
  using program = new Program<string, string>(options.store, ins, new Map([[name, source]]), []);
  return program.run(known === undefined ? {} : { value: known }).value;
}

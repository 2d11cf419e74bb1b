// Every kernel states what it takes (native/program/contract.h). Steps as the planner makes them, from the op rows, are changed in
// every small way, in a process of their own: what a contract lets through must be right, and do no harm when it is run.
// The sanitizers see this file too (test/slow/sanitizers.test.ts).
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { compile } from "../../lib/graph/compile.ts";
import { constant, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { parameter } from "../../lib/graph/trace.ts";
import type { NativeProgram } from "../../lib/native/addon.ts";
import { adamUpdate } from "../../lib/ops/adam.ts";
import { add } from "../../lib/ops/add.ts";
import { batchNorm2dUpdate } from "../../lib/ops/batchNorm2d.ts";
import { checkFinite } from "../../lib/ops/checkFinite.ts";
import { clipByGlobalNorm } from "../../lib/ops/clipByGlobalNorm.ts";
import { sgdUpdate } from "../../lib/ops/sgd.ts";
import { sum } from "../../lib/ops/sum.ts";
import { nullDevice } from "../null-device.ts";
import type { OpCase } from "../ops/harness.ts";
import { tries } from "../tries.ts";

const root = join(import.meta.dirname, "../..");
const tmp = mkdtempSync(join(tmpdir(), "bayescnn-plans-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

type Step = NativeProgram["steps"][number];
type Build = (t: Readonly<Record<string, Tensor>>) => Record<string, Tensor>;

function stepsOf(inputs: Parameters<typeof compile>[1], build: Build): readonly Step[] {
  using store = new Store(nullDevice());
  using program = compile({ store }, inputs, build);
  return program.planned.native.steps;
}

/** The steps of the op rows, forward and backward. */
async function fromRows(): Promise<Step[]> {
  const folder = join(root, "test/ops");
  const steps: Step[] = [];
  for (const file of readdirSync(folder).filter((f) => f !== "harness.ts")) {
    const { cases } = (await import(join(folder, file))) as { cases: OpCase[] };
    for (const c of cases) {
      const values = Object.entries(c.inputs);
      if (values.some(([, v]) => v.data.length > 5000)) continue; // rows of many values check numbers
      const specs = Object.fromEntries(
        values.map(([k, v]) => [k, { shape: v.shape, dtype: v.dtype ?? ("f32" as const) }]),
      );
      const wrt = c.wrt ?? values.flatMap(([k, v]) => ((v.dtype ?? "f32") === "f32" ? [k] : []));
      const outputs = (t: Readonly<Record<string, Tensor>>) => [c.build(t)].flat() as Tensor[];
      const named = (ts: readonly Tensor[]) => Object.fromEntries(ts.map((t, i) => [`y${i}`, t]));
      steps.push(...stepsOf(specs, (t) => named(outputs(t))));
      if (wrt.length === 0) continue;
      const loss = (t: Readonly<Record<string, Tensor>>) => {
        const all = outputs(t);
        return (c.gradOutputs ?? [0]).map((k) => sum(all[k])).reduce((a, b) => add(a, b));
      };
      steps.push(
        ...stepsOf(specs, (t) =>
          named(
            grad(
              loss(t),
              wrt.map((k) => t[k]),
            ),
          ),
        ),
      );
    }
  }
  return steps;
}

/** What no row makes: guards and updates; and what they make of large tensors only. */
function fromEffects(): Step[] {
  const steps: Step[] = [];
  const shapes = [[3], [2, 4]];
  const slots = (names: readonly string[], masked: boolean) =>
    shapes.map((shape, k) => {
      const slot = (name: string) => parameter(`${name}${k}`, shape, () => new Float32Array(8).subarray(0, k ? 8 : 3));
      const [param, g, ...state] = names.map(slot);
      const mask = masked
        ? constant(
            Float32Array.from({ length: k ? 8 : 3 }, (_, i) => i % 2),
            shape,
          )
        : undefined;
      return { param, grad: g, velocity: state[0], m: state[0], v: state[1], mask };
    });
  const scalars = { lr: [], step: { shape: [], dtype: "i32" as const } };
  for (const masked of [false, true]) {
    for (const momentum of [0, 0.9])
      steps.push(
        ...stepsOf(scalars, ({ lr }) => {
          sgdUpdate(lr, slots(momentum ? ["p", "g", "v"] : ["p", "g"], masked), { momentum, nesterov: momentum > 0 });
          return { lr };
        }),
      );
    steps.push(
      ...stepsOf(scalars, ({ lr, step }) => {
        adamUpdate(lr, step, slots(["p", "g", "m", "v"], masked));
        return { lr };
      }),
    );
  }
  steps.push(
    ...stepsOf({ x: [3], y: [2, 2] }, ({ x, y }) => {
      const [mean, variance] = ["mean", "variance"].map((n) => parameter(n, [3], () => new Float32Array(3)));
      checkFinite([x, y]);
      const [a, b] = clipByGlobalNorm([x, y], 1);
      batchNorm2dUpdate(mean, variance, x, x, { count: 4 });
      return { a, b };
    }),
  );
  return steps;
}

const sizeOf = (s: Step): number =>
  [...s.inputs, ...s.outputs].reduce((n, t) => n + t.shape.reduce((a, b) => a * b, 1), 0);
const tensors = (list: Step["inputs"]) =>
  list.map((t) => `${t.dtype}${t.shape.length}${t.space === 4 ? "-" : ""}`).join();
/** What distinguishes steps of an op: tensors, and attributes that switch something. */
const formOf = ({ op, inputs, outputs, attrs }: Step): string => {
  const list = [
    "bias",
    "activation",
    "masked",
    "tied",
    "meanInput",
    "sigmaInput",
    "varied",
    "keepdims",
    "frozen",
    "precision",
    "onto",
    "terms",
  ];
  const switches = Object.keys(attrs).map((k) => (list.includes(k) ? `${k}=${attrs[k]}` : `${k}:${attrs[k].length}`));
  return [op, tensors(inputs), tensors(outputs), ...switches].join(" ");
};

/** A few small steps of every op, no two of one form. */
function select(steps: readonly Step[]): Step[] {
  const forms = new Map<string, Step>();
  for (const s of steps) {
    const other = forms.get(formOf(s));
    if (!other || sizeOf(s) < sizeOf(other)) forms.set(formOf(s), s);
  }
  const perOp = new Map<string, Step[]>();
  for (const s of [...forms.values()].sort((a, b) => sizeOf(a) - sizeOf(b)))
    perOp.set(s.op, [...(perOp.get(s.op) ?? []), s]);
  return [...perOp.values()].flatMap((list) => list.slice(0, list[0].inputs.length > 2 ? 12 : 5));
}

/** Changed steps that are right all the same: they mean something, and that is what the kernel does. */
const RIGHT: Readonly<Record<string, RegExp>> = {
  "another number":
    /^\w+: attribute (a|b|beta1|beta2|brightness|contrast|count|crop|epsilon|max|min|momentum|pi|priorMean|priorSigma|rate|rotate|scale|shift|sigma1|sigma2|slope|step|weightDecay)\[\d+\] -?\d[\d.e+-]*$/,
  "another whole number": /^\w+: attribute \w+\[\d+\] (\d{1,9}|1000000000)$/,
  "an attribute that may be left out": /^\w+: attribute (activation|precision|slope) dropped$/,
  "a step whose results are kept": /^(?!adam|batchNorm2dUpdate|sgd)\w+: commits otherwise$/,
  "no crop": /^gatherBatch: attribute crop empty$/,
  "an output that nobody reads, or somebody does": /^\w+: output \d (none|wanted)$/,
  "a scalar, of any number of axes of 1":
    /^(adam|clipByGlobalNorm|gatherBatch|kl\w+|log\w+|sgd|sigma2FromLogAlpha(Grad)?): input \d (with an axis of 1 (before|behind)|without axis 0|flat)$/,
  "a scalar as a result":
    /^(correct|globalNorm|kl\w+|log\w+Sum|klGaussianAlphaGrad|sigma2FromLogAlphaGrad): output \d (with an axis of 1 (before|behind)|without axis 0|flat)$/,
  "an output that is never read, of any shape": /^logNormalSumGrad: output [12] .*$/,
  "a sum over more or fewer": /^sum: input 0 (axis \d|axes \d and \d exchanged).*$/,
  "weights of any shape": /^(klGaussianAlpha|logNormalSum|logScaleMixtureSum): input [01] .*$/,
  "any tensors": /^(checkFinite|globalNorm): input .*$/,
  "another shape that broadcasts":
    /^(add|broadcastTo|div|greaterEqual|maximum|minimum|mul|sub): input [01] (axis \d (=1|[+-]1)|with(out| an) axis.*|flat)$/,
  "another number of examples": /^(gatherBatch|gatherRows): input 0 axis 0 .*$/,
  "pixels as bytes or floats": /^gatherBatch: input 0 dtype [02]$/,
  "rows of the batch that name the examples": /^gatherBatch: input 4 dropped$/,
  "another number of classes, or rows": /^(correct|softmaxCrossEntropy): input 0 axis [01] .*$/,
  "labels, or rows of noise, for another divisor of the batch":
    /^(correct|dropout|softmaxCrossEntropy(Grad)?): input [12] axis 0 ([+-]1|=1)$/,
  "a larger tensor to cut from": /^slice: input 0 axis \d .*$/,
  "a window that leaves something over at the border, as before":
    /^(bayesConv2d|conv2d): input [01] (axis [012] [+-]1|axes 1 and 2 exchanged)$/,
  "the result in the place of an input, to the same bits": /^\w+: output 0 over input \d$/,
  "the same of a list, in its group":
    /^(abs|add|div|exp|klGaussianGrad|log|mul|sig\w+|softplus|sqrt|square\w*|tanh)(Grad)?: output \d over input \d+$/,
};

it("what contracts let through is right, for every op of the library", { timeout: 600_000 }, async () => {
  const steps = select([...(await fromRows()), ...fromEffects()]);
  const kernels = readdirSync(join(root, "native/ops")).flatMap((f) => {
    const text = readFileSync(join(root, "native/ops", f), "utf8");
    return [...text.matchAll(/^(?:OP|LAYER)\((\w+)/gm)].map((m) => m[1]);
  });
  expect(kernels.filter((k) => !steps.some((s) => s.op === k))).toEqual([]);

  const [file, report] = [join(tmp, "steps.json"), join(tmp, "report.json")];
  writeFileSync(file, JSON.stringify(steps));
  const child = spawnSync(process.execPath, [join(import.meta.dirname, "plan-checks-child.mjs"), root, file, report], {
    encoding: "utf8",
  });
  const said = JSON.parse(readFileSync(report, "utf8"));
  expect(child.status, `${child.signal ?? ""} at ${said.at}: ${child.stderr.slice(-2000)}`).toBe(0);
  expect(said.faults).toEqual([]);
  const right = Object.values(RIGHT);
  const wrong = (said.accepted as string[]).filter((what) => !right.some((r) => r.test(what)));
  expect(wrong).toEqual([]);
  expect(said.refused).toBeGreaterThan(10_000);
  tries("steps of native programs, each changed a little, that were refused", said.refused);
});

import { existsSync, statSync } from "node:fs";
import { arch, availableParallelism, cpus, platform, release, totalmem } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { parseSize } from "../../data/images.ts";
import { sizeOf } from "../../graph/node.ts";
import { answering } from "../../models/create.ts";
import type { Model } from "../../models/model.ts";
import { listDevices, threads } from "../../native/device.ts";
import { forwardProgram, madeModel, stepProgram } from "../../speed/made.ts";
import type { EpochRecord } from "../../train/fit.ts";
import { adam } from "../../train/optimizers.ts";
import { BayesError } from "../../util/errors.ts";
import { version } from "../../util/package.ts";
import { fitting } from "../../util/text.ts";
import { installed } from "../shared/installed.ts";
import {
  decimal,
  declare,
  inContext,
  integer,
  type SharedOptions,
  shared,
  spec,
  UsageError,
  type Values,
} from "../shared/options.ts";
import { bytes, count, lines, type Output, table } from "../shared/output.ts";
import { checkOutput, FILES, openRunFolder } from "../shared/run-folder.ts";
import { chosenParts, shown } from "../shared/training.ts";

const own = declare()
  .choice("--model <name>", "architecture", answering)
  .value("--batch <n>", "batch of the costs with --model", integer(1, 65_536), 128)
  .value("--image-size <size>", "size of the images of --model: n, or HEIGHTxWIDTH (default: 32)", spec(parseSize))
  .value(
    "--width <share>",
    "what multiplies the filters of --model mobilenet, 0.25 to 1 (default: 1)",
    decimal(0.25, 1),
  )
  .flag("--frequentist", "the model without Bayesian layers");
/** What says something of --model, and of nothing else. */
const OF_MODEL = ["batch", "imageSize", "width", "frequentist"];
type InfoOptions = Values<typeof own>;

/** Steps that are timed after a first one, and when to stop before that. */
const STEPS = 3;
const ENOUGH_MS = 2000;

/** `bayescnn info`, `bayescnn info RUNDIR` and `bayescnn info --model lenet5`. */
export function infoCommand(root: Command): void {
  shared(
    root
      .command("info")
      .description("this machine; a run (RUNDIR); or a model's layers, parameters and costs (--model)")
      .argument("[rundir]", "folder of a run"),
    own,
    { example: "bayescnn info --model lenet5" },
  ).action((dir: string | undefined, options: InfoOptions, command: Command) =>
    inContext(
      options,
      ({ out }) => {
        if (dir !== undefined && options.model !== undefined)
          throw new UsageError("[info] expected a run folder or --model, received both");
        const idle = command.options.find(
          (o) => OF_MODEL.includes(o.attributeName()) && command.getOptionValueSource(o.attributeName()) === "cli",
        );
        if (idle && options.model === undefined)
          throw new UsageError(
            `[info] expected --model together with ${idle.long}, received ${dir === undefined ? "none" : "a run folder"}`,
          );
        if (dir !== undefined) {
          checkOutput("info", options.out, dir);
          runInfo(dir, out);
        } else if (options.model !== undefined) modelInfo(options, out);
        else machineInfo(options, out);
      },
      { device: dir !== undefined || options.model !== undefined, linesTo: options.out, signals: "kill" },
    ),
  );
}

function machineInfo(options: SharedOptions, out: Output): void {
  // a machine without a working addon is when this is needed most
  let found: ReturnType<typeof listDevices> | undefined;
  let problem: string | undefined;
  try {
    found = listDevices();
  } catch (error) {
    if (!(error instanceof BayesError)) throw error;
    problem = error.message;
  }
  const facts = {
    version,
    node: process.version,
    platform: `${platform()}-${arch()}`,
    kernel: release(),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    instructionSet: found?.devices[0].name.replace(/^cpu-/, "") ?? null,
    threads: found ? (options.threads ?? threads()) : null,
    devices: found?.devices.map((d) => d.name) ?? [],
    noCuda: found?.why ?? null,
    onnxruntime: installed("onnxruntime-node") ?? null,
    sharp: installed("sharp") ?? null,
    ...(problem === undefined ? {} : { problem }),
  };
  out.event("info", facts);
  const rows = [
    ["bayescnn", version],
    ["Node.js", `${facts.node} on ${facts.platform}, kernel ${facts.kernel}`],
    ["processor", `${facts.cpu}, ${facts.cores} cores available, ${bytes(facts.memoryBytes)} of memory`],
    [
      "instruction set",
      facts.instructionSet === null
        ? "none: the CPU addon does not load"
        : `${facts.instructionSet} (BAYESCNN_SIMD=avx512bf16|avx512|avx2|base lowers it)`,
    ],
    ["threads", facts.threads === null ? "none" : String(facts.threads)],
    ["devices", facts.devices.join(", ") || "none"],
    ...(facts.noCuda === null ? [] : [["CUDA", facts.noCuda]]),
    [
      "ONNX Runtime",
      facts.onnxruntime ?? "not installed (npm install onnxruntime-node; only needed to check exported models)",
    ],
    ["sharp", facts.sharp ?? "not installed (npm install sharp; only needed for image files)"],
  ];
  for (const row of table(rows, "left")) out.line(row);
  if (problem !== undefined) lines(out, "", problem);
}

function runInfo(dir: string, out: Output): void {
  const { config, checkpoint, model } = openRunFolder(dir);
  using _ = model;
  const { training, data } = config;
  const state = checkpoint.training;
  const files = Object.values(FILES)
    .filter((name) => existsSync(join(dir, name)))
    .map((name) => ({ name, bytes: statSync(join(dir, name)).size }));
  out.event("run", {
    runDir: dir,
    config,
    parameters: model.parameterCount,
    device: checkpoint.device,
    steps: state?.step ?? null,
    epochs: state?.history.length ?? null,
    last: state?.history.at(-1) ?? null,
    files,
  });
  const last = state?.history.at(-1);
  const widths = Object.entries((model.config.widths as Record<string, number> | undefined) ?? {});
  const rows = [
    [
      "model",
      `${model.name}${model.bayesian ? ", Bayesian" : ", frequentist"}, ${count(model.parameterCount)} parameters`,
    ],
    [
      "data",
      `${data.name}: ${count(data.train)} to train on, ${count(data.valid)} to validate on, ${count(data.test)} to test on`,
    ],
    ...chosenParts(model),
    ...(widths.length > 0 ? [["widths", `${widths.map((of) => of.join(" ")).join(", ")} left`]] : []),
    ...(model.bayesian
      ? [
          ["posterior", model.bayes.posterior.name],
          ["prior", model.bayes.prior.name],
          ["beta", training.beta ?? "1"],
        ]
      : []),
    [
      "recipe",
      `${training.optimizer}, learning rate ${training.learningRate}, batch ${training.batchSize}, seed ${training.seed}`,
    ],
    [
      "trained",
      `${state ? `${count(state.step)} steps, ${state.history.length} of ${training.epochs} epochs` : "weights alone, without a state of training"} on ${checkpoint.device}`,
    ],
    ...(last ? [["last epoch", `NLL ${last.nll.toFixed(4)}, ${described(model, last)}`]] : []),
    ["files", files.map((f) => `${f.name} (${bytes(f.bytes)})`).join(", ")],
  ];
  for (const row of table(rows, "left")) out.line(row);
}

/** The figures of an epoch: of training, and of validation. */
function described({ likelihood }: Model, { metrics, valid = {} }: EpochRecord): string {
  const texts = (values: Readonly<Record<string, number>>, prefix: string) =>
    likelihood.figures.flatMap((f) =>
      values[f.name] === undefined || f.better === undefined ? [] : [`${prefix}${f.title} ${shown(f, values[f.name])}`],
    );
  return [...texts(metrics, ""), ...texts(valid, "validation ").slice(0, 2)].join(", ");
}

function modelInfo(options: InfoOptions, out: Output): void {
  const side = parseSize(options.imageSize ?? "32");
  const size = typeof side === "number" ? ([side, side] as const) : side;
  using model = madeModel({ name: options.model!, bayesian: !options.frequentist, size, width: options.width });
  using forward = forwardProgram(model, options.batch, 1);
  using step = stepProgram(model, options.batch, adam());
  const [once, train] = [forward.program.report(), step.program.report()];
  const milliseconds = stepTime(step);

  const layers = new Map<
    string,
    { parameters: number; shapes: string[]; flops: number; bytes: number; algorithm?: string }
  >();
  const layer = (name: string) => {
    if (!layers.has(name)) layers.set(name, { parameters: 0, shapes: [], flops: 0, bytes: 0 });
    return layers.get(name)!;
  };
  for (const slot of model.parameters) {
    const [name, ...rest] = slot.name.split("/");
    const size = sizeOf(slot.shape);
    layer(name).parameters += size;
    if (rest[0] === "weight" && !layer(name).shapes.length) layer(name).shapes.push(slot.shape.join("x"));
  }
  for (const s of once.steps) {
    const l = layer(s.layer ?? "(between layers)");
    l.flops += s.flops;
    l.bytes += s.bytes;
    l.algorithm ??= s.algorithm;
  }
  const total = {
    parameters: model.parameterCount,
    forwardFlops: once.flops,
    stepFlops: train.flops,
    forwardArenaBytes: once.arenaBytes,
    stepArenaBytes: train.arenaBytes,
    stepWorkspaceBytes: train.workspaceBytes,
    stepTrafficBytes: train.traffic,
    weightsBytes: [...model.store.slots.values()].reduce((sum, slot) => sum + 4 * sizeOf(slot.shape), 0),
    stepMilliseconds: milliseconds,
  };
  for (const [name, l] of layers)
    out.event("layer", {
      name,
      weights: l.shapes[0] ?? null,
      parameters: l.parameters,
      flops: l.flops,
      bytes: l.bytes,
      algorithm: l.algorithm ?? null,
    });
  out.event("model", {
    model: options.model,
    bayesian: model.bayesian,
    input: model.inputShape,
    outputs: sizeOf(model.outputShape),
    batch: options.batch,
    ...total,
  });

  const rows = [["layer", "weights", "parameters", "flops", "bytes moved", "forward pass"]];
  for (const [name, l] of layers)
    rows.push([
      fitting(name),
      l.shapes[0] ?? "",
      count(l.parameters),
      flops(l.flops),
      bytes(l.bytes),
      l.algorithm ?? "",
    ]);
  out.line([
    "bold",
    `${options.model}${model.bayesian ? "" : ", frequentist"}, input ${model.inputShape.join("x")}, ${sizeOf(model.outputShape)} outputs, batch ${options.batch}`,
  ]);
  for (const row of table(rows)) out.line(row);
  out.line();
  for (const row of table(
    [
      ["parameters", `${count(total.parameters)}${model.bayesian ? " (two for each weight: mean and spread)" : ""}`],
      ["one forward pass", `${flops(total.forwardFlops)}flop, memory ${bytes(total.forwardArenaBytes)}`],
      [
        "one training step",
        `${flops(total.stepFlops)}flop, memory ${bytes(total.stepArenaBytes)} + ${bytes(total.stepWorkspaceBytes)} workspace, ${bytes(total.stepTrafficBytes)} moved`,
      ],
      ["weights with Adam's moments", bytes(total.weightsBytes)],
      [
        "time of a step here",
        `${Number(milliseconds.toPrecision(3))} ms (${((1000 * options.batch) / milliseconds).toFixed(0)} images/s)`,
      ],
    ],
    "left",
  ))
    out.line(row);
}

/** The median of a few steps, after one that does not count. `bayescnn bench step` measures longer. */
function stepTime({ program, feeds }: ReturnType<typeof stepProgram>): number {
  const once = () => {
    const start = performance.now();
    program.run(feeds);
    return performance.now() - start;
  };
  once();
  const times = [once()];
  for (let spent = times[0]; times.length < STEPS && spent < ENOUGH_MS; spent += times.at(-1)!) times.push(once());
  return times.sort((a, b) => a - b)[times.length >> 1];
}

/** "12.3 M" */
function flops(n: number): string {
  const units = ["", "k", "M", "G", "T"];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return `${Number(n.toPrecision(3))} ${units[i]}`;
}

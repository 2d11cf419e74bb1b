import type { Command } from "commander";
import { answering } from "../../models/create.ts";
import { forwardProgram, madeModel, stepProgram } from "../../speed/made.ts";
import { adam } from "../../train/optimizers.ts";
import { type Context, inContext, integer, precision, shared, type Values } from "../shared/options.ts";

const common = precision
  .choice("--model <name>", "architecture", answering, "lenet5")
  .value("--batch <n>", "images in one step", integer(1, 65_536), 128)
  .flag("--frequentist", "the model without Bayesian layers");
const sampled = common.value("--samples <n>", "Monte-Carlo samples", integer(1, 65_536), 32);
type BenchOptions = Values<typeof common> & Partial<Values<typeof sampled>>;

const WARM_UP_MS = 300;
const LEAST_RUNS = 20;
const LEAST_MS = 2000;
const MOST_MS = 60_000;

/** `bayescnn bench step` and `bayescnn bench predict`: one median, measured in this process. */
export function benchCommand(root: Command): void {
  const bench = root.command("bench").description("time a training step or a prediction on made-up data");
  shared(bench.command("step").description("one training step: forward, loss with KL, backward, Adam"), common, {
    example: "bayescnn bench step --model alexnet --batch 64 --json",
  }).action((options: BenchOptions) =>
    inContext(options, (context) => measure("step", options, context), { linesTo: options.out }),
  );

  shared(bench.command("predict").description("one Monte-Carlo prediction of a batch"), sampled, {
    example: "bayescnn bench predict --model lenet5 --batch 64 --samples 32 --json",
  }).action((options: BenchOptions) =>
    inContext(options, (context) => measure("predict", options, context), { linesTo: options.out }),
  );
}

async function measure(what: "step" | "predict", options: BenchOptions, { out, signal }: Context): Promise<void> {
  const samples = options.frequentist ? 1 : (options.samples ?? 1);
  using model = madeModel({ name: options.model, bayesian: !options.frequentist, seed: options.seed });
  using made =
    what === "step"
      ? stepProgram(model, options.batch, adam(), options.precision)
      : forwardProgram(model, options.batch, samples, options.precision);
  const once = async () => {
    await new Promise(setImmediate); // Ctrl-C is heard between two runs
    signal.throwIfAborted();
    const start = performance.now();
    made.run();
    return performance.now() - start;
  };
  for (let spent = 0, n = 0; spent < WARM_UP_MS || n < 3; n++) spent += await once();
  const times: number[] = [];
  for (
    let spent = 0;
    (spent < LEAST_MS || times.length < LEAST_RUNS) && spent < MOST_MS;
    spent += times[times.length - 1]
  )
    times.push(await once());

  times.sort((a, b) => a - b);
  const middle = times.length >> 1;
  const median = times.length % 2 ? times[middle] : (times[middle - 1] + times[middle]) / 2;
  const round = (ms: number) => Number(ms.toPrecision(6));
  const result = {
    median_ms: round(median),
    min_ms: round(times[0]),
    max_ms: round(times[times.length - 1]),
    n: times.length,
  };
  out.record(result);
  const { flops } = made.program.report();
  const twin =
    (options.frequentist ? ", frequentist" : "") + (options.precision === "fp32" ? "" : `, ${options.precision}`);
  const name = what === "step" ? "training step" : `prediction with ${samples} Monte-Carlo samples`;
  out.line(`${options.model}${twin}, batch ${options.batch}, one ${name} on ${model.store.device.name}`);
  out.line(`  median ${result.median_ms} ms, least ${result.min_ms} ms, most ${result.max_ms} ms, ${result.n} runs`);
  out.line(`  ${((1000 * options.batch) / median).toFixed(0)} images/s, ${(flops / median / 1e6).toFixed(1)} Gflop/s`);
}

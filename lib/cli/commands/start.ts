import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { embeddedMnist } from "../../data/locate.ts";
import type { ClassMetrics } from "../../likelihoods/categorical.ts";
import type { ClassPrediction } from "../../likelihoods/shared/predictions.ts";
import { threads } from "../../native/device.ts";
import { type VerifyResult, verifyOnnx } from "../../onnx/verify.ts";
import type { EvaluateResult } from "../../predict/predict.ts";
import { RunLock } from "../../train/lock.ts";
import { BayesError } from "../../util/errors.ts";
import { duration } from "../../util/progress.ts";
import { installed } from "../shared/installed.ts";
import { type Context, declare, inContext, integer, shared, type Values } from "../shared/options.ts";
import { count, fixed, lines, type Output, percent } from "../shared/output.ts";
import { recipe } from "../shared/recipe.ts";
import { testModel, writeOnnx, writeReport } from "../shared/results.ts";
import { splitData } from "../shared/run-data.ts";
import { FILES, modelOf, type RunConfig, readConfig, writeConfig } from "../shared/run-folder.ts";
import { defaultOptions } from "../shared/train-options.ts";
import { announce, clearRun, quoted, stoppedRun, testFields, trainRun } from "../shared/training.ts";
import { agreement, firstImages } from "./export.ts";

/** About a minute on two cores. */
const EPOCHS = 40;

const own = declare().value("--epochs <n>", "how often every image is seen", integer(1), EPOCHS);
type StartOptions = Values<typeof own>;

/** `bayescnn start`, which `npm start` runs: the whole story on the digits that come with the package. */
export function startCommand(root: Command): void {
  shared(
    root
      .command("start")
      .description("a tour in about a minute: train a Bayesian LeNet-5 on real digits, see how sure it is, export it"),
    own,
    { out: "run folder; an earlier tour in it is replaced (default: runs/start)", example: "bayescnn start" },
  ).action((options: StartOptions) =>
    inContext(options, (context) => start(options, context), { product: false, signals: "save" }),
  );
}

async function start(options: StartOptions, context: Context): Promise<void> {
  const { signal, until } = context;
  const began = performance.now();
  const all = embeddedMnist();
  const config: RunConfig = { ...recipe({ ...defaultOptions, ...options, data: "mnist" }, all), tour: true };
  const runDir = options.out ?? join("runs", "start");
  const data = { ...splitData(all, config.data), test: all.test };
  using model = modelOf(config);
  checkTour(runDir);
  using lock = RunLock.take(runDir, { lend: true });
  clearRun(runDir);
  writeConfig(runDir, config);

  announce(context, model, config, runDir, threads());
  const result = await trainRun(model, data, config, runDir, false, context);
  const seconds = result.wall.seconds;
  const finish = async () => {
    const tested = await testModel(model, data.test, config, { signal });
    lock.check();
    const report = { train: data.train, history: result.history, trainingSeconds: seconds };
    await writeReport(runDir, model, data.test, config, tested, report);
    const onnx = writeOnnx(runDir, model);
    const runtime = installed("onnxruntime-node");
    const compared = runtime === undefined ? undefined : verifyOnnx(model, onnx, await firstImages(data.test, 100));
    return { tested, verified: await compared };
  };
  const { tested, verified } = await until(finish()).catch((error: unknown) => {
    throw signal.aborted ? stoppedRun(context, runDir, result.steps) : error;
  });
  const { out } = context;
  sayFigures(out, tested, data.test.targets);
  sayFiles(out, runDir, verified);
  lines(out, "", `Done in ${duration((performance.now() - began) / 1000)}, ${duration(seconds)} of them training.`);
  out.event("done", {
    seconds,
    epochs: result.history.length,
    test: testFields(tested),
    beta: Number(config.training.beta),
    onnx: verified ?? null,
    runDir,
  });
  if (verified && !verified.agrees)
    throw new BayesError(
      `[start] expected ONNX Runtime and the native run to agree, received a difference of ${verified.maxDifference}`,
      { code: "ERR_BAYES_NUMERIC" },
    );
}

/** What the test gave, each figure with a sentence on what it means. */
function sayFigures(out: Output, tested: EvaluateResult, targets: Int32Array): void {
  const prediction = tested.prediction as ClassPrediction;
  const e = tested.metrics as ClassMetrics;
  const title = `On ${count(e.count)} digits it has never seen, with ${prediction.samples} Monte-Carlo samples each:`;
  const right = `${count(Math.round(e.accuracy * e.count))} of ${count(e.count)} digits are read correctly.`;
  const probability = percent(Math.exp(-e.nll), 1);
  const points = (100 * e.ece).toFixed(1);
  out.line();
  out.line(["bold", title]);
  for (const [name, value, words] of [
    ["accuracy", percent(e.accuracy), right],
    ["NLL", fixed(e.nll), `On average the true digit got a probability of ${probability} (the geometric mean).`],
    [
      "ECE",
      fixed(e.ece),
      `When it says it is 90 % sure, it is right 90 % of the time, give or take ${points} points on average.`,
    ],
    [
      "epistemic",
      e.epistemic.toExponential(1),
      "The samples of the weights disagree by this variance: what more training data would reduce.",
    ],
    [
      "aleatoric",
      e.aleatoric.toExponential(1),
      "Each sample by itself is unsure by this variance: what is unclear in the images themselves.",
    ],
  ])
    out.line("  ", ["cyan", name.padEnd(10)], " ", ["bold", value.padStart(8)], `  ${words}`);
  const wrong = mistakes(prediction, targets);
  if (wrong !== undefined && wrong >= 2)
    lines(
      out,
      "",
      `  Its uncertainty is ${wrong.toFixed(0)} times as high on the digits it misreads as on the others: it tends to know when it is wrong.`,
    );
}

/** Whether the exported model says the same, and where everything lies. */
function sayFiles(out: Output, runDir: string, verified: VerifyResult | undefined): void {
  out.line();
  out.line(
    verified
      ? agreement(verified)
      : "ONNX Runtime is not installed, so the exported model was not run in it (npm install onnxruntime-node).",
  );
  out.line();
  const shown = quoted(runDir);
  for (const [name, file, words] of [
    ["report", FILES.reportHtml, "plots, and the images it is least sure of; open it in a browser"],
    ["model", FILES.onnx, "the mean weights, for ONNX Runtime and its kin"],
    ["run", "", `more: bayescnn evaluate ${shown}, bayescnn predict ${shown} --index 0-9, bayescnn prune ${shown}`],
  ])
    out.line("  ", ["cyan", name.padEnd(6)], ` ${join(runDir, file)}  `, ["dim", words]);
}

/** Throws a BayesError where the folder holds files of another run, which the tour would replace. */
function checkTour(dir: string): void {
  const found = Object.values(FILES).find((name) => existsSync(join(dir, name)));
  if (found === undefined) return;
  const tour = existsSync(join(dir, FILES.config)) ? readConfig(dir) : undefined;
  if (tour?.tour && !tour.pruning) return;
  throw new BayesError(
    `[start] expected --out to be a new folder or one of an earlier tour, received ${dir} with ${found} of something else`,
    { code: "ERR_BAYES_FILE" },
  );
}

/** How many times higher the total uncertainty is on wrong predictions than on right ones; undefined if none is wrong. */
function mistakes(p: ClassPrediction, labels: Int32Array): number | undefined {
  const sums = { right: 0, wrong: 0 };
  const counts = { right: 0, wrong: 0 };
  for (let n = 0; n < labels.length; n++) {
    const kind = p.top(n) === labels[n] ? "right" : "wrong";
    sums[kind] += p.epistemicTotal[n] + p.aleatoricTotal[n];
    counts[kind]++;
  }
  if (counts.wrong === 0 || sums.right === 0) return undefined;
  return sums.wrong / counts.wrong / (sums.right / counts.right);
}

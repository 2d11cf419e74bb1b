/** What a report says of class predictions. */
import { topLabel } from "../../metrics/calibration.ts";
import { classificationMetrics, PROBABILITY_FLOOR } from "../../metrics/classification.ts";
import { average, clear, meanInterval, wilson } from "../../metrics/statistics.ts";
import { largest } from "../../util/arrays.ts";
import { percent } from "../../util/figures.ts";
import type { Block, Matrix, ReportContext, Reporter, Section, Shot, Table } from "../shared/blocks.ts";
import type { ClassPrediction } from "../shared/predictions.ts";
import {
  type Answers,
  answerCalibration,
  answerSection,
  ranked,
  splitTiles,
  surestHalf,
  uncertaintySection,
} from "./build.ts";

/** As many classes can be read in a confusion matrix. */
const READABLE = 20;
const EACH = 12;
const MISTAKES = 8;

const answersOf = (p: ClassPrediction, labels: Int32Array): Answers => ({
  probs: p.probabilities,
  labels,
  of: "images",
  together: 1,
});

export const categoricalReport: Reporter<ClassPrediction> = {
  appraise(p, targets, context) {
    const labels = targets as Int32Array;
    const m = classificationMetrics(p.probabilities, labels);
    const C = p.classes.length;
    const losses = Float64Array.from(labels, (c, n) => surprise(p.probabilities[n * C + c]));
    // one example a class beforehand: a class that training lacks is unlikely, not impossible
    const seen = (context.training ?? labels) as Int32Array;
    const counts = new Float64Array(C).fill(1);
    for (const c of seen) counts[c]++;
    const majority = counts.indexOf(largest(counts));
    const always = average(labels.map((c) => Number(c === majority)));
    const guess = Float64Array.from(labels, (c) => surprise(counts[c] / (seen.length + C)));
    const { correct } = topLabel(p.probabilities, labels);
    const better = correct.map((hit, n) => hit - Number(labels[n] === majority));
    const surer = losses.map((loss, n) => guess[n] - loss);
    const answers = answersOf(p, labels);
    const half = surestHalf(answers);
    const tested = new Set(labels);
    return {
      absent: p.classes.filter((_, c) => !tested.has(c)),
      says: `Right ${percent(m.accuracy, 0)} of the time, claims ${percent(m.confidence, 0)}`,
      ...(half === undefined || m.accuracy === 1
        ? {}
        : { selective: `leaving out the least sure half it is right ${percent(half, 0)}` }),
      calibration: answerCalibration(answers),
      baseline: {
        name: `always “${p.classes[majority]}”, the most frequent class`,
        figures: { accuracy: always, nll: average(guess) },
        test: { accuracy: m.accuracy, nll: m.nll },
        standardErrors: Math.max(clear(Int8Array.from(better)), clear(surer)),
      },
      tiles: [
        {
          name: "accuracy",
          title: "Accuracy",
          value: m.accuracy,
          hint: `of ${m.count.toLocaleString("en-US")} test images`,
          share: true,
          interval: wilson(m.accuracy, m.count),
          baseline: always,
        },
        {
          name: "nll",
          title: "NLL",
          value: m.nll,
          hint: "nats; surprise at the truth, lower is better",
          interval: meanInterval(losses),
          baseline: average(guess),
        },
        { name: "ece", title: "ECE", value: m.ece, hint: "gap between confidence and accuracy" },
        { name: "brier", title: "Brier", value: m.brier, hint: "squared error of the probabilities" },
        ...splitTiles(p, "variance"),
      ],
    };
  },

  sections(p, targets, context) {
    const labels = targets as Int32Array;
    const { correct } = topLabel(p.probabilities, labels);
    const calibration = answerSection(answersOf(p, labels), context.threshold);
    return [
      calibration,
      ...(context.split ? [uncertaintySection(p, "variance", correct)] : []),
      ...(context.images ? [gallery(p, labels, context)] : []),
      classes(p, labels, context),
    ];
  },
};

const surprise = (probability: number): number => -Math.log(Math.min(1, Math.max(probability, PROBABILITY_FLOOR)));

function gallery(p: ClassPrediction, labels: Int32Array, { split }: ReportContext): Section {
  const C = p.classes.length;
  const confidence = (n: number) => p.probabilities[n * C + p.top(n)];
  const doubt = (n: number) => (split ? p.epistemicTotal[n] + p.aleatoricTotal[n] : 1 - confidence(n));
  const shot = (n: number): Shot => {
    const right = p.top(n) === labels[n];
    return {
      image: n,
      says: p.label(n),
      right,
      ...(right ? {} : { truth: p.classes[labels[n]] }),
      detail: percent(confidence(n), 1),
      ...(split ? { split: { epistemic: p.epistemicTotal[n], aleatoric: p.aleatoricTotal[n], most: 1 - 1 / C } } : {}),
    };
  };
  const sorted = ranked(p.count, doubt);
  const wrong = ranked(p.count, (n) => -confidence(n)).filter((n) => p.top(n) !== labels[n]);
  const blocks: Block[] = [
    {
      block: "gallery",
      title: "Most certain",
      caption: "The images it has the least doubt about.",
      shots: sorted.slice(0, EACH).map(shot),
    },
    {
      block: "gallery",
      title: "Least certain",
      caption: "The images it would rather have someone else look at.",
      shots: sorted.slice(-EACH).reverse().map(shot),
    },
  ];
  if (wrong.length > 0)
    blocks.push({
      block: "gallery",
      title: "Confident mistakes",
      caption: "Wrong answers given with the most confidence: mislabelled, odd, or a real weakness.",
      shots: wrong.slice(0, MISTAKES).map(shot),
    });
  return {
    title: "Test images",
    lead: `Under each image: the prediction and its confidence${split ? ", and the two parts of its uncertainty" : ""}.`,
    blocks,
  };
}

/** Confusions, and a row for each class. */
function classes(p: ClassPrediction, labels: Int32Array, { split }: ReportContext): Section {
  const C = p.classes.length;
  const [totals, right] = [new Uint32Array(C), new Uint32Array(C)];
  const sums = { epistemic: new Float64Array(C), aleatoric: new Float64Array(C) };
  const pairs = new Map<number, number>(); // true class * C + predicted one; most pairs never occur
  for (let n = 0; n < p.count; n++) {
    const [is, says] = [labels[n], p.top(n)];
    totals[is]++;
    if (is === says) right[is]++;
    sums.epistemic[is] += p.epistemicTotal[n];
    sums.aleatoric[is] += p.aleatoricTotal[n];
    pairs.set(is * C + says, (pairs.get(is * C + says) ?? 0) + 1);
  }
  const wrong: Confusion[] = [...pairs]
    .map(([pair, count]) => ({ is: Math.floor(pair / C), says: pair % C, count }))
    .filter(({ is, says }) => is !== says)
    .sort((a, b) => b.count - a.count);
  const mostly = new Map<number, string>();
  for (const { is, says } of wrong) if (!mostly.has(is)) mostly.set(is, p.classes[says]);
  const absent = p.classes.filter((_, c) => totals[c] === 0);
  const share = (sum: ArrayLike<number>, c: number) => (totals[c] === 0 ? null : sum[c] / totals[c]);
  const table: Table = {
    block: "table",
    title: "Class by class",
    caption:
      absent.length > 0
        ? `Without test images, so nothing is known of them: ${absent.slice(0, 30).join(", ")}${absent.length > 30 ? ` and ${absent.length - 30} more` : ""}.`
        : "",
    columns: [
      { title: "class" },
      { title: "images", format: "count" },
      { title: "accuracy", format: "share" },
      ...(split
        ? ([
            { title: "epistemic", format: "figure" },
            { title: "aleatoric", format: "figure" },
          ] as const)
        : []),
      { title: "mostly mistaken for", format: "text" },
    ],
    rows: p.classes.map((name, c) => [
      name,
      totals[c],
      share(right, c),
      ...(split ? [share(sums.epistemic, c), share(sums.aleatoric, c)] : []),
      mostly.get(c) ?? null,
    ]),
  };
  const confusions: Matrix | Table =
    C <= READABLE
      ? {
          block: "matrix",
          title: "What is taken for what",
          caption:
            "Test images by their true class (rows) and the predicted one (columns); darker is a larger share of its row.",
          names: p.classes,
          counts: p.classes.map((_, c) => p.classes.map((_, k) => pairs.get(c * C + k) ?? 0)),
        }
      : {
          block: "table",
          title: "What is taken for what",
          caption:
            wrong.length > 0
              ? `The most frequent confusions of ${C} classes.`
              : "No test image is taken for another class.",
          columns: [
            { title: "is" },
            { title: "taken for", format: "text" },
            { title: "images", format: "count" },
            { title: "of its class", format: "share" },
          ],
          rows: wrong
            .slice(0, READABLE)
            .map(({ is, says, count }) => [p.classes[is], p.classes[says], count, count / totals[is]]),
        };
  return { title: "Classes", blocks: [confusions, table] };
}

interface Confusion {
  readonly is: number;
  readonly says: number;
  readonly count: number;
}

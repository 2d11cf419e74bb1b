/** What a report says of labels that may each be there or not. */
import { auroc } from "../../metrics/ood.ts";
import { average, clear, meanInterval, wilson } from "../../metrics/statistics.ts";
import { largest } from "../../util/arrays.ts";
import { percent } from "../../util/figures.ts";
import type { ReportContext, Reporter, Section, Shot, Table } from "../shared/blocks.ts";
import type { Targets } from "../shared/likelihood.ts";
import type { BernoulliPrediction } from "../shared/predictions.ts";
import {
  type Answers,
  answerCalibration,
  answerSection,
  ranked,
  splitTiles,
  surestHalf,
  uncertaintySection,
} from "./build.ts";

const EACH = 12;
const MISTAKES = 8;

/** Every label of every image as an answer of two classes. */
function answersOf(p: BernoulliPrediction, targets: Targets): Answers {
  const probs = new Float64Array(2 * targets.length);
  p.mean.forEach((q, i) => {
    probs[2 * i] = 1 - q;
    probs[2 * i + 1] = q;
  });
  const labels = Int32Array.from(targets, (t) => Number(t >= 0.5));
  return { probs, labels, of: p.labels.length > 1 ? "labels" : "images", together: p.labels.length };
}

/** Nats of a target t where q is said. */
const surprise = (t: number, q: number): number => {
  const at = (weight: number, x: number) => (weight === 0 ? 0 : -weight * Math.log(Math.max(x, Number.MIN_VALUE)));
  return at(t, q) + at(1 - t, 1 - q);
};

export function bernoulliReport(
  nlls: (p: BernoulliPrediction, targets: Targets) => Float64Array,
): Reporter<BernoulliPrediction> {
  return {
    appraise(p, targets, context) {
      const K = p.labels.length;
      const seen = context.training ?? targets;
      // one example of each value beforehand: what training lacks is unlikely, not impossible
      const rates = p.labels.map((_, k) => (column(seen, K, k).reduce((a, b) => a + b, 0) + 1) / (seen.length / K + 2));
      const losses = nlls(p, targets);
      const [surer, better] = [new Float64Array(p.count), new Float64Array(p.count)];
      let [claimed, hits, always, exact, brier, guess] = [0, 0, 0, 0, 0, 0];
      for (let n = 0; n < p.count; n++) {
        let [right, constant, nats] = [0, 0, 0];
        for (let k = 0; k < K; k++) {
          const [q, t] = [p.mean[n * K + k], targets[n * K + k]];
          claimed += Math.max(q, 1 - q);
          brier += (q - t) ** 2;
          right += Number(q >= 0.5 === t >= 0.5);
          constant += Number(rates[k] >= 0.5 === t >= 0.5);
          nats += surprise(t, rates[k]);
        }
        hits += right;
        always += constant;
        guess += nats;
        exact += Number(right === K);
        surer[n] = nats - losses[n];
        better[n] = right - constant;
      }
      const total = p.count * K;
      const [accuracy, constant] = [hits / total, always / total];
      const answers = answersOf(p, targets);
      const half = surestHalf(answers);
      return {
        says: `Right ${K > 1 ? `about ${percent(accuracy, 0)} of the labels` : `${percent(accuracy, 0)} of the time`}, claims ${percent(claimed / total, 0)}`,
        ...(half === undefined || accuracy === 1
          ? {}
          : { selective: `leaving out the least sure half it is right ${percent(half, 0)}` }),
        calibration: answerCalibration(answers),
        baseline: {
          name: K > 1 ? "each label's more frequent value" : "always the more frequent value",
          figures: { accuracy: constant, nll: guess / p.count },
          test: { accuracy, nll: average(losses) },
          standardErrors: Math.max(clear(better), clear(surer)),
        },
        tiles: [
          {
            name: "accuracy",
            title: "Accuracy",
            value: accuracy,
            hint: `of ${K > 1 ? `${K} labels of ` : ""}${p.count.toLocaleString("en-US")} test images`,
            share: true,
            // labels of one image may be right or wrong together: as many answers as images
            interval: wilson(accuracy, p.count),
            baseline: constant,
          },
          {
            name: "nll",
            title: "NLL",
            value: average(losses),
            hint: "nats an image; surprise at all of its labels",
            interval: meanInterval(losses),
            baseline: guess / p.count,
          },
          { name: "brier", title: "Brier", value: brier / total, hint: "squared error of the probabilities" },
          ...(K > 1
            ? [
                {
                  name: "exactMatch",
                  title: "Exact match",
                  value: exact / p.count,
                  hint: "images with every label right",
                  share: true,
                  interval: wilson(exact / p.count, p.count),
                },
              ]
            : []),
          ...splitTiles(p, "variance"),
        ],
      };
    },

    sections(p, targets, context) {
      const correct = exactlyRight(p, targets);
      return [
        answerSection(answersOf(p, targets), context.threshold),
        ...(context.split ? [uncertaintySection(p, "variance", correct)] : []),
        ...(context.images ? [gallery(p, targets, correct, context)] : []),
        { title: "Labels", blocks: [labelTable(p, targets)] },
      ];
    },
  };
}

const column = (values: ArrayLike<number>, K: number, k: number): number[] =>
  Array.from({ length: values.length / K }, (_, n) => values[n * K + k]);

/** Whether every label of an image is right, [N]. */
const exactlyRight = (p: BernoulliPrediction, targets: Targets): Uint8Array => {
  const K = p.labels.length;
  return Uint8Array.from({ length: p.count }, (_, n) =>
    Number(p.labels.every((_, k) => p.mean[n * K + k] >= 0.5 === targets[n * K + k] >= 0.5)),
  );
};

/** A lone label without a name is a yes or a no. */
const yesOrNo = ({ labels }: BernoulliPrediction): boolean => labels.length === 1 && labels[0] === "0";
const nameOf = (p: BernoulliPrediction, k: number): string => (yesOrNo(p) ? "yes" : p.labels[k]);

function labelTable(p: BernoulliPrediction, targets: Targets): Table {
  const K = p.labels.length;
  const ratio = (a: number, b: number) => (b === 0 ? null : a / b);
  const rows = p.labels.map((_, k) => {
    const [q, t] = [column(p.mean, K, k), column(targets, K, k).map((v) => v >= 0.5)];
    const count = (wanted: (said: boolean, is: boolean) => boolean) =>
      q.filter((v, n) => wanted(v >= 0.5, t[n])).length;
    const there = count((_, is) => is);
    const both = there > 0 && there < p.count;
    const found = count((said, is) => said && is);
    const [without, within] = [q.filter((_, n) => !t[n]), q.filter((_, n) => t[n])];
    return [
      nameOf(p, k),
      there / p.count,
      Math.max(there, p.count - there) / p.count,
      count((said, is) => said === is) / p.count,
      ratio(
        found,
        count((said) => said),
      ),
      ratio(found, there),
      both ? auroc(without, within) : null,
    ];
  });
  const lone = p.labels.flatMap((_, k) => (rows[k][6] === null ? [nameOf(p, k)] : []));
  return {
    block: "table",
    title: "Label by label",
    caption: `Base rate: share of the test images that have the label. Precision: share of those said to have it that do. Recall: share of those that have it that are found. AUROC: chance that an image with the label gets a higher probability than one without.${
      lone.length > 0 ? ` The test set has only one value of: ${lone.slice(0, 20).join(", ")}.` : ""
    }`,
    columns: [
      { title: "label" },
      { title: "base rate", format: "share" },
      { title: "baseline accuracy", format: "share" },
      { title: "accuracy", format: "share" },
      { title: "precision", format: "share" },
      { title: "recall", format: "share" },
      { title: "AUROC", format: "fixed" },
    ],
    rows,
  };
}

function gallery(p: BernoulliPrediction, targets: Targets, correct: Uint8Array, { split }: ReportContext): Section {
  const K = p.labels.length;
  const sure = (n: number) =>
    0 - largest(p.labels.map((_, k) => 0 - Math.max(p.mean[n * K + k], 1 - p.mean[n * K + k])));
  const names = (there: (k: number) => boolean) => {
    const some = p.labels.flatMap((_, k) => (there(k) ? [nameOf(p, k)] : []));
    if (some.length > 0) return some.join(", ");
    return yesOrNo(p) ? "no" : K === 1 ? `not ${nameOf(p, 0)}` : "none";
  };
  const shot = (n: number): Shot => ({
    image: n,
    says: names((k) => p.mean[n * K + k] >= 0.5),
    right: correct[n] === 1,
    ...(correct[n] ? {} : { truth: names((k) => targets[n * K + k] >= 0.5) }),
    detail: percent(sure(n), 1),
    ...(split ? { split: { epistemic: p.epistemicTotal[n], aleatoric: p.aleatoricTotal[n], most: K / 4 } } : {}),
  });
  const sorted = ranked(p.count, (n) => -sure(n));
  const wrong = sorted.filter((n) => !correct[n]);
  return {
    title: "Test images",
    lead: `Under each image: ${K > 1 ? "the labels it is said to have, and the confidence in the least sure of all of its labels" : "the answer, and the confidence in it"}${split ? "; then the two parts of its uncertainty" : ""}.`,
    blocks: [
      {
        block: "gallery",
        title: "Most certain",
        caption: "The images whose least sure label is surest.",
        shots: sorted.slice(0, EACH).map(shot),
      },
      {
        block: "gallery",
        title: "Least certain",
        caption: "The images with a label that is nearest to a coin's toss.",
        shots: sorted.slice(-EACH).reverse().map(shot),
      },
      ...(wrong.length > 0
        ? [
            {
              block: "gallery" as const,
              title: "Confident mistakes",
              caption:
                "Images with a wrong label, where it was surest of all of them: mislabelled, odd, or a real weakness.",
              shots: wrong.slice(0, MISTAKES).map(shot),
            },
          ]
        : []),
    ],
  };
}

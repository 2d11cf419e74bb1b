import type { Appraisal, Section, ShownThreshold, Tile } from "../likelihoods/shared/blocks.ts";
import type { Figure } from "../likelihoods/shared/likelihood.ts";
import { fail } from "../util/errors.ts";
import { checkReport, type ReportData, type ReportTest } from "./data.ts";
import { diagnosisOf, splitMeans } from "./diagnosis.ts";
import { comparisonSection, type OodFigures, oodFigures, oodSection, pruningSection } from "./tables.ts";
import { deepWithoutPaths } from "./text.ts";
import { trainingSection } from "./training.ts";
import { judge, type Verdict } from "./verdict.ts";

/**
 * The report as plain JSON: all of its numbers, none of its images. Fields are added, never renamed: `test` holds the
 * likelihood's figures of the test set by name, and "nll" is always among them.
 */
export interface ReportSummary extends Omit<ReportData, "test" | "trainingTargets" | "ood" | "tested"> {
  /** of this layout */
  format: 1;
  /** kind of the likelihood, such as "categorical" */
  likelihood?: string;
  verdict?: Verdict;
  /** at most three sentences on how the training went and what to do: the verdict's first */
  diagnosis?: readonly string[];
  /** figures of the test set by name; epistemic and aleatoric are means over its images */
  test?: Readonly<Record<string, number>>;
  /** 95 % confidence intervals of those that have one, from the number of test images */
  intervals?: Readonly<Record<string, readonly [number, number]>>;
  /** what predicting the same for every image reaches */
  baseline?: { readonly name: string; readonly figures: Readonly<Record<string, number>> };
  /** with the figures of each score, not its values */
  ood?: { readonly data: string; readonly scores: readonly OodFigures[] };
  threshold?: ShownThreshold;
  /** the page's sections as data, without galleries */
  sections: readonly Section[];
}

/** Everything a page is drawn from. */
export interface Page {
  readonly summary: ReportSummary;
  readonly tiles: readonly Tile[];
  /** with galleries */
  readonly sections: readonly Section[];
}

/**
 * The report as an object for JSON.
 * @throws BayesError when shapes do not fit or a value is out of range
 */
export const reportJson = (data: ReportData): ReportSummary => pageOf(data).summary;

/**
 * The content of a report.
 * @throws BayesError when shapes do not fit or a value is out of range
 */
export function pageOf(data: ReportData): Page {
  checkReport(data);
  const { test, trainingTargets, tested, ood: strange, ...rest } = data;
  const { title, description, setup, notes, comparison, pruning, config, history, threshold } = rest;
  const clean = deepWithoutPaths({ title, description, setup, notes, comparison, pruning, config });
  const figures = test?.likelihood.figures ?? [];
  const metrics = test && metricsOf(test);
  const split = test?.bayesian !== false;
  const context = { training: trainingTargets, split, images: test?.images !== undefined, threshold };
  const appraisal = test?.likelihood.report?.appraise(test.prediction, test.targets, context);
  const verdict = appraisal && metrics && judge({ appraisal, metrics, figures, history, tested });
  // where nothing was learned, neither the split nor what it is sure of means anything
  const learned = !verdict?.failed || verdict.cause === "overfitting";
  const told = split && (!verdict || splitMeans(verdict));
  const record = history?.[tested ?? history.length - 1];
  const diagnosis = verdict && diagnosisOf(verdict, appraisal, { split, record });
  const ood = strange && { data: deepWithoutPaths(strange.data), scores: oodFigures(strange) };

  const sections: Section[] = [];
  if (clean.comparison?.length) {
    const own = metrics && { name: clean.setup?.model ?? "this model", metrics };
    sections.push(comparisonSection(own, clean.comparison, figures));
  }
  if (test?.likelihood.report)
    sections.push(
      ...(split && !told ? [leftOut(diagnosis![verdict?.underFitted ? 1 : 0])] : []),
      ...test.likelihood.report.sections(test.prediction, test.targets, {
        ...context,
        split: told,
        images: context.images && learned,
      }),
    );
  if (strange && ood) sections.push(oodSection({ ...strange, data: ood.data }, ood.scores));
  if (history?.length) sections.push(trainingSection(history, figures));
  if (clean.pruning?.length) sections.push(pruningSection(clean.pruning, figures));
  const shown = sections.filter((s) => s.blocks.length > 0);
  const tiles = (appraisal?.tiles ?? plainTiles(figures, metrics)).filter((t) => told || !t.split);

  const summary: ReportSummary = {
    format: 1,
    ...clean,
    ...(test ? { likelihood: test.likelihood.config.kind, test: metrics } : {}),
    ...(verdict ? { verdict, diagnosis } : {}),
    ...(appraisal ? { baseline: baselineOf(appraisal), intervals: intervalsOf(appraisal.tiles) } : {}),
    ...(history ? { history } : {}),
    ...(threshold ? { threshold } : {}),
    ...(ood ? { ood } : {}),
    sections: shown.map((s) => ({ ...s, blocks: s.blocks.filter((b) => b.block !== "gallery") })),
  };
  return { summary, tiles, sections: shown };
}

/** @throws BayesError when the prediction is another likelihood's */
function metricsOf({ likelihood, prediction, targets }: ReportTest): Readonly<Record<string, number>> {
  try {
    return likelihood.metrics(prediction, targets);
  } catch (error) {
    if (error instanceof TypeError)
      fail("report", `test.prediction as likelihood ${likelihood.config.kind} makes it`, prediction);
    throw error;
  }
}

/** Instead of what would explain an uncertainty that means nothing. */
const leftOut = (why: string): Section => ({
  title: "Uncertainty",
  blocks: [
    {
      block: "note",
      title: "Left out: epistemic and aleatoric",
      caption: `How the uncertainty of a model splits says something about the data only once the model has learned from them. ${why}`,
    },
  ],
});

/** A likelihood that says nothing for itself has its figures shown. */
const plainTiles = (figures: readonly Figure[], metrics: ReportSummary["test"]): Tile[] =>
  figures.flatMap(({ name, title, hint, share }) =>
    metrics?.[name] === undefined ? [] : [{ name, title, hint, share, value: metrics[name] }],
  );

const baselineOf = ({ baseline: { name, figures } }: Appraisal): ReportSummary["baseline"] => ({ name, figures });

const intervalsOf = (tiles: readonly Tile[]): ReportSummary["intervals"] =>
  Object.fromEntries(tiles.flatMap(({ name, interval }) => (interval ? [[name, interval]] : [])));

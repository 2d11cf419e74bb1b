/** Sections that no likelihood makes: other models, pruning, strange images. */
import { grouped } from "../likelihoods/report/build.ts";
import type { Block, Column, Section } from "../likelihoods/shared/blocks.ts";
import type { Figure, Quality } from "../likelihoods/shared/likelihood.ts";
import { aupr, auroc, fpr95 } from "../metrics/ood.ts";
import type { PruningRow } from "../prune/pruneExperiment.ts";
import { capital } from "../util/figures.ts";
import type { ComparisonRow, ReportOod } from "./data.ts";

/** As many figures fit beside each other. */
const BESIDE = 4;

/** The likelihood's first figures that any of the rows has; without a likelihood, whatever the rows have. */
function shownFigures(rows: readonly Quality[], figures: readonly Figure[], most: number): Figure[] {
  const has = (name: string) => rows.some((r) => r[name] !== undefined);
  const names = [...new Set(rows.flatMap((r) => Object.keys(r)))];
  const all = figures.length > 0 ? figures : names.map((name) => ({ name, title: name, hint: "" }));
  return all.filter((f) => has(f.name)).slice(0, most);
}

const columnOf = (f: Figure, group?: string): Column => ({
  title: f.title,
  format: f.share ? "share" : "fixed",
  ...(group ? { group } : {}),
});
const cells = (figures: readonly Figure[], q: Quality | undefined) => figures.map((f) => q?.[f.name] ?? null);

/** This run and others. @param own this run, if it was tested */
export function comparisonSection(
  own: ComparisonRow | undefined,
  others: readonly ComparisonRow[],
  figures: readonly Figure[],
): Section {
  const rows = own ? [own, ...others] : others;
  const shown = shownFigures(
    others.map((r) => r.metrics),
    figures,
    BESIDE,
  );
  return {
    title: "Beside other models",
    blocks: [
      {
        block: "table",
        title: "",
        caption: "",
        columns: [{ title: "model" }, ...shown.map((f) => columnOf(f))],
        rows: rows.map((r) => [r.name, ...cells(shown, r.metrics)]),
        own: own ? 1 : 0,
      },
    ],
  };
}

export function pruningSection(rows: readonly PruningRow[], figures: readonly Figure[]): Section {
  const stages = [
    ["before", "before"],
    ["after", "after"],
    ["fineTuned", "after fine-tuning"],
  ] as const;
  const all = rows.flatMap((r) => stages.flatMap(([stage]) => (r[stage] ? [r[stage]] : [])));
  const shown = shownFigures(all, figures, 3);
  return {
    title: "Pruning",
    blocks: [
      {
        block: "table",
        title: "",
        caption: "Weights that carry little information are set to zero; fine-tuning lets the rest make up for them.",
        columns: [
          { title: "weights chosen by" },
          { title: "sparsity", format: "share" },
          { title: "weights left", format: "count" },
          ...stages.flatMap(([, title]) => shown.map((f) => columnOf(f, title))),
        ],
        rows: rows.map((r) => [
          r.name ?? "pruned",
          r.sparsity,
          r.parameters ?? null,
          ...stages.flatMap(([stage]) => cells(shown, r[stage])),
        ]),
      },
    ],
  };
}

/** How well each score tells strange images from the test set's. */
export interface OodFigures {
  readonly score: string;
  readonly auroc: number;
  readonly aupr: number;
  readonly fpr95: number;
}

/** @throws BayesError for scores that are none */
export const oodFigures = ({ scores }: ReportOod): OodFigures[] =>
  scores.map(({ score, inside, outside }) => ({
    score,
    auroc: auroc(inside, outside),
    aupr: aupr(inside, outside),
    fpr95: fpr95(inside, outside),
  }));

export function oodSection({ data, scores }: ReportOod, figures: readonly OodFigures[]): Section {
  const [count, strange] = [scores[0]?.inside.length ?? 0, scores[0]?.outside.length ?? 0];
  const finite = scores.filter((s) => [...s.inside, ...s.outside].some(Number.isFinite));
  const histograms = finite.map(
    ({ score, inside, outside }): Block => ({
      title: capital(score),
      caption: `${capital(score)} of the test images and of the strange ones: the less they overlap, the better.`,
      ...grouped(
        [
          { name: "test set", color: "blue", values: Array.from(inside) },
          { name: data, color: "orange", values: Array.from(outside) },
        ],
        score,
      ),
    }),
  );
  return {
    title: "Strange images",
    lead: `Images of ${data} should look more uncertain than those of the test set.`,
    blocks: [
      {
        block: "table",
        title: "Told apart by",
        caption: `${count.toLocaleString("en-US")} test images, ${strange.toLocaleString("en-US")} strange ones. AUROC: chance that a strange image has the higher score (50 % is guessing). AUPR: precision averaged over recall (guessing: ${
          count + strange > 0 ? ((100 * strange) / (count + strange)).toFixed(0) : 0
        } %). FPR95: share of test images flagged together with 95 % of the strange ones, lower is better.`,
        columns: [
          { title: "score" },
          { title: "AUROC", format: "share" },
          { title: "AUPR", format: "share" },
          { title: "FPR95", format: "share" },
        ],
        rows: figures.map((f) => [f.score, f.auroc, f.aupr, f.fpr95]),
      },
      ...histograms,
    ],
  };
}

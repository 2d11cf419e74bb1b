/**
 * A run as one HTML page that needs nothing else: no network, no script, plots as inline SVG, images as data URIs.
 */
import type { TopLevelSpec } from "vega-lite";
import { duration } from "../util/progress.ts";
import type { ComparisonRow, HistoryPoint, PruningRow, Quality, ReportData, ReportSetup } from "./data.ts";
import { galleries } from "./gallery.ts";
import { type Curve, curvePlot, drawSvg, reliabilityPlot, riskPlot, uncertaintyPlot } from "./plots.ts";
import { STYLE } from "./style.ts";
import { type ClassSummary, type ReportSummary, reportJson } from "./summary.ts";
import { escapeHtml, figure, percent, whole } from "./text.ts";

/**
 * Writes the report of a run.
 * @returns a complete HTML document
 * @throws BayesError when shapes do not fit or a value is out of range
 */
export async function buildReport(data: ReportData): Promise<string> {
  const summary = reportJson(data);
  const sections = [
    header(summary),
    setupSection(summary),
    comparisonSection(summary),
    await calibrationSection(summary),
    await uncertaintySection(summary),
    gallerySection(data),
    await trainingSection(summary),
    pruningSection(summary.pruning ?? []),
    classSection(summary.classes ?? []),
    configSection(summary.config),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${escapeHtml(data.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${sections.filter((s) => s !== "").join("\n")}
<footer>Written by bayescnn${data.setup?.version ? ` ${escapeHtml(data.setup.version)}` : ""}. NLL and entropies are in nats, epistemic and aleatoric are variances of the class probabilities (Kwon et al. 2018).</footer>
</main>
</body>
</html>
`;
}

function header({ title, description, test }: ReportSummary): string {
  const tile = (name: string, value: string, hint: string) =>
    `<div class="tile"><span>${name}</span><b>${value}</b><small>${hint}</small></div>`;
  const tiles = test
    ? [
        tile("Accuracy", percent(test.accuracy), `of ${whole(test.count)} test images`),
        tile("NLL", test.nll.toFixed(4), "nats; surprise at the truth, lower is better"),
        tile("ECE", test.ece.toFixed(4), "gap between confidence and accuracy"),
        tile("Brier", test.brier.toFixed(4), "squared error of the probabilities"),
        ...(test.epistemic === undefined ? [] : [tile("Epistemic", figure(test.epistemic), "more data would help")]),
        ...(test.aleatoric === undefined ? [] : [tile("Aleatoric", figure(test.aleatoric), "the images are unclear")]),
      ]
    : [];
  return `<header><div class="eyebrow">Bayesian CNN report</div><h1>${escapeHtml(title)}</h1>
${description ? `<p class="lead">${escapeHtml(description)}</p>` : ""}
${tiles.length > 0 ? `<div class="tiles">${tiles.join("")}</div>` : ""}</header>`;
}

const SETUP_NAMES: { [K in keyof ReportSetup]-?: string } = {
  model: "Model",
  data: "Data",
  parameters: "Parameters",
  posterior: "Posterior",
  prior: "Prior",
  estimator: "Estimator",
  beta: "Beta (weight of the KL)",
  samples: "Monte-Carlo samples",
  epochs: "Epochs",
  trainingSeconds: "Training time",
  seed: "Seed",
  precision: "Precision",
  device: "Device",
  version: "Version",
};

function setupSection({ setup, test }: ReportSummary): string {
  const facts = (Object.keys(SETUP_NAMES) as (keyof ReportSetup)[]).flatMap((key) => {
    const value = setup?.[key];
    if (value === undefined || value === null) return [];
    let text = String(value);
    if (key === "parameters" && typeof value === "number") text = whole(value);
    if (key === "trainingSeconds") text = duration(Number(value));
    return [[SETUP_NAMES[key], text]];
  });
  if (test) facts.push(["Adaptive ECE", test.adaptiveEce.toFixed(4)], ["Mean confidence", percent(test.confidence)]);
  if (facts.length === 0) return "";
  const list = facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeHtml(value)}</dd></div>`).join("");
  return `<section><h2>The run</h2><div class="card"><dl class="facts">${list}</dl></div></section>`;
}

function comparisonSection({ comparison, test, setup }: ReportSummary): string {
  if (!comparison?.length) return "";
  const { accuracy = 0, nll = 0, ece = 0, brier = 0 } = test ?? {};
  const own: ComparisonRow[] = test
    ? [{ name: setup?.model ?? "this model", metrics: { accuracy, nll, ece, brier } }]
    : [];
  const rows = [...own, ...comparison].map(
    (r, i) =>
      `<tr${i < own.length ? ' class="self"' : ""}><td>${escapeHtml(r.name)}</td>${qualityCells(r.metrics)}<td>${
        r.metrics.brier === undefined ? "–" : r.metrics.brier.toFixed(4)
      }</td></tr>`,
  );
  return `<section><h2>Beside other models</h2><div class="card scroll"><table>
<thead><tr><th>model</th><th>accuracy</th><th>NLL</th><th>ECE</th><th>Brier</th></tr></thead>
<tbody>${rows.join("")}</tbody></table></div></section>`;
}

async function calibrationSection({ reliability, riskCoverage, test }: ReportSummary): Promise<string> {
  if (!reliability || !riskCoverage || !test) return "";
  const left = await plotCard(
    "Is it as sure as it should be?",
    "Of the answers given with a certain confidence, that share should be right: the bars should end on the dashed line.",
    [
      ["var(--blue)", "share that is right"],
      ["var(--orange)", "gap to the confidence"],
      ["dash", "perfect calibration"],
    ],
    reliabilityPlot(reliability),
    "reliability",
  );
  const right = await plotCard(
    "Does it know when it is wrong?",
    `If it may leave its least confident images to a person, the answers that remain are wrong less often (area under the curve ${figure(test.aurc)}, lower is better).`,
    [
      ["var(--blue)", "most confident first"],
      ["dash", "in random order"],
    ],
    riskPlot(riskCoverage),
    "risk",
  );
  return `<section><h2>Calibration</h2><div class="grid">${left}${right}</div></section>`;
}

async function uncertaintySection({ histograms, test }: ReportSummary): Promise<string> {
  const legend: Legend = [
    ["var(--blue)", "right predictions"],
    ["var(--orange)", "wrong predictions"],
  ];
  const cards: string[] = [];
  if (histograms?.epistemic) {
    cards.push(
      await plotCard(
        "Epistemic: what it has not learned",
        "How much the sampled networks disagree about an image; more training data would lower it. Wrong predictions tend to lie further right.",
        legend,
        uncertaintyPlot(histograms.epistemic, "epistemic variance"),
        "epistemic",
      ),
    );
  }
  if (histograms?.aleatoric) {
    cards.push(
      await plotCard(
        "Aleatoric: what the image does not tell",
        "How unsure each sampled network is by itself; an unclear image stays unclear however much data there is. Wrong predictions tend to lie further right here too.",
        legend,
        uncertaintyPlot(histograms.aleatoric, "aleatoric variance"),
        "aleatoric",
      ),
    );
  }
  if (cards.length === 0) return "";
  return `<section><h2>Uncertainty</h2>${splitCard(test?.epistemic, test?.aleatoric)}<div class="grid">${cards.join("")}</div></section>`;
}

/** The two kinds of uncertainty as parts of their sum. */
function splitCard(epistemic?: number, aleatoric?: number): string {
  if (epistemic === undefined || aleatoric === undefined || !(epistemic + aleatoric > 0)) return "";
  const share = epistemic / (epistemic + aleatoric);
  const width = (v: number) => `${(100 * v).toFixed(2)}%`;
  return `<div class="card"><p class="caption">All doubt about the test set, split by where it comes from.</p>
<div class="split"><i class="e" style="width:${width(share)}"></i><i class="a" style="width:${width(1 - share)}"></i></div>
${legendHtml([
  ["var(--purple)", `epistemic ${percent(share, 1)}`],
  ["var(--green)", `aleatoric ${percent(1 - share, 1)}`],
])}</div>`;
}

function gallerySection({ test, classNames }: ReportData): string {
  if (!test?.images) return "";
  const shots = galleries(test, test.images, classNames);
  const legend =
    test.epistemic && test.aleatoric
      ? legendHtml([
          ["var(--purple)", "epistemic"],
          ["var(--green)", "aleatoric"],
        ])
      : "";
  const card = (title: string, caption: string, content: string, wide = "") =>
    `<div class="card"><h3>${title}</h3><p class="caption">${caption}</p><div class="shots${wide}">${content}</div></div>`;
  return `<section><h2>Test images</h2>
<p class="lead">Under each image: the prediction, its confidence, and the two parts of its uncertainty.</p>${legend}
<div class="grid">${card("Most certain", "The images it has the least doubt about.", shots.certain)}
${card("Least certain", "The images it would rather have someone else look at.", shots.uncertain)}</div>
${shots.mistakes && card("Confident mistakes", "Wrong answers given with the most confidence: mislabelled, odd, or a real weakness.", shots.mistakes, " wide")}
</section>`;
}

async function trainingSection({ history }: ReportSummary): Promise<string> {
  if (!history?.length) return "";
  const figures: { title: string; caption: string; curves: Curve[]; options: Parameters<typeof curvePlot>[2] }[] = [
    {
      title: "Loss",
      caption:
        "How badly the network explains the labels while it learns; a validation line that turns up means overfitting.",
      curves: [
        { field: "loss", color: "green" },
        { field: "nll", color: "blue" },
        { field: "validationNll", color: "orange" },
      ],
      options: { title: "nats per image (log scale)", scale: "log" },
    },
    {
      title: "KL divergence",
      caption: "How far the weights have moved from the prior, in nats: the information they hold about the data.",
      curves: [{ field: "kl", color: "blue" }],
      options: { title: "nats", format: "~s" },
    },
    {
      title: "Validation accuracy",
      caption: `The share of held-out images it gets right as training goes on. ${bestOf(history)}`,
      curves: [{ field: "validationAccuracy", color: "orange" }],
      options: { title: "share that is right", format: "~%" },
    },
  ];
  const cards: string[] = [];
  for (const { title, caption, curves, options } of figures) {
    const drawn = curves.filter(({ field }) => history.some((h) => Number.isFinite(h[field])));
    const spec = curvePlot(history, drawn, options);
    if (!spec) continue;
    const legend: Legend = drawn.length > 1 ? drawn.map((c) => [`var(--${c.color})`, CURVE_NAMES[c.field]]) : [];
    cards.push(await plotCard(title, caption, legend, spec, `curve${cards.length}`));
  }
  return cards.length > 0 ? `<section><h2>Training</h2><div class="grid">${cards.join("")}</div></section>` : "";
}

/** The best validation accuracy in words. */
function bestOf(history: readonly HistoryPoint[]): string {
  const known = history.filter((h) => Number.isFinite(h.validationAccuracy));
  if (known.length === 0) return "";
  const best = known.reduce((a, b) => (b.validationAccuracy! > a.validationAccuracy! ? b : a));
  const when = best.epoch === undefined ? `step ${whole(best.step)}` : `epoch ${figure(best.epoch)}`;
  return `Best: ${percent(best.validationAccuracy!)} at ${when}; at the end: ${percent(known.at(-1)!.validationAccuracy!)}.`;
}

const CURVE_NAMES: { [K in Curve["field"]]: string } = {
  loss: "objective (NLL and weighted KL)",
  nll: "training NLL",
  kl: "KL",
  validationNll: "validation NLL",
  validationAccuracy: "validation accuracy",
};

function pruningSection(pruning: readonly PruningRow[]): string {
  if (pruning.length === 0) return "";
  const stages = ["before", "after", "fineTuned"] as const;
  const rows = pruning.map(
    (r) => `<tr><td>${escapeHtml(r.name ?? "pruned")}</td><td>${percent(r.sparsity, 1)}</td>
<td>${r.parameters === undefined ? "–" : whole(r.parameters)}</td>${stages.map((s) => qualityCells(r[s], true)).join("")}</tr>`,
  );
  const group = (name: string) => `<th class="group first" colspan="3">${name}</th>`;
  const names = '<th class="first">accuracy</th><th>NLL</th><th>ECE</th>';
  return `<section><h2>Pruning</h2><div class="card">
<p class="caption">Weights that carry little information are set to zero; fine-tuning lets the rest make up for them.</p>
<div class="scroll"><table><thead><tr><th colspan="3"></th>${group("before")}${group("after")}${group("after fine-tuning")}</tr>
<tr><th>weights chosen by</th><th>sparsity</th><th>weights left</th>${names.repeat(3)}</tr></thead>
<tbody>${rows.join("")}</tbody></table></div></div></section>`;
}

function classSection(classes: readonly ClassSummary[]): string {
  if (classes.length === 0) return "";
  const optional = (value: number | undefined) => (value === undefined ? "–" : figure(value));
  const rows = classes.map(
    (
      c,
    ) => `<tr><td>${escapeHtml(c.name)}</td><td>${whole(c.count)}</td><td>${c.count > 0 ? percent(c.accuracy) : "–"}</td>
<td>${optional(c.epistemic)}</td><td>${optional(c.aleatoric)}</td><td>${escapeHtml(c.mistakenFor ?? "–")}</td></tr>`,
  );
  return `<section><h2>Class by class</h2><div class="card"><details${classes.length <= 20 ? " open" : ""}>
<summary>${classes.length} classes</summary><div class="scroll"><table>
<thead><tr><th>class</th><th>images</th><th>accuracy</th><th>epistemic</th><th>aleatoric</th><th>mostly mistaken for</th></tr></thead>
<tbody>${rows.join("")}</tbody></table></div></details></div></section>`;
}

function configSection(config: ReportSummary["config"]): string {
  if (!config || Object.keys(config).length === 0) return "";
  const text = JSON.stringify(config, (_, value) => (typeof value === "bigint" ? String(value) : value), 2);
  return `<section><h2>Configuration</h2><div class="card"><details><summary>Every setting of the run</summary>
<pre>${escapeHtml(text)}</pre></details></div></section>`;
}

/** Accuracy, NLL and ECE as three cells. */
function qualityCells(q: Quality | undefined, first = false): string {
  const texts = q ? [percent(q.accuracy), q.nll.toFixed(4), q.ece.toFixed(4)] : ["–", "–", "–"];
  return texts.map((t, i) => `<td${first && i === 0 ? ' class="first"' : ""}>${t}</td>`).join("");
}

/** Colour (or "dash" for a dashed line) and meaning. */
type Legend = [string, string][];

function legendHtml(legend: Legend): string {
  if (legend.length === 0) return "";
  const mark = (color: string) => (color === "dash" ? '<i class="dash"></i>' : `<i style="background:${color}"></i>`);
  return `<div class="legend">${legend.map(([color, name]) => `<span>${mark(color)}${name}</span>`).join("")}</div>`;
}

async function plotCard(
  title: string,
  caption: string,
  legend: Legend,
  spec: TopLevelSpec,
  id: string,
): Promise<string> {
  return `<div class="card"><div class="text"><h3>${title}</h3><p class="caption">${caption}</p>${legendHtml(legend)}</div>
<div class="plot" role="img" aria-label="${title} ${caption}">${await drawSvg(spec, id)}</div></div>`;
}

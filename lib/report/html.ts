/**
 * A run as one HTML page that needs nothing else: no network, no script, plots as inline SVG, images as data URIs.
 */
import type { Section, Tile } from "../likelihoods/shared/blocks.ts";
import { figure, percent, whole } from "../util/figures.ts";
import { duration } from "../util/progress.ts";
import { blocksHtml, type Drawing } from "./blocks.ts";
import type { ReportData, ReportImages, ReportSetup } from "./data.ts";
import { STYLE } from "./style.ts";
import { type Page, pageOf, type ReportSummary } from "./summary.ts";
import { escapeHtml } from "./text.ts";

/**
 * Writes the report of a run.
 * @returns a complete HTML document
 * @throws BayesError when shapes do not fit or a value is out of range
 */
export const buildReport = async (data: ReportData): Promise<string> => drawReport(pageOf(data), data.test?.images);

/** Draws a page whose content is there already. */
export async function drawReport({ summary, tiles, sections }: Page, images?: ReportImages): Promise<string> {
  let plots = 0;
  const drawing: Drawing = { images, nextId: () => `plot${plots++}` };
  const drawn: string[] = [];
  for (const section of sections) drawn.push(await sectionHtml(section, drawing));
  const parts = [
    header(summary, tiles),
    notesSection(summary.notes),
    setupSection(summary.setup),
    ...drawn,
    configSection(summary.config),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${escapeHtml(summary.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${parts.filter((s) => s !== "").join("\n")}
<footer>Written by bayescnn${summary.setup?.version ? ` ${escapeHtml(summary.setup.version)}` : ""}. NLL and entropies are in nats; epistemic and aleatoric are parts of the predictive variance (Kwon et al. 2018, Kendall and Gal 2017).</footer>
</main>
</body>
</html>
`;
}

function header({ title, description, verdict, diagnosis, baseline }: ReportSummary, tiles: readonly Tile[]): string {
  return `<header><div class="eyebrow">Bayesian CNN report</div><h1>${escapeHtml(title)}</h1>
${description ? `<p class="lead">${escapeHtml(description)}</p>` : ""}
${verdict ? `<p class="verdict${verdict.failed || verdict.underFitted ? " failed" : ""}">${escapeHtml((diagnosis ?? [verdict.sentence]).join(" "))}</p>` : ""}
${tiles.length > 0 ? `<div class="tiles">${tiles.map(tileHtml).join("")}</div>` : ""}
${baseline ? `<p class="caption under">Baseline: ${escapeHtml(baseline.name)}. Ranges are 95 % confidence intervals.</p>` : ""}</header>`;
}

function tileHtml({ title, value, hint, share, interval, baseline }: Tile): string {
  const text = (v: number) => (share ? percent(v) : tileFigure(v));
  const range = interval
    ? `<small class="range">${share ? `${(100 * interval[0]).toFixed(1)}–${percent(interval[1], 1)}` : `${ends(interval[0])}${interval[0] < 0 ? " to " : "–"}${ends(interval[1])}`}</small>`
    : "";
  const beside = baseline === undefined ? "" : `<small>baseline ${text(baseline)}</small>`;
  return `<div class="tile"><span>${escapeHtml(title)}</span><b>${escapeHtml(text(value))}</b>${range}${beside}<small>${escapeHtml(hint)}</small></div>`;
}

/** An interval that begins at next to nothing begins at 0. */
const ends = (v: number): string => (Math.abs(v) < 5e-5 ? "0" : tileFigure(v));

/** Four decimals where they are digits of the figure, and no more. */
const tileFigure = (v: number): string =>
  Math.abs(v) >= 0.1 && Math.abs(v) < 100 ? v.toFixed(Math.abs(v) < 10 ? 4 : 2).replace("-", "−") : figure(v);

async function sectionHtml({ title, lead, blocks }: Section, drawing: Drawing): Promise<string> {
  return `<section><h2>${escapeHtml(title)}</h2>${lead ? `<p class="lead">${escapeHtml(lead)}</p>` : ""}
${await blocksHtml(blocks, drawing)}</section>`;
}

function notesSection(notes: readonly string[] | undefined): string {
  if (!notes?.length) return "";
  return `<section><h2>Notes</h2><div class="card"><ul>${notes.map((n) => `<li>${escapeHtml(n)}</li>`).join("")}</ul></div></section>`;
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

function setupSection(setup: ReportSetup | undefined): string {
  const facts = (Object.keys(SETUP_NAMES) as (keyof ReportSetup)[]).flatMap((key) => {
    const value = setup?.[key];
    if (value === undefined || value === null) return [];
    let text = String(value);
    if (key === "parameters" && typeof value === "number") text = whole(value);
    if (key === "trainingSeconds") text = duration(Number(value));
    return [`<div><dt>${SETUP_NAMES[key]}</dt><dd>${escapeHtml(text)}</dd></div>`];
  });
  if (facts.length === 0) return "";
  return `<section><h2>The run</h2><div class="card"><dl class="facts">${facts.join("")}</dl></div></section>`;
}

function configSection(config: ReportSummary["config"]): string {
  if (!config || Object.keys(config).length === 0) return "";
  return `<section><h2>Configuration</h2><div class="card"><details><summary>Every setting of the run</summary>
<pre class="scroll" tabindex="0">${escapeHtml(JSON.stringify(config, null, 2), true)}</pre></details></div></section>`;
}

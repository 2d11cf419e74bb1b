/** Blocks as HTML. What is drawn is data; nothing here knows where it came from. */
import type { TopLevelSpec } from "vega-lite";
import type {
  Block,
  Column,
  Gallery,
  Histogram,
  Matrix,
  Plot,
  Reliability,
  Split,
  Table,
} from "../likelihoods/shared/blocks.ts";
import { figure, percent, whole } from "../util/figures.ts";
import type { ReportImages } from "./data.ts";
import { shotHtml } from "./gallery.ts";
import { drawSvg, histogramPlot, linePlot, reliabilityPlot } from "./plots.ts";
import { escapeHtml } from "./text.ts";

/** What a block may need besides itself. */
export interface Drawing {
  readonly images?: ReportImages;
  /** A prefix of ids that no other plot of the page has. */
  nextId(): string;
}

/** The blocks of a section: small ones two by two, wide ones over the whole width. */
export async function blocksHtml(blocks: readonly Block[], drawing: Drawing): Promise<string> {
  const out: string[] = [];
  for (let i = 0; i < blocks.length; ) {
    let end = i;
    while (end < blocks.length && small(blocks[end])) end++;
    // a last gallery without a neighbour takes the row, with more images in it
    if ((end - i) % 2 === 1 && blocks[end - 1]?.block === "gallery") end--;
    if (end > i) {
      const cards: string[] = [];
      for (const block of blocks.slice(i, end)) cards.push(await card(block, drawing, false));
      out.push(`<div class="grid">${cards.join("\n")}</div>`);
      i = end;
    } else out.push(await card(blocks[i++], drawing, true));
  }
  return out.join("\n");
}

const small = (block: Block): boolean =>
  ["plot", "reliability", "histogram", "note"].includes(block.block) ||
  (block.block === "gallery" && !block.shots.some((s) => s.panels));

async function card(block: Block, drawing: Drawing, wide: boolean): Promise<string> {
  switch (block.block) {
    case "plot":
      return plotCard(block, plotLegend(block), linePlot(block), drawing);
    case "reliability":
      return plotCard(block, reliabilityLegend, reliabilityPlot(block), drawing);
    case "histogram":
      return plotCard(block, histogramLegend(block), histogramPlot(block), drawing);
    case "matrix":
      return `<div class="card">${heading(block)}${matrix(block)}</div>`;
    case "table":
      return `<div class="card">${heading(block)}${table(block)}</div>`;
    case "split":
      return `<div class="card">${heading(block)}${split(block)}</div>`;
    case "gallery":
      return gallery(block, drawing, wide);
    case "note":
      return `<div class="card off"><div class="text">${heading(block)}</div></div>`;
  }
}

const heading = ({ title, caption }: { title: string; caption: string }): string =>
  `${title ? `<h3>${escapeHtml(title)}</h3>` : ""}${caption ? `<p class="caption">${escapeHtml(caption)}</p>` : ""}`;

/** Colour (or "dash" for a dashed line) and meaning. */
type Legend = readonly (readonly [string, string])[];

function legendHtml(legend: Legend): string {
  if (legend.length === 0) return "";
  const mark = (color: string) =>
    color === "dash" ? '<i class="dash"></i>' : `<i style="background:var(--${color})"></i>`;
  return `<div class="legend">${legend.map(([color, name]) => `<span>${mark(color)}${escapeHtml(name)}</span>`).join("")}</div>`;
}

function plotLegend({ series, diagonal }: Plot): Legend {
  const all: Legend = [
    ...series.map((s) => [s.style === "dashed" ? "dash" : s.color, s.name] as const),
    ...(diagonal === undefined ? [] : [["dash", diagonal] as const]),
  ];
  return all.length > 1 ? all : [];
}

const reliabilityLegend: Legend = [
  ["blue", "share that is right"],
  ["orange", "gap to the confidence"],
  ["dash", "perfect calibration"],
];

const histogramLegend = ({ groups }: Histogram): Legend =>
  groups.length > 1 ? groups.map((g) => [g.color, `${g.name} (${whole(g.count)})`]) : [];

async function plotCard(
  block: Plot | Reliability | Histogram,
  legend: Legend,
  spec: TopLevelSpec,
  drawing: Drawing,
): Promise<string> {
  const label = escapeHtml(`${block.title} ${block.caption}`);
  return `<div class="card"><div class="text">${heading(block)}${legendHtml(legend)}</div>
<div class="plot" role="img" aria-label="${label}">${await drawSvg(spec, drawing.nextId())}</div></div>`;
}

/** The two kinds of uncertainty as parts of their sum. */
function split({ epistemic, aleatoric }: Split): string {
  const share = epistemic / (epistemic + aleatoric);
  const width = (v: number) => `${(100 * v).toFixed(2)}%`;
  return `<div class="split"><i class="e" style="width:${width(share)}"></i><i class="a" style="width:${width(1 - share)}"></i></div>
${legendHtml([
  ["purple", `epistemic ${percent(share, 1)}`],
  ["green", `aleatoric ${percent(1 - share, 1)}`],
])}`;
}

function gallery({ title, caption, shots }: Gallery, { images }: Drawing, wide: boolean): string {
  if (!images) return "";
  const kind = shots.some((s) => s.panels) ? "rows" : wide ? "shots wide" : "shots";
  return `<div class="card">${heading({ title, caption })}<div class="${kind}">${shots.map((s) => shotHtml(s, images)).join("\n")}</div></div>`;
}

/** A table that is wider than the page scrolls, and its edges show it (style.ts). */
const scroll = (table: string): string => `<div class="scroll" tabindex="0">${table}</div>`;

/** A table of more rows than these is opened by whoever wants it. */
const OPEN = 20;

function table({ columns, rows, own = 0, title }: Table): string {
  const first = (i: number) => columns[i].group !== undefined && columns[i].group !== columns[i - 1]?.group;
  const edge = (i: number) => (first(i) ? ' class="first"' : "");
  const groups = columns.some((c) => c.group)
    ? `<tr>${columns
        .map((c, i) => {
          if (c.group === undefined) return "<th></th>";
          const span = columns.filter((other) => other.group === c.group).length;
          return first(i) ? `<th class="group first" colspan="${span}">${escapeHtml(c.group)}</th>` : "";
        })
        .join("")}</tr>`
    : "";
  const head = columns.map((c, i) => `<th${edge(i)}>${escapeHtml(c.title)}</th>`).join("");
  const body = rows.map((row, r) => {
    const cells = row.map((value, i) => cell(value, columns[i], first(i)));
    return `<tr${r < own ? ' class="self"' : ""}>${cells.join("")}</tr>`;
  });
  const html = scroll(`<table><thead>${groups}<tr>${head}</tr></thead><tbody>${body.join("")}</tbody></table>`);
  if (rows.length <= OPEN) return html;
  return `<details><summary>${whole(rows.length)} rows${title ? `: ${escapeHtml(title.toLowerCase())}` : ""}</summary>${html}</details>`;
}

function cell(value: string | number | null, { format }: Column, first: boolean): string {
  const edge = first ? "first" : "";
  if (typeof value === "string") {
    const text = escapeHtml(value);
    return `<td class="${`name ${edge}`.trim()}" title="${text}"><span>${text}</span></td>`;
  }
  return `<td${edge && ` class="${edge}"`}>${value === null ? "–" : escapeHtml(number(value, format))}</td>`;
}

function number(value: number, format: Column["format"]): string {
  if (!Number.isFinite(value)) return figure(value);
  if (format === "share") return percent(value);
  if (format === "count") return whole(value);
  return format === "fixed" && Math.abs(value) < 1000 ? value.toFixed(4).replace("-", "−") : figure(value);
}

/** Counts on a colour that says which share of its row they are. */
function matrix({ names, counts }: Matrix): string {
  const head = names.map((n) => `<th class="up" title="${escapeHtml(n)}"><span>${escapeHtml(n)}</span></th>`).join("");
  const rows = counts.map((row, r) => {
    const total = row.reduce((a, b) => a + b, 0);
    const cells = row.map((count, c) => {
      const share = total > 0 ? count / total : 0;
      const color = r === c ? "blue" : "orange";
      // a confusion of one image is seen, and the darkest still carries its number
      const shade = count === 0 ? 0 : 8 + 47 * share;
      const title = escapeHtml(`${count} of ${total} images of ${names[r]} are taken for ${names[c]}`);
      return `<td title="${title}"${shade ? ` style="background:color-mix(in srgb, var(--${color}) ${shade.toFixed(0)}%, transparent)"` : ""}>${
        count === 0 ? (r === c ? (total > 0 ? "0" : "–") : "") : whole(count)
      }</td>`;
    });
    return `<tr><th title="${escapeHtml(names[r])}"><span>${escapeHtml(names[r])}</span></th>${cells.join("")}</tr>`;
  });
  return scroll(
    `<table class="matrix"><thead><tr><th></th>${head}</tr></thead><tbody>${rows.join("")}</tbody></table>`,
  );
}

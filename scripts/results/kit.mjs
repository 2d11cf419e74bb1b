// What the sections of docs/results.md share: tables, means over seeds, plots.

import * as vega from "vega";
import { compile } from "vega-lite";

const THEME = {
  background: "white",
  padding: 8,
  font: "system-ui, sans-serif",
  view: { stroke: null },
  range: { category: ["#2563eb", "#ea580c", "#059669", "#7c3aed", "#64748b", "#db2777"] },
  axis: {
    gridColor: "#e5e7eb",
    domainColor: "#9ca3af",
    tickColor: "#9ca3af",
    labelColor: "#374151",
    titleColor: "#374151",
    titleFontWeight: "normal",
  },
  legend: { labelColor: "#374151", titleColor: "#374151", titleFontWeight: "normal" },
  title: { fontSize: 13, fontWeight: 600, color: "#111827", anchor: "start" },
};

/** A Vega-Lite specification as SVG text. */
export async function drawn(spec) {
  const view = new vega.View(vega.parse(compile(spec, { config: THEME }).spec), { renderer: "none" });
  const svg = await view.toSVG();
  view.finalize();
  return `${svg}\n`;
}

/** A table in Markdown; columns after the first to the right. */
export function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), `|${head.map((_, i) => (i === 0 ? " --- " : " ---: ")).join("|")}|`, ...rows.map(line)].join(
    "\n",
  );
}

export const percent = (x, digits = 2) => (x === undefined ? "–" : `${(100 * x).toFixed(digits)} %`);
export const fixed = (x, digits = 4) => (x === undefined ? "–" : x.toFixed(digits));
export const count = (n) => (n === undefined ? "–" : n.toLocaleString("en-US"));

export const mean = (values) => (values.length === 0 ? undefined : values.reduce((a, b) => a + b, 0) / values.length);
/** The standard deviation between seeds; undefined of one. */
export function spread(values) {
  if (values.length < 2) return undefined;
  const m = mean(values);
  return Math.sqrt(values.reduce((sum, v) => sum + (v - m) ** 2, 0) / (values.length - 1));
}

/** "98.9 ± 0.1 %" over seeds. */
export function over(values, format) {
  const s = spread(values);
  return values.length === 0
    ? "–"
    : format(mean(values)) + (s === undefined ? "" : ` ± ${format(s).replace(" %", "")}`);
}

/** Results by a key made of each. */
export function grouped(results, key) {
  const groups = new Map();
  for (const r of results) groups.set(key(r), [...(groups.get(key(r)) ?? []), r]);
  return groups;
}

/** "Made by": devices and wall time of results. */
export function madeOn(results) {
  const devices = [
    ...new Set(
      results.map(
        (r) => `${r.provenance.device}, ${r.provenance.threads} thread${r.provenance.threads === 1 ? "" : "s"}`,
      ),
    ),
  ];
  const minutes = results.reduce((sum, r) => sum + r.provenance.seconds, 0) / 60;
  return `${results.length} runs on ${devices.join(" and ")}, ${minutes < 1 ? minutes.toFixed(1) : Math.round(minutes)} minutes in all (shared with other work)`;
}

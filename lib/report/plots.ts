/**
 * The plots of a report as Vega-Lite specifications, and their drawing to SVG text. Colours are CSS variables of the
 * page (style.ts), so one drawing serves light and dark. Vega is loaded only when a report is written.
 */
import type { TopLevelSpec } from "vega-lite";
import type { ReliabilityBin } from "../predict/calibration.ts";
import type { HistoryPoint } from "./data.ts";
import { type HistogramBin, type ReportSummary, thin } from "./summary.ts";

const WIDTH = 340;
const HEIGHT = 210;

const THEME = {
  background: "transparent",
  font: "inherit",
  aria: false,
  padding: 2,
  view: { stroke: null },
  axis: {
    domainColor: "var(--line)",
    gridColor: "var(--grid)",
    labelColor: "var(--muted)",
    labelFontSize: 12,
    labelPadding: 5,
    ticks: false,
    titleColor: "var(--muted)",
    titleFontSize: 12,
    titleFontWeight: "normal",
    titlePadding: 9,
  },
  axisX: { grid: false },
  axisY: { domain: false },
} as const;

/**
 * Draws a specification.
 * @param id prefix of the ids in the drawing: several drawings on one page must not share them
 * @returns an svg element that takes the width of its container
 */
export async function drawSvg(spec: TopLevelSpec, id: string): Promise<string> {
  const [vega, vegaLite] = await Promise.all([import("vega"), import("vega-lite")]);
  const compiled = vegaLite.compile(spec, { config: THEME }).spec;
  const view = new vega.View(vega.parse(compiled), { renderer: "none" });
  try {
    const svg = await view.toSVG();
    return svg
      .replace(/ xmlns(:xlink)?="[^"]*"| version="[^"]*"/g, "")
      .replace(/^<svg([^>]*?) width="[^"]*" height="[^"]*"/, "<svg$1")
      .replace(/(\bid="|url\(#)/g, `$1${id}-`);
  } finally {
    view.finalize();
  }
}

/** Accuracy of each confidence bin with its gap to the diagonal; below it, how many predictions each bin holds. */
export function reliabilityPlot(bins: readonly ReliabilityBin[]): TopLevelSpec {
  const most = Math.max(...bins.map((b) => b.count));
  const x = (axis: object | null) => ({
    field: "lower",
    type: "quantitative" as const,
    scale: { domain: [0, 1], nice: false },
    axis: axis as null,
  });
  const bar = { x2: { field: "upper" } };
  const percent = { format: "%", values: [0, 0.25, 0.5, 0.75, 1] };
  return {
    data: { values: bins.filter((b) => b.count > 0) },
    spacing: 14,
    vconcat: [
      {
        width: WIDTH,
        height: HEIGHT,
        layer: [
          {
            mark: { type: "bar", color: "var(--blue)", opacity: 1, binSpacing: 2 },
            encoding: {
              x: x({ ...percent, labels: false, title: null }),
              ...bar,
              y: {
                field: "accuracy",
                type: "quantitative",
                scale: { domain: [0, 1] },
                axis: { ...percent, title: "share that is right" },
              },
              y2: { datum: 0 },
            },
          },
          {
            mark: {
              type: "bar",
              fill: "var(--orange)",
              fillOpacity: 0.3,
              stroke: "var(--orange)",
              strokeWidth: 1.5,
              opacity: 1,
              binSpacing: 3,
            },
            encoding: {
              x: x(null),
              ...bar,
              y: { field: "accuracy", type: "quantitative" },
              y2: { field: "confidence" },
            },
          },
          {
            data: { values: [{ a: 0, b: 1 }] },
            mark: { type: "rule", color: "var(--ink)", strokeDash: [4, 4], strokeWidth: 1.5 },
            encoding: {
              x: { field: "a", type: "quantitative" },
              y: { field: "a", type: "quantitative" },
              x2: { field: "b" },
              y2: { field: "b" },
            },
          },
        ],
      },
      {
        width: WIDTH,
        height: 64,
        mark: { type: "bar", color: "var(--muted)", opacity: 0.6, binSpacing: 2 },
        encoding: {
          x: x({ ...percent, title: "confidence" }),
          ...bar,
          y: {
            field: "count",
            type: "quantitative",
            scale: { type: "symlog", domain: [0, most], nice: false },
            axis: { title: "images", values: countTicks(most), labelExpr: "format(datum.value, ',')" },
          },
          y2: { datum: 0 },
        },
      },
    ],
  };
}

/** One, and every second power of ten up to the largest count; the axis is logarithmic. */
function countTicks(most: number): number[] {
  return [1, 100, 1e4, 1e6].filter((v) => v <= most);
}

/** Right and wrong predictions over powers of ten of an uncertainty, each group as shares of itself. */
export function uncertaintyPlot(bins: readonly HistogramBin[], title: string): TopLevelSpec {
  // A step-after area needs the right edge of the last bar as one more point.
  const edges = [...bins, { lower: bins[bins.length - 1].upper, right: 0, wrong: 0 }];
  const values = (["right", "wrong"] as const)
    .filter((group) => bins.some((b) => b[group] > 0))
    .flatMap((group) => edges.map((b) => ({ x: b.lower, share: b[group], group })));
  const decades = Array.from({ length: 12 }, (_, i) => 10 ** (i - 10));
  const from = bins[0].lower;
  const to = bins[bins.length - 1].upper;
  const x = {
    field: "x",
    type: "quantitative" as const,
    scale: { type: "log" as const, domain: [from, to], nice: false },
    axis: {
      title,
      values: decades.filter((v) => v >= from * 0.999 && v <= to * 1.001),
      labelOverlap: false,
      labelFlush: false,
      // The first bar holds everything below it too.
      labelExpr:
        "(datum.value < 2e-7 ? '≤10' : '10') + ['⁰','⁻¹','⁻²','⁻³','⁻⁴','⁻⁵','⁻⁶','⁻⁷','⁻⁸','⁻⁹','⁻¹⁰'][-round(log(datum.value) / LN10)]",
    },
  };
  const color = {
    field: "group",
    type: "nominal" as const,
    scale: { domain: ["right", "wrong"], range: ["var(--blue)", "var(--orange)"] },
    legend: null,
  };
  const y = {
    field: "share",
    type: "quantitative" as const,
    stack: null,
    axis: { format: "%", title: "share of its group", tickCount: 4 },
  };
  return {
    width: WIDTH,
    height: HEIGHT,
    data: { values },
    encoding: { x, y, color },
    layer: [
      { mark: { type: "area", interpolate: "step-after", opacity: 0.3 } },
      { mark: { type: "line", interpolate: "step-after", strokeWidth: 1.75 } },
    ],
  };
}

/** Error rate of the most confident share of the test set, against answering in random order. */
export function riskPlot(points: NonNullable<ReportSummary["riskCoverage"]>): TopLevelSpec {
  const last = points[points.length - 1];
  const x = {
    field: "coverage",
    type: "quantitative" as const,
    scale: { domain: [0, 1], nice: false },
    axis: { format: "%", title: "share of images answered", values: [0, 0.25, 0.5, 0.75, 1] },
  };
  const y = {
    field: "risk",
    type: "quantitative" as const,
    axis: { format: last.risk < 0.04 ? ".1%" : ".0%", title: "share of answers that are wrong", tickCount: 5 },
  };
  return {
    width: WIDTH,
    height: HEIGHT + 80, // level with the reliability diagram beside it
    data: { values: points },
    encoding: { x, y },
    layer: [
      {
        data: { values: [{ coverage: 0, risk: last.risk, end: 1 }] },
        mark: { type: "rule", color: "var(--muted)", strokeDash: [4, 4] },
        encoding: { x2: { field: "end" } },
      },
      { mark: { type: "area", color: "var(--blue)", opacity: 0.15 } },
      { mark: { type: "line", color: "var(--blue)", strokeWidth: 2 } },
    ],
  };
}

/** A line of a training curve. */
export interface Curve {
  field: "loss" | "nll" | "kl" | "validationNll" | "validationAccuracy";
  color: "blue" | "orange" | "green";
}

/** Training curves over epochs (over steps when an epoch is missing), or nothing when no point has a value. */
export function curvePlot(
  history: readonly HistoryPoint[],
  curves: readonly Curve[],
  options: { title: string; scale?: "linear" | "log"; format?: string },
): TopLevelSpec | undefined {
  const along = history.every((h) => Number.isFinite(h.epoch)) ? "epoch" : "step";
  const { scale = "linear" } = options;
  const values = curves.flatMap(({ field }) => {
    const drawable = history.filter((h) => Number.isFinite(h[field]) && (scale === "linear" || h[field]! > 0));
    return thin(drawable.length, 400).map((i) => ({ x: drawable[i][along], y: drawable[i][field], field }));
  });
  if (values.length === 0) return undefined;
  const ticks = scale === "log" ? logTicks(values.map((v) => v.y!)) : undefined;
  const few = values.length <= 40 * curves.length;
  return {
    width: WIDTH,
    height: HEIGHT,
    data: { values },
    mark: {
      type: "line",
      strokeWidth: 2,
      interpolate: "monotone",
      point: few && { size: 22, filled: true, opacity: 1 },
    },
    encoding: {
      x: {
        field: "x",
        type: "quantitative",
        scale: { zero: false, nice: false },
        axis: { title: along, tickMinStep: along === "step" ? 1 : undefined, tickCount: 6, format: "~s" },
      },
      y: {
        field: "y",
        type: "quantitative",
        scale: scale === "log" ? { type: "log", nice: false } : { zero: false },
        axis: { title: options.title, format: options.format ?? "~g", tickCount: 5, values: ticks },
      },
      color: {
        field: "field",
        type: "nominal",
        scale: { domain: curves.map((c) => c.field), range: curves.map((c) => `var(--${c.color})`) },
        legend: null,
      },
    },
  };
}

/** Round numbers within the range of the values: the wider it is, the fewer to each power of ten. */
function logTicks(values: readonly number[]): number[] {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const steps = most / least > 300 ? [1] : most / least > 5 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
  const decades = Array.from({ length: 25 }, (_, i) => i - 12);
  return decades.flatMap((d) => steps.map((s) => Number(`${s}e${d}`))).filter((v) => v >= least && v <= most);
}

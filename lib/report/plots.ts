/**
 * The plots of a report as Vega-Lite specifications, and their drawing to SVG text. Colours are CSS variables of the
 * page (style.ts), so one drawing serves light and dark. Vega is loaded only when a report is written.
 */
import type { TopLevelSpec } from "vega-lite";
import type { Axis, Histogram, Plot, Reliability, Series } from "../likelihoods/shared/blocks.ts";
import { visible } from "../util/text.ts";
import { axisOf, type Scale, scaleOf } from "./axes.ts";

const WIDTH = 340;
const HEIGHT = 210;
/** Beside a reliability diagram, which has a second plot below. */
const TALL = 290;
/** A line through so few points shows where they are. */
const FEW = 40;

// Title limits are in widths as Vega guesses them without a font, half as wide again as they are.
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
  axisX: { grid: false, titleLimit: 1.5 * WIDTH },
  axisY: { domain: false, titleLimit: 1.5 * TALL },
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
export function reliabilityPlot({ bins, of }: Pick<Reliability, "bins" | "of">): TopLevelSpec {
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
          diagonal(0, 1),
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
            axis: { title: of, values: countTicks(most), labelExpr: "format(datum.value, ',')" },
          },
          y2: { datum: 0 },
        },
      },
    ],
  };
}

const scaled = (axis: Axis, scale: Scale) => ({
  scale: { ...scale, domain: [...scale.domain] },
  axis: axisOf(axis, scale),
});

/** y = x between two ends. */
const diagonal = (a: number, b: number) => ({
  data: { values: [{ a, b }] },
  mark: { type: "rule" as const, color: "var(--ink)", strokeDash: [4, 4], strokeWidth: 1.5 },
  encoding: {
    x: { field: "a", type: "quantitative" as const },
    y: { field: "a", type: "quantitative" as const },
    x2: { field: "b" },
    y2: { field: "b" },
  },
});

/** One, and every second power of ten up to the largest count; the axis is logarithmic. */
function countTicks(most: number): number[] {
  return [1, 100, 1e4, 1e6].filter((v) => v <= most);
}

/** Groups as steps over the bins, each as shares of itself. */
export function histogramPlot({ x: along, bins, groups }: Histogram): TopLevelSpec {
  // A step-after area needs the right edge of the last bar as one more point.
  const last = bins[bins.length - 1];
  const edges = [...bins, { lower: last.upper, upper: last.upper, shares: groups.map(() => 0) }];
  const values = groups.flatMap((_, g) => edges.map((b) => ({ x: b.lower, share: b.shares[g], group: String(g) })));
  const axis = { ...along, domain: [bins[0].lower, last.upper] as const };
  const scale = scaleOf(axis, [...axis.domain]);
  return {
    width: WIDTH,
    height: HEIGHT,
    data: { values },
    encoding: {
      x: { field: "x", type: "quantitative", ...scaled(axis, scale) },
      y: {
        field: "share",
        type: "quantitative",
        stack: null,
        axis: { format: "%", title: groups.length > 1 ? "share of its group" : "share of the images", tickCount: 4 },
      },
      color: {
        field: "group",
        type: "nominal",
        scale: { domain: groups.map((_, g) => String(g)), range: groups.map((g) => `var(--${g.color})`) },
        legend: null,
      },
    },
    layer: [
      { mark: { type: "area", interpolate: "step-after", opacity: 0.3 } },
      { mark: { type: "line", interpolate: "step-after", strokeWidth: 1.75 } },
    ],
  };
}

/** Lines and points. Nothing is drawn between two points but a straight line. */
export function linePlot(plot: Plot): TopLevelSpec {
  const { series, marks = [] } = plot;
  const xs = series.flatMap((s) => s.x).concat(marks.map((m) => m.x));
  const ys = series
    .flatMap((s) => (s.sigma ? s.y.flatMap((y, i) => [y - s.sigma![i], y + s.sigma![i]]) : s.y))
    .concat(marks.map((m) => m.y));
  if (series.some((s) => s.style === "area")) ys.push(0);
  const x = scaleOf(plot.x, xs);
  const y = scaleOf(plot.y, ys);
  const from = Math.max(x.domain[0], y.domain[0]);
  const to = Math.min(x.domain[1], y.domain[1]);
  return {
    width: WIDTH,
    height: plot.x.percent ? TALL : HEIGHT,
    encoding: {
      x: { field: "x", type: "quantitative", ...scaled(plot.x, x) },
      y: { field: "y", type: "quantitative", ...scaled(plot.y, y) },
    },
    layer: [
      ...(plot.diagonal !== undefined && from < to ? [diagonal(from, to)] : []),
      ...series.flatMap(layersOf),
      ...marks.flatMap((m) => markLayers(m, x.domain, y.domain)),
    ] as never,
  };
}

function layersOf({ style, color, x, y, sigma }: Series): object[] {
  const data = {
    values: x.map((v, i) => ({
      x: v,
      y: y[i],
      ...(sigma ? { s: sigma[i], l: y[i] - sigma[i], u: y[i] + sigma[i] } : {}),
    })),
  };
  const stroke = `var(--${color})`;
  const order = { field: "x", type: "quantitative" };
  const line = {
    type: "line",
    color: stroke,
    strokeWidth: 2,
    interpolate: "linear",
    point: x.length <= FEW && { size: x.length === 1 ? 70 : 26, filled: true, opacity: 1, color: stroke },
  };
  if (style === "dashed")
    return [{ data, mark: { type: "line", color: stroke, strokeDash: [4, 4], strokeWidth: 1.5 }, encoding: { order } }];
  if (style === "points")
    return [
      ...(sigma
        ? [
            {
              data,
              mark: { type: "rule", color: stroke, opacity: x.length > 100 ? 0.25 : 0.5 },
              encoding: { y: { field: "l", type: "quantitative" }, y2: { field: "u" } },
            },
          ]
        : []),
      {
        data,
        mark: {
          type: "point",
          filled: true,
          color: stroke,
          size: x.length > 100 ? 14 : 40,
          opacity: x.length > 100 ? 0.7 : 1,
        },
      },
    ];
  return [
    ...(style === "area"
      ? [{ data, mark: { type: "area", color: stroke, opacity: 0.15, interpolate: "linear" }, encoding: { order } }]
      : []),
    { data, mark: line, encoding: { order } },
  ];
}

/** A point, a rule down from it, and words on the side where there is room. */
function markLayers(
  { x, y, text }: NonNullable<Plot["marks"]>[number],
  domain: readonly [number, number],
  [bottom]: readonly [number, number],
): object[] {
  const right = x > (domain[0] + domain[1]) / 2;
  const data = { values: [{ x, y, bottom, text: visible(text) }] };
  return [
    {
      data,
      mark: { type: "rule", color: "var(--orange)", strokeWidth: 1.5 },
      encoding: { y: { field: "bottom", type: "quantitative" }, y2: { field: "y" } },
    },
    { data, mark: { type: "point", filled: true, color: "var(--orange)", size: 70, opacity: 1 } },
    {
      data,
      mark: {
        type: "text",
        color: "var(--ink)",
        align: right ? "right" : "left",
        dx: right ? -8 : 8,
        dy: -9,
        fontSize: 12,
      },
      encoding: { text: { field: "text" } },
    },
  ];
}

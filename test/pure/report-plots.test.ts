import { describe, expect, it } from "vitest";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { gaussian } from "../../lib/likelihoods/gaussian.ts";
import type { Plot, Series } from "../../lib/likelihoods/shared/blocks.ts";
import { reliabilityBins } from "../../lib/metrics/calibration.ts";
import { axisOf, scaleOf } from "../../lib/report/axes.ts";
import { drawSvg, linePlot, reliabilityPlot } from "../../lib/report/plots.ts";
import { trainingSection } from "../../lib/report/training.ts";

const series = (y: number[], x = y.map((_, i) => i + 1), style: Series["style"] = "line"): Series => ({
  name: "s",
  color: "blue",
  style,
  x,
  y,
});
const plot = (all: Series[], more: Partial<Plot> = {}): Plot => ({
  block: "plot",
  title: "t",
  caption: "c",
  x: { title: "epoch", integer: true },
  y: { title: "y" },
  series: all,
  ...more,
});

/** The texts of a drawing. */
const texts = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map((m) => m[1]);
/** Coordinates of a path of straight lines. */
const corners = (d: string) =>
  [...d.matchAll(/[ML](-?[\d.]+),(-?[\d.]+)/g)].map((m) => [Number(m[1]), Number(m[2])] as const);

describe("curves", () => {
  it("are straight between their points, and lie where the values say", async () => {
    const y = [3, 1, 4, 1, 5];
    const svg = await drawSvg(linePlot(plot([series(y)])), "p");
    const line = /<path[^>]*stroke="var\(--blue\)"[^>]*>/.exec(svg)![0];
    const d = / d="([^"]*)"/.exec(line)![1];
    expect(d).not.toMatch(/[CcSsQqTtAa]/);
    const at = corners(d);
    expect(at).toHaveLength(5);
    const slope = (at[1][1] - at[0][1]) / (y[1] - y[0]);
    for (let i = 1; i < 5; i++) {
      expect(at[i][0] - at[i - 1][0]).toBeCloseTo(at[1][0] - at[0][0], 2);
      expect(at[i][1] - at[0][1]).toBeCloseTo(slope * (y[i] - y[0]), 1);
    }
  });

  it("show their points where they are few, and one point alone", async () => {
    const marks = async (n: number) => {
      const svg = await drawSvg(linePlot(plot([series(Array.from({ length: n }, (_, i) => (i * 7) % 5))])), "p");
      return svg.match(/fill="var\(--blue\)"/g)?.length ?? 0;
    };
    expect(await marks(40)).toBe(40);
    expect(await marks(41)).toBe(0);
    expect(await marks(1)).toBe(1);
    const svg = await drawSvg(linePlot(plot([series([2])])), "p");
    expect(texts(svg)).toContain("1");
    expect(texts(svg)).not.toContain("0.5");
  });

  it("mark a threshold with a rule, a dot and words", async () => {
    const marked = plot([series([0.1, 0.2], [0.2, 1])], {
      x: { title: "x", percent: true, domain: [0, 1] },
      marks: [{ x: 0.7, y: 0.15, text: "confidence at least 0.8" }],
    });
    const svg = await drawSvg(linePlot(marked), "p");
    expect(texts(svg)).toContain("confidence at least 0.8");
    expect(svg.match(/fill="var\(--orange\)"/g)).toHaveLength(1);
    expect(svg.match(/<line[^>]*stroke="var\(--orange\)"/g)).toHaveLength(1);
  });

  it("draw a bar of one sigma through every point, within the plot", async () => {
    const points = { ...series([1, 2, 3], [1, 2, 3], "points"), sigma: [0.5, 5, 0.1] };
    const spec = linePlot(plot([points], { x: { title: "x" }, diagonal: "right" }));
    const svg = await drawSvg(spec, "p");
    expect(svg.match(/<line[^>]*stroke="var\(--blue\)"/g)).toHaveLength(3);
    expect(scaleOf({ title: "" }, [1, -3, 7]).domain[0]).toBeLessThanOrEqual(-3);
  });
});

describe("axes", () => {
  const ticks = (from: number, to: number) => {
    const axis = { title: "epoch", integer: true };
    return (axisOf(axis, scaleOf(axis, [from, to])) as { values: number[] }).values;
  };

  it("have whole numbers where only those are meant", () => {
    expect(ticks(1, 1)).toEqual([1]);
    expect(ticks(1, 3)).toEqual([1, 2, 3]);
    for (const last of [2, 5, 7, 8, 15, 40, 100, 12345]) {
      const all = ticks(1, last);
      expect(all.every(Number.isInteger), `${last}`).toBe(true);
      expect(all.length).toBeLessThanOrEqual(8);
      expect(all.length).toBeGreaterThanOrEqual(2);
      expect(all[0]).toBe(1);
      expect(all.at(-1)).toBeLessThanOrEqual(last);
    }
  });

  it("are logarithmic only where the values span more than a decade", () => {
    const type = (...values: number[]) => scaleOf({ title: "", log: true }, values).type;
    expect(type(1, 10)).toBe("linear");
    expect(type(1, 10.01)).toBe("log");
    expect(type(-1, 100)).toBe("linear");
    expect(type(0, 100)).toBe("linear");
    expect(scaleOf({ title: "" }, [1, 1000]).type).toBe("linear");
  });

  it("of shares stay between none and all", () => {
    expect(scaleOf({ title: "", percent: true }, [0.01, 0.99]).domain).toEqual([0, 1]);
    expect(scaleOf({ title: "", percent: true }, [1]).domain[1]).toBe(1);
    expect(scaleOf({ title: "" }, []).domain).toEqual([0, 1]);
    expect(scaleOf({ title: "" }, [Number.NaN, 2, Infinity]).domain).toEqual([1.8, 2.2]);
  });
});

describe("training curves", () => {
  const history = [0, 1].map((epoch) => ({
    step: 10 * epoch,
    epoch,
    loss: 3 - epoch,
    nll: 2 - epoch,
    metrics: { accuracy: 0.5 + 0.1 * epoch },
    valid: { nll: 2.5, accuracy: 0.4 + 0.1 * epoch },
  }));
  const plots = (figures: Parameters<typeof trainingSection>[1], points: Parameters<typeof trainingSection>[0]) =>
    trainingSection(points, figures).blocks as Plot[];

  it("count epochs from one, and follow the likelihood's first figure", () => {
    const [loss, accuracy] = plots(categorical(3).figures, history);
    expect(loss.series.map((s) => [s.name, [...s.x], [...s.y]])).toEqual([
      ["objective (NLL and weighted KL)", [1, 2], [3, 2]],
      ["training NLL", [1, 2], [2, 1]],
      ["validation NLL", [1, 2], [2.5, 2.5]],
    ]);
    expect(accuracy.title).toBe("Accuracy");
    expect(accuracy.y.percent).toBe(true);
    expect(accuracy.series.map((s) => s.y)).toEqual([
      [0.5, 0.6],
      [0.4, 0.5],
    ]);
    expect(accuracy.caption).toContain("Best validation: 50.00 % at epoch 2; at the end: 50.00 %.");
  });

  it("take the lowest error for the best", () => {
    const points = [3, 1, 2].map((rmse, epoch) => ({ step: epoch, epoch, valid: { rmse } }));
    const [rmse] = plots(gaussian().figures, points);
    expect(rmse.title).toBe("RMSE");
    expect(rmse.y.percent).toBeFalsy();
    expect(rmse.caption).toContain("Best validation: 1 at epoch 2; at the end: 2.");
  });

  it("run over steps where an epoch is missing", () => {
    const [loss] = plots(
      [],
      [
        { step: 4, nll: 1 },
        { step: 9, nll: 2, epoch: 1 },
      ],
    );
    expect(loss.x.title).toBe("step");
    expect(loss.series[0].x).toEqual([4, 9]);
  });
});

describe("reliability plot", () => {
  it("draws a bar, a gap and a count for each bin that holds something, as high as it should be", async () => {
    const bins = reliabilityBins(Float64Array.of(0.6, 0.4, 0.6, 0.4, 0.9, 0.1, 0.9, 0.1), [0, 1, 0, 0], { bins: 10 });
    const svg = await drawSvg(reliabilityPlot({ bins, of: "images" }), "p");
    const bars = [...svg.matchAll(/<path d="(M[^"]*Z)" fill="var\(--blue\)"/g)].map((m) => m[1]);
    expect(bars).toHaveLength(2);
    const heights = bars.map((d) => Number(/v(-?[\d.]+)/.exec(d)![1]));
    expect(heights[0] / heights[1]).toBeCloseTo(0.5, 6);
    expect(svg.match(/fill="var\(--orange\)"/g)).toHaveLength(2);
    expect(svg.match(/d="M[^"]*Z" fill="var\(--muted\)"/g)).toHaveLength(2);
  });
});

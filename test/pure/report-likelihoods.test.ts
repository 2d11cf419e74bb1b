import { describe, expect, it } from "vitest";
import { laplace } from "../../lib/likelihoods/laplace.ts";
import { answerCalibration, grouped } from "../../lib/likelihoods/report/build.ts";
import type { Block, ReportContext, Table } from "../../lib/likelihoods/shared/blocks.ts";
import type { Likelihood } from "../../lib/likelihoods/shared/likelihood.ts";
import { meanInterval, wilson } from "../../lib/metrics/statistics.ts";
import type { ReportTest } from "../../lib/report/data.ts";
import { TOO_FEW } from "../../lib/report/verdict.ts";
import { certain, generator, labels, numbers, triangle } from "./report-kit.ts";

const CONTEXT: ReportContext = { split: true, images: true };

const appraise = ({ likelihood, prediction, targets }: ReportTest, context: Partial<ReportContext> = {}) =>
  likelihood.report!.appraise(prediction, targets, { ...CONTEXT, ...context });
const sections = ({ likelihood, prediction, targets }: ReportTest, context: Partial<ReportContext> = {}) =>
  likelihood.report!.sections(prediction, targets, { ...CONTEXT, ...context });
const blocks = (test: ReportTest, context: Partial<ReportContext> = {}): Block[] =>
  sections(test, context).flatMap((s) => s.blocks);
const find = <B extends Block["block"]>(all: readonly Block[], block: B, title?: string) =>
  all.find((b) => b.block === block && (title === undefined || b.title === title)) as Extract<Block, { block: B }>;

describe("intervals", () => {
  it("Wilson's lies within 0..1, and holds the truth as often as it says", () => {
    // Newcombe 1998, table I: 81 of 263, and 0 of 20
    expect(wilson(81 / 263, 263).map((v) => Number(v.toFixed(4)))).toEqual([0.2553, 0.3662]);
    expect(wilson(0, 20).map((v) => Number(v.toFixed(4)))).toEqual([0, 0.1611]);
    expect(wilson(1, 20)[1]).toBe(1);
    const random = generator(1);
    let held = 0;
    for (let run = 0; run < 2000; run++) {
      let hits = 0;
      for (let n = 0; n < 50; n++) hits += Number(random() < 0.9);
      const [low, high] = wilson(hits / 50, 50);
      held += Number(low <= 0.9 && 0.9 <= high);
    }
    expect(held / 2000).toBeGreaterThan(0.92);
    expect(held / 2000).toBeLessThan(0.985);
  });

  it("that of a mean is never below the least value, and absent for one value", () => {
    expect(meanInterval([1])).toBeUndefined();
    expect(meanInterval([0, 0, 0, 9])![0]).toBe(0);
    const [low, high] = meanInterval([1, 2, 3, 2, 2])!;
    expect(low).toBeCloseTo(2 - 1.96 * Math.sqrt(0.5 / 5), 3);
    expect(high).toBeCloseTo(2 + 1.96 * Math.sqrt(0.5 / 5), 3);
  });
});

describe("calibration error and chance", () => {
  it("a perfect model exceeds its chance about one time in twenty", () => {
    const random = generator(7);
    let above = 0;
    const runs = 400;
    for (let run = 0; run < runs; run++) {
      const probs = new Float64Array(400);
      const right = Array.from({ length: 200 }, (_, n) => {
        const p = 0.5 + 0.5 * random();
        probs.set([p, 1 - p], 2 * n);
        return random() < p ? 0 : 1;
      });
      const { error, chance } = answerCalibration({ probs, labels: right, of: "images", together: 1 });
      above += Number(error > chance);
    }
    expect(above / runs).toBeGreaterThan(0.01);
    expect(above / runs).toBeLessThan(0.1);
  });
});

describe("classes", () => {
  const test = triangle(300);

  it("says what it does, what it claims, and what the least sure half costs", () => {
    const a = appraise(test);
    const m = test.likelihood.metrics(test.prediction, test.targets);
    const pct = (v: number) => (v > 0.99 && v < 1 ? ">99 %" : `${(100 * v).toFixed(0)} %`);
    expect(a.says).toBe(`Right ${pct(m.accuracy)} of the time, claims ${pct(m.confidence)}`);
    expect(a.calibration.error).toBeCloseTo(m.ece, 12);
    expect(a.calibration.gap).toBeCloseTo(m.confidence - m.accuracy, 6);
    const p = test.prediction.mean;
    const confidence = Array.from(test.targets, (_, n) => Math.max(...p.subarray(3 * n, 3 * n + 3)));
    const surest = confidence
      .map((_, n) => n)
      .sort((x, y) => confidence[y] - confidence[x])
      .slice(0, 150);
    const right = surest.filter((n) => p[3 * n + test.targets[n]] === confidence[n]).length / 150;
    expect(a.selective).toBe(`leaving out the least sure half it is right ${pct(right)}`);
  });

  it("has the tiles, with intervals around their values and the baseline beside them", () => {
    const { tiles, baseline } = appraise(test);
    expect(tiles.map((t) => t.name)).toEqual(["accuracy", "nll", "ece", "brier", "epistemic", "aleatoric"]);
    const metrics = test.likelihood.metrics(test.prediction, test.targets);
    for (const t of tiles) {
      expect(t.value, t.name).toBeCloseTo(metrics[t.name], 6);
      if (t.interval) expect(t.interval[0] <= t.value && t.value <= t.interval[1], t.name).toBe(true);
    }
    const counts = [0, 1, 2].map((c) => test.targets.filter((t) => t === c).length);
    expect(baseline.figures.accuracy).toBeCloseTo(Math.max(...counts) / 300, 12);
    expect(tiles[0].baseline).toBe(baseline.figures.accuracy);
  });

  it("takes the baseline from the training set, and expects no class of that to be impossible", () => {
    const two = certain(
      [
        [0.9, 0.1],
        [0.2, 0.8],
        [0.3, 0.7],
      ],
      [0, 1, 1],
      ["cat", "dog"],
    );
    const { baseline } = appraise(two, { training: Int32Array.of(0, 0, 0, 0, 0, 0, 0, 0) });
    expect(baseline.name).toBe("always “cat”, the most frequent class");
    expect(baseline.figures.accuracy).toBeCloseTo(1 / 3, 12);
    expect(baseline.figures.nll).toBeCloseTo((-Math.log(0.9) - 2 * Math.log(0.1)) / 3, 9);
    expect(appraise(two).baseline.name).toContain("dog");
  });

  it("counts every confusion, and names the classes without test images", () => {
    const all = blocks(
      certain(
        [
          [0.9, 0.1, 0],
          [0.2, 0.8, 0],
          [0.1, 0.9, 0],
          [0, 1, 0],
        ],
        [0, 0, 0, 1],
        ["a", "b", "c"],
      ),
    );
    expect(find(all, "matrix").counts).toEqual([
      [1, 2, 0],
      [0, 1, 0],
      [0, 0, 0],
    ]);
    const table = find(all, "table", "Class by class");
    expect(table.caption).toBe("Without test images, so nothing is known of them: c.");
    expect(table.rows.map((r) => [r[0], r[1], r[2], r[5]])).toEqual([
      ["a", 3, 1 / 3, "b"],
      ["b", 1, 1, null],
      ["c", 0, null, null],
    ]);
    expect(table.rows[2].slice(3, 5)).toEqual([null, null]);
  });

  it("has a table of the largest confusions where there are too many classes for a matrix", () => {
    const many = (C: number) => {
      const says = [3, 3, 5, 1];
      const rows = says.map((c) => Array.from({ length: C }, (_, k) => (k === c ? 1 : 0)));
      return blocks(certain(rows, [4, 4, 6, 1]));
    };
    expect(find(many(20), "matrix").names).toHaveLength(20);
    const all = many(21);
    expect(find(all, "matrix")).toBeUndefined();
    expect(find(all, "table", "What is taken for what").rows).toEqual([
      ["4", "3", 2, 1],
      ["6", "5", 1, 1],
    ]);
  });

  it("leaves out the split of the uncertainty, and the images, when told", () => {
    const titles = (context: Partial<ReportContext>) => sections(test, context).map((s) => s.title);
    expect(titles({})).toEqual(["Calibration", "Uncertainty", "Test images", "Classes"]);
    expect(titles({ split: false, images: false })).toEqual(["Calibration", "Classes"]);
    const text = JSON.stringify(sections(test, { split: false }));
    expect(text).not.toMatch(/epistemic|aleatoric|two parts/);
  });

  it("orders the galleries by uncertainty and the mistakes by confidence", () => {
    const p = test.prediction;
    const doubt = (n: number) => p.epistemicTotal[n] + p.aleatoricTotal[n];
    const order = Array.from({ length: 300 }, (_, n) => doubt(n)).sort((a, b) => a - b);
    const of = (title: string) => find(blocks(test), "gallery", title).shots;
    expect(of("Most certain").map((s) => doubt(s.image))).toEqual(order.slice(0, 12));
    expect(of("Least certain").map((s) => doubt(s.image))).toEqual(order.slice(-12).reverse());
    const mistakes = of("Confident mistakes");
    expect(mistakes).toHaveLength(8);
    for (const s of mistakes) {
      expect(s.right).toBe(false);
      expect(s.truth).toBe(["ant", "bee", "cat"][test.targets[s.image]]);
      expect(s.truth).not.toBe(s.says);
    }
    const sure = mistakes.map((s) => Math.max(...p.mean.subarray(3 * s.image, 3 * s.image + 3)));
    expect(sure).toEqual([...sure].sort((a, b) => b - a));
  });

  it("marks the threshold on the risk-coverage curve", () => {
    const plot = find(
      blocks(test, { threshold: { certainty: 0.8, maxError: 0.05, risk: 0.04, coverage: 0.7 } }),
      "plot",
    );
    expect(plot.marks).toEqual([{ x: 0.7, y: 0.04, text: "confidence at least 0.8" }]);
    expect(plot.caption).toContain(
      "at least 0.8 answers 70.0 % of the images, 4.0 % of those wrongly (asked for: at most 5.0 % wrong).",
    );
    expect(find(blocks(test), "plot").marks).toBeUndefined();
    const curve = plot.series[1];
    const accuracy = test.likelihood.metrics(test.prediction, test.targets).accuracy;
    expect(curve.y.at(-1)).toBeCloseTo(1 - accuracy, 12);
    expect(curve.x).toHaveLength(200);
  });
});

describe("a test set of two images", () => {
  it("cannot tell whether a sure model is as sure as it should be", () => {
    const two = certain(
      [
        [0.999, 0.001],
        [0.001, 0.999],
      ],
      [0, 1],
    );
    const { calibration } = appraise(two);
    expect(calibration.error).toBeLessThan(0.01);
    expect(calibration.resolution).toBeGreaterThan(TOO_FEW);
    expect(appraise(triangle(300)).calibration.resolution).toBeLessThan(TOO_FEW);
  });
});

describe("labels", () => {
  const test = labels(2000, ["left", "up"]);

  it("finds a model that is right about its chances to be as sure as it should be", () => {
    const { calibration, says, baseline } = appraise(test);
    expect(calibration.error).toBeLessThan(calibration.chance);
    expect(says).toMatch(/^Right about \d\d % of the labels, claims \d\d %$/);
    expect(baseline.test.nll).toBeCloseTo(test.likelihood.metrics(test.prediction, test.targets).nll, 12);
    expect(baseline.figures.nll).toBeGreaterThan(baseline.test.nll);
  });

  it("has a row for each label", () => {
    const { likelihood } = labels(1, ["x", "y"]);
    const logits = Float32Array.of(2, 2, 1, 2, -1, 2, -2, 2);
    const targets = Float32Array.of(1, 1, 0, 1, 1, 1, 0, 1);
    const table = find(
      blocks({ likelihood, prediction: likelihood.prediction({ logits }, 1, 4, [2]), targets }),
      "table",
    );
    // says yes, yes, no, no; is yes, no, yes, no; three of four pairs in order
    expect(table.rows[0]).toEqual(["x", 0.5, 0.5, 0.5, 0.5, 0.5, 0.75]);
    expect(table.rows[1]).toEqual(["y", 1, 1, 1, 1, 1, null]);
    expect(table.caption).toContain("The test set has only one value of: y.");
  });

  it("calls a lone label without a name a yes", () => {
    const one = labels(50, ["0"]);
    const says = new Set(find(blocks(one), "gallery").shots.map((s) => s.says));
    expect([...says].every((s) => s === "yes" || s === "no")).toBe(true);
    expect(appraise(one).says).toMatch(/^Right \d+ % of the time/);
    expect(appraise(one).tiles.map((t) => t.name)).not.toContain("exactMatch");
  });
});

describe.each(["gaussian", "laplace"] as const)("numbers with %s noise", (kind) => {
  const confidence = (claims: number) => appraise(numbers(kind, 2000, [], { claims })).calibration;

  it("tells too wide from too narrow intervals, and neither from right ones", () => {
    const right = confidence(1);
    expect(right.error).toBeLessThan(right.chance);
    expect(confidence(0.6).gap).toBeGreaterThan(0.05);
    expect(confidence(1.6).gap).toBeLessThan(-0.05);
  });

  it("holds p % of the targets in its central p % intervals, whatever p", () => {
    const plot = find(blocks(numbers(kind, 4000)), "plot", "Are its intervals as wide as they should be?");
    const [{ x, y }] = plot.series;
    for (let i = 0; i < x.length; i++) expect(Math.abs(x[i] - y[i]), `${x[i]}`).toBeLessThan(0.03);
    expect(plot.diagonal).toBeDefined();
  });

  it("finds the larger error where sigma is larger", () => {
    const plot = find(blocks(numbers(kind, 4000)), "plot", "Does a larger sigma mean a larger error?");
    const [{ x, y }] = plot.series;
    expect(x).toHaveLength(10);
    for (let i = 0; i < x.length; i++) expect(y[i] / x[i]).toBeCloseTo(1, 0);
    expect(y[9]).toBeGreaterThan(3 * y[0]);
    expect(plot.caption).toMatch(/off by [\d.]+ times as much/);
  });

  it("compares with the mean of the training targets, and has a row for each number", () => {
    const test = numbers(kind, 500, [2], { names: ["east", "north"] });
    const training = Float32Array.of(0, 100, 2, 200);
    const { baseline, says, tiles } = appraise(test, { training });
    expect(baseline.name).toBe("always the mean of the training targets");
    const guess = (test.targets as Float32Array).reduce((sum, t, i) => sum + (t - (i % 2 ? 150 : 1)) ** 2, 0) / 1000;
    expect(baseline.figures.mse).toBeCloseTo(guess, 6);
    const m = test.likelihood.metrics(test.prediction, test.targets);
    for (const name of ["rmse", "nll", "coverage90", "mae"])
      expect(tiles.find((t) => t.name === name)!.value, name).toBeCloseTo(m[name], 9);
    expect(says).toMatch(/^Off by [\d.]+ on average \(always saying the mean: [\d.]+\); \d+ % of the targets/);
    const table = find(blocks(test, { training }), "table") as Table;
    expect(table.rows.map((r) => r[0])).toEqual(["east", "north"]);
    const [east, north] = [0, 1].map((g) => test.targets.filter((_, i) => i % 2 === g) as Float32Array);
    const rms = (v: Float32Array, from: number) => Math.sqrt(v.reduce((s, t) => s + (t - from) ** 2, 0) / v.length);
    expect(table.rows[0][2]).toBeCloseTo(rms(east, 1), 6);
    expect(table.rows[1][2]).toBeCloseTo(rms(north, 150), 6);
  });

  it("draws target, prediction and both variances where targets are images", () => {
    const test = numbers(kind, 12, [3, 4, 1]);
    const galleries = blocks(test).filter((b) => b.block === "gallery");
    expect(galleries.map((g) => g.title)).toEqual(["Best", "Least certain", "Worst"]);
    const shot = galleries[2].shots[0];
    expect(shot.panels!.map((p) => p.title)).toEqual(["target", "prediction", "epistemic", "aleatoric"]);
    expect([...shot.panels![0].pixels]).toEqual([...test.targets.subarray(12 * shot.image, 12 * shot.image + 12)]);
    expect(shot.panels![0].range).toEqual(shot.panels![1].range);
    expect(blocks(test, { split: false }).find((b) => b.block === "gallery")!.shots[0].panels).toHaveLength(2);
  });
});

describe("numbers", () => {
  it("say so when sigma is the same for every image", () => {
    const likelihood = laplace({ noise: 1 }) as Likelihood;
    const mean = Float32Array.from({ length: 100 }, (_, i) => i);
    const variance = new Float32Array(100).fill(2);
    const prediction = likelihood.prediction({ mean, variance }, 1, 100, []);
    const note = find(blocks({ likelihood, prediction, targets: mean.map((m) => m + 1) }), "note");
    expect(note.caption).toMatch(/nearly the same sigma, 1.41, for every image/);
  });

  it("are drawn for the four worst of many, a target for each image being enough", () => {
    const all = blocks(numbers("gaussian", 30, [7]));
    expect(all.filter((b) => b.title.startsWith("Predicted against true"))).toHaveLength(4);
    expect(find(all, "table").rows).toHaveLength(7);
    expect(blocks(numbers("gaussian", 1)).length).toBeGreaterThan(0);
  });
});

describe("histograms", () => {
  const group = (values: number[]) => ({ name: "g", color: "blue" as const, values });

  it("lose nothing, and have powers of ten only where there is more than one", () => {
    for (const [values, log] of [
      [[1, 2, 9.9], false],
      [[1, 2, 10.1], true],
      [[0, 1e-9, 1], true],
      [[-1, 5, 100], false],
      [[3], false],
      [[0, 0], false],
    ] as const) {
      const { bins, x } = grouped([group([...values])], "t");
      expect(x.log, `${values}`).toBe(log);
      expect(bins.reduce((s, b) => s + b.shares[0], 0)).toBeCloseTo(1, 9);
      for (let i = 1; i < bins.length; i++) expect(bins[i].lower).toBeCloseTo(bins[i - 1].upper, 12);
      expect(bins.every((b) => b.upper > b.lower)).toBe(true);
    }
    expect(grouped([group([1e-9, 1])], "doubt").x.title).toBe("doubt, or less");
    expect(grouped([group([1]), group([])], "t").groups).toHaveLength(1);
  });
});

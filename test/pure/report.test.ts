import { inflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { reliabilityBins } from "../../lib/predict/calibration.ts";
import { classificationMetrics } from "../../lib/predict/metrics.ts";
import { decompose, meanProbabilities, softmaxRows } from "../../lib/predict/uncertainty.ts";
import type { ReportData } from "../../lib/report/data.ts";
import { buildReport } from "../../lib/report/html.ts";
import { drawSvg, reliabilityPlot } from "../../lib/report/plots.ts";
import { encodePng, pngDataUri } from "../../lib/report/png.ts";
import { reportJson, thin } from "../../lib/report/summary.ts";
import { escapeHtml, figure, percent } from "../../lib/report/text.ts";

const SAMPLES = 8;
const CLASSES = 3;

/** Repeatable numbers in [0, 1). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * Three classes at the corners of a triangle with blurred points, told apart by a nearest-corner classifier whose
 * corners differ a little between the samples: real predictions, some of them wrong, with both kinds of uncertainty.
 */
function simulate(rows: number): Record<"probs" | "epistemic" | "aleatoric", Float32Array> & { labels: Uint8Array } {
  const random = generator(5);
  const noise = () => random() + random() + random() - 1.5;
  const corners = [0, 1, 2].map((c) => [Math.cos((c * 2 * Math.PI) / 3), Math.sin((c * 2 * Math.PI) / 3)]);
  const labels = Uint8Array.from({ length: rows }, () => Math.floor(random() * CLASSES));
  const points = Array.from(labels, (c) => corners[c].map((v) => v + 1.1 * noise()));
  const logits = new Float32Array(SAMPLES * rows * CLASSES);
  for (let s = 0, i = 0; s < SAMPLES; s++) {
    const moved = corners.map((corner) => corner.map((v) => v + 0.4 * noise()));
    for (const [x, y] of points) for (const [a, b] of moved) logits[i++] = -4 * ((x - a) ** 2 + (y - b) ** 2);
  }
  const p = softmaxRows(logits, CLASSES);
  const { epistemicTotal, aleatoricTotal } = decompose(p, SAMPLES, rows, CLASSES);
  const probs = meanProbabilities(p, SAMPLES, rows, CLASSES);
  return { probs, labels, epistemic: epistemicTotal, aleatoric: aleatoricTotal };
}

const ROWS = 300;
const simulated = simulate(ROWS);
const quality = { accuracy: 0.9, nll: 0.3, ece: 0.02 };
const full: ReportData = {
  title: "Triangle",
  description: "Three blurred points.",
  setup: { model: "nearest corner", parameters: 123456, beta: 0.1, seed: 7, trainingSeconds: 65, version: "9.9.9" },
  test: {
    ...simulated,
    images: { height: 4, width: 5, channels: 1, pixels: new Uint8Array(ROWS * 20).fill(80) },
  },
  classNames: ["ant", "bee", "cat"],
  history: [1, 2, 3].map((epoch) => ({
    step: epoch * 10,
    epoch,
    loss: 2 / epoch,
    nll: 1 / epoch,
    kl: 1000 * epoch,
    validationNll: 1.2 / epoch,
    validationAccuracy: 1 - 0.3 / epoch,
  })),
  comparison: [{ name: "twin", metrics: { ...quality, brier: 0.2 } }],
  pruning: [{ name: "magnitude", sparsity: 0.9, parameters: 12346, before: quality, after: quality }],
  config: { batch: 128, big: 2n ** 60n },
};

/** Throws unless every element is closed in order, as a strict reader would. */
function checkBalanced(html: string): void {
  const open: string[] = [];
  const body = html.replace(/<style>[\s\S]*?<\/style>/g, "").replace(/<!doctype html>/, "");
  for (const [, closing, name, self] of body.matchAll(/<(\/?)([a-zA-Z][\w-]*)(?:"[^"]*"|[^">])*?(\/?)>/g)) {
    if (self || ["meta", "img", "br"].includes(name)) continue;
    if (!closing) open.push(name);
    else expect(open.pop()).toBe(name);
  }
  expect(open).toEqual([]);
}

/** Throws if the page could ask for anything outside itself, or run anything. */
function checkSelfContained(html: string): void {
  expect(html).not.toMatch(/<script|<link|<iframe|<object|@import|javascript:/i);
  expect(html).not.toMatch(/\son[a-z]+=/i);
  for (const [, target] of html.matchAll(/(?:src|href)="([^"]*)"/g))
    expect(target).toMatch(/^(data:image\/png;base64,|#)/);
  for (const [, target] of html.matchAll(/url\(([^)]*)\)/g)) expect(html).toContain(`id="${target.slice(1)}"`);
  expect(html).not.toContain("http:");
  expect(html).not.toContain("https:");
  const ids = [...html.matchAll(/\sid="([^"]*)"/g)].map((m) => m[1]);
  expect(new Set(ids).size).toBe(ids.length);
}

describe("report page", () => {
  it("shows everything it is given, in one self-contained well-formed page", async () => {
    const html = await buildReport(full);
    checkBalanced(html);
    checkSelfContained(html);
    expect(html).not.toMatch(/NaN|undefined|\[object/);
    const m = classificationMetrics(simulated.probs, simulated.labels);
    expect(m.accuracy).toBeGreaterThan(0.7);
    expect(m.accuracy).toBeLessThan(1);
    for (const text of [percent(m.accuracy), m.nll.toFixed(4), m.ece.toFixed(4), m.brier.toFixed(4)]) {
      expect(html).toContain(`<b>${text}</b>`);
    }
    for (const text of [
      "Triangle",
      "123,456",
      "1m 05s",
      "twin",
      "magnitude",
      "90.0 %",
      "12,346",
      "1152921504606846976",
    ]) {
      expect(html).toContain(text);
    }
    expect(html).toContain("Best: 90.00 % at epoch 3; at the end: 90.00 %.");
    // reliability, risk, epistemic, aleatoric, loss, KL, validation accuracy
    expect(html.match(/<svg/g)).toHaveLength(7);
    const wrong = m.count - Math.round(m.accuracy * m.count);
    expect(html.match(/<figure class="shot"/g)).toHaveLength(12 + 12 + Math.min(8, wrong));
    for (const heading of ["Most certain", "Least certain", "Confident mistakes", "Class by class", "Pruning"]) {
      expect(html).toContain(heading);
    }
  });

  it("orders the galleries by uncertainty", async () => {
    const html = await buildReport(full);
    const doubt = (n: number) => simulated.epistemic[n] + simulated.aleatoric[n];
    const order = Array.from({ length: ROWS }, (_, n) => n).sort((a, b) => doubt(a) - doubt(b));
    const shown = [...html.matchAll(/alt="test image (\d+),/g)].map((match) => Number(match[1]));
    expect(shown.slice(0, 12).map(doubt)).toEqual(order.slice(0, 12).map(doubt));
    expect(shown.slice(12, 24).map(doubt)).toEqual(order.slice(-12).reverse().map(doubt));
  });

  it("is still a page with a title alone, and with any one thing added", async () => {
    const { title, ...rest } = full;
    const bare = await buildReport({ title });
    checkBalanced(bare);
    expect(bare).not.toContain("<svg");
    for (const [key, value] of Object.entries({
      ...rest,
      test: { probs: simulated.probs, labels: simulated.labels },
    })) {
      if (key === "classNames") continue;
      const html = await buildReport({ title, [key]: value });
      checkBalanced(html);
      checkSelfContained(html);
      expect(html, key).not.toMatch(/NaN|undefined|\[object/);
      expect(html.length, key).toBeGreaterThan(bare.length);
    }
  });

  it("draws a perfect classifier, a hopeless one, and a single image", async () => {
    const images = { height: 1, width: 1, channels: 3, pixels: Float32Array.of(-1, 0, Number.NaN) };
    for (const label of [0, 1]) {
      const test = { probs: Float32Array.of(1, 0), labels: [label], epistemic: Float32Array.of(0), images };
      const html = await buildReport({ title: "one", test: { ...test, aleatoric: Float32Array.of(0) } });
      checkBalanced(html);
      checkSelfContained(html);
      expect(html).not.toMatch(/NaN|undefined|Infinity/);
      expect(html.includes("Confident mistakes")).toBe(label === 1);
    }
  });

  it("leaves out what is not finite in a training curve, and draws one point", async () => {
    const history = [
      { step: 1, nll: Number.NaN, kl: 5 },
      { step: 2, nll: Number.POSITIVE_INFINITY },
      { step: 3, loss: -1 },
    ];
    const html = await buildReport({ title: "diverged", history });
    expect(html.match(/<svg/g)).toHaveLength(1);
    expect(html).not.toMatch(/NaN|Infinity/);
  });

  it("escapes every text it is given", async () => {
    const evil = `"><img src=x onerror=alert(1)></pre></style><script>'&`;
    const html = await buildReport({
      ...full,
      title: evil,
      description: evil,
      setup: { model: evil, device: evil, beta: evil, version: evil },
      classNames: [evil, evil, evil],
      comparison: [{ name: evil, metrics: quality }],
      pruning: [{ name: evil, sparsity: 0.5 }],
      config: { [evil]: evil },
    });
    checkBalanced(html);
    expect(html).not.toMatch(/<img src=x|<script/);
    expect(html).toContain(escapeHtml(evil));
    expect(escapeHtml(`<a b="c">'&`)).toBe("&#60;a b=&#34;c&#34;&#62;&#39;&#38;");
  });

  it("is legible in light and dark: no plot has a colour of its own", async () => {
    const html = await buildReport(full);
    const colours = [...html.matchAll(/(?:fill|stroke)="([^"]*)"/g)].map((match) => match[1]);
    expect(colours.length).toBeGreaterThan(50);
    const own = colours.filter((c) => !/^(var\(--[a-z]+\)|none|transparent)$/.test(c));
    expect([...new Set(own)]).toEqual([]);
    const used = new Set([...html.matchAll(/var\((--[a-z]+)\)/g)].map((match) => match[1]));
    for (const name of used) expect(html.match(new RegExp(`${name}: #`, "g")), name).toHaveLength(2);
  });
});

describe("reliability plot", () => {
  it("draws a bar, a gap and a count for each bin that holds something, as high as it should be", async () => {
    const bins = reliabilityBins(Float64Array.of(0.6, 0.4, 0.6, 0.4, 0.9, 0.1, 0.9, 0.1), [0, 1, 0, 0], { bins: 10 });
    const svg = await drawSvg(reliabilityPlot(bins), "p");
    const bars = [...svg.matchAll(/<path d="(M[^"]*Z)" fill="var\(--blue\)"/g)].map((m) => m[1]);
    expect(bars).toHaveLength(2);
    const heights = bars.map((d) => Number(/v(-?[\d.]+)/.exec(d)![1]));
    expect(heights[0] / heights[1]).toBeCloseTo(0.5, 6);
    expect(svg.match(/fill="var\(--orange\)"/g)).toHaveLength(2);
    expect(svg.match(/d="M[^"]*Z" fill="var\(--muted\)"/g)).toHaveLength(2);
  });
});

describe("report as JSON", () => {
  it("has the figures, no images, and survives JSON", () => {
    const { big, ...config } = full.config as { big: bigint };
    expect(big).toBeDefined();
    const json = reportJson({ ...full, config });
    expect(JSON.parse(JSON.stringify(json))).toEqual(json);
    expect(JSON.stringify(json)).not.toContain("pixels");
    const m = classificationMetrics(simulated.probs, simulated.labels);
    expect(json.test).toMatchObject(m);
    expect(json.test!.epistemic).toBeCloseTo(simulated.epistemic.reduce((a, b) => a + b, 0) / ROWS, 5);
    expect(json.reliability).toHaveLength(15);
    expect(json.riskCoverage).toHaveLength(200);
    expect(json.riskCoverage!.at(-1)!.risk).toBeCloseTo(1 - m.accuracy, 12);
    expect(json.history).toEqual(full.history);
  });

  it("splits right and wrong predictions over the histogram without losing any", () => {
    const { histograms } = reportJson(full);
    for (const bins of [histograms!.epistemic!, histograms!.aleatoric!]) {
      expect(bins.reduce((sum, b) => sum + b.right, 0)).toBeCloseTo(1, 9);
      expect(bins.reduce((sum, b) => sum + b.wrong, 0)).toBeCloseTo(1, 9);
      for (let i = 1; i < bins.length; i++) expect(bins[i].lower).toBe(bins[i - 1].upper);
    }
    const any = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(any, (values) => {
        const probs = Float32Array.from({ length: 2 * values.length }, (_, i) => (i + 1) % 2);
        const test = { probs, labels: values.map(() => 0), epistemic: Float64Array.from(values) };
        const bins = reportJson({ title: "t", test }).histograms!.epistemic!;
        expect(bins.reduce((sum, b) => sum + b.right, 0)).toBeCloseTo(1, 9);
      }),
    );
  });

  it("tells the classes apart", () => {
    const probs = Float32Array.of(0.9, 0.1, 0, 0.2, 0.8, 0, 0.1, 0.9, 0, 0, 1, 0);
    const test = { probs, labels: [0, 0, 0, 1], epistemic: Float32Array.of(0.1, 0.2, 0.3, 0.4) };
    const [a, b, c] = reportJson({ title: "t", test, classNames: ["a", "b", "c"] }).classes!;
    expect(a).toMatchObject({ name: "a", count: 3, mistakenFor: "b" });
    expect(a.accuracy).toBeCloseTo(1 / 3, 12);
    expect(a.epistemic).toBeCloseTo(0.2, 6);
    expect(b).toMatchObject({ count: 1, accuracy: 1, mistakenFor: undefined });
    expect(c).toMatchObject({ count: 0, accuracy: 0, epistemic: undefined });
  });

  it("thins long series, keeping both ends", () => {
    expect(thin(3, 10)).toEqual([0, 1, 2]);
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 5000 }), fc.integer({ min: 2, max: 300 }), (n, most) => {
        const picked = thin(n, most);
        expect(picked[0]).toBe(0);
        expect(picked.at(-1)).toBe(n - 1);
        expect(picked.length).toBe(Math.min(n, most));
        expect(new Set(picked).size).toBe(picked.length);
      }),
    );
  });
});

describe("bad report data", () => {
  const test = { probs: Float32Array.of(0.5, 0.5), labels: [0] };
  const images = { height: 2, width: 2, channels: 1, pixels: new Uint8Array(4) };
  const cases: [string, unknown, RegExp][] = [
    ["no data", undefined, /a title/],
    ["no title", { title: "" }, /\[report\] expected a title, received ""/],
    ["labels", { title: "t", test: { ...test, labels: [5] } }, /label 0 to be an integer from 0 to 1/],
    ["epistemic length", { title: "t", test: { ...test, epistemic: new Float32Array(2) } }, /test.epistemic to have 1/],
    ["NaN", { title: "t", test: { ...test, aleatoric: Float32Array.of(Number.NaN) } }, /test.aleatoric to be finite/],
    ["names", { title: "t", test, classNames: ["a"] }, /2 class names, received 1/],
    ["channels", { title: "t", test: { ...test, images: { ...images, channels: 2 } } }, /channels to be 1 or 3/],
    ["height", { title: "t", test: { ...test, images: { ...images, height: 0 } } }, /images.height/],
    [
      "pixels",
      { title: "t", test: { ...test, images: { ...images, width: 3 } } },
      /pixels to have 6 values, received 4/,
    ],
  ];
  it.each(cases)("%s", async (_, data, message) => {
    expect(() => reportJson(data as ReportData)).toThrow(message);
    await expect(buildReport(data as ReportData)).rejects.toThrow(message);
  });
});

describe("PNG encoder", () => {
  /** Reads a PNG back by the specification: chunks with their checksum computed bit by bit, then the scan lines. */
  function decode(png: Uint8Array): { width: number; height: number; colour: number; pixels: number[] } {
    const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
    expect([...png.subarray(0, 8)]).toEqual([137, 80, 78, 71, 13, 10, 26, 10]);
    const chunks = new Map<string, Uint8Array>();
    for (let at = 8; at < png.length; ) {
      const length = view.getUint32(at);
      let crc = 0xffffffff;
      for (const byte of png.subarray(at + 4, at + 8 + length)) {
        crc ^= byte;
        for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
      }
      expect(view.getUint32(at + 8 + length)).toBe((crc ^ 0xffffffff) >>> 0);
      chunks.set(Buffer.from(png.subarray(at + 4, at + 8)).toString(), png.subarray(at + 8, at + 8 + length));
      at += length + 12;
    }
    expect([...chunks.keys()]).toEqual(["IHDR", "IDAT", "IEND"]);
    const header = Buffer.from(chunks.get("IHDR")!);
    const [width, height, colour] = [header.readUInt32BE(0), header.readUInt32BE(4), header[9]];
    expect(header[8]).toBe(8);
    const stride = width * (colour === 2 ? 3 : 1) + 1;
    const lines = inflateSync(chunks.get("IDAT")!);
    expect(lines.length).toBe(height * stride);
    return { width, height, colour, pixels: [...lines].filter((_, i) => i % stride !== 0) };
  }

  it("is read back exactly", () => {
    const image = fc
      .record({ h: fc.integer({ min: 1, max: 6 }), w: fc.integer({ min: 1, max: 6 }), c: fc.constantFrom(1, 3) })
      .chain(({ h, w, c }) =>
        fc.uint8Array({ minLength: h * w * c, maxLength: h * w * c }).map((pixels) => ({ h, w, c, pixels })),
      );
    fc.assert(
      fc.property(image, ({ h, w, c, pixels }) => {
        const back = decode(encodePng(pixels, h, w, c));
        expect(back).toEqual({ width: w, height: h, colour: c === 3 ? 2 : 0, pixels: [...pixels] });
      }),
    );
  });

  it("makes a data URI and refuses what is no image", () => {
    expect(pngDataUri(Uint8Array.of(1), 1, 1, 1)).toMatch(/^data:image\/png;base64,iVBORw0KGgo[A-Za-z0-9+/=]+$/);
    expect(() => encodePng(new Uint8Array(3), 1, 1, 1)).toThrow(/1 \* 1 \* 1 bytes, received Uint8Array\(3\)/);
    expect(() => encodePng(new Uint8Array(4), 1, 1, 4)).toThrow(/1 or 3 channels, received 4/);
    expect(() => encodePng(new Uint8Array(0), 0, 1, 1)).toThrow(/height to be an integer from 1/);
  });
});

describe("numbers in text", () => {
  it("never round up to certainty", () => {
    expect(percent(1)).toBe("100.00 %");
    expect(percent(0.999999)).toBe(">99.99 %");
    expect(percent(0.9999, 1)).toBe(">99.9 %");
    expect(percent(0.9915)).toBe("99.15 %");
    expect(percent(0)).toBe("0.00 %");
  });

  it("keep three digits", () => {
    expect([0, 0.04891, 12.345, 0.0000123].map((v) => figure(v))).toEqual(["0", "0.0489", "12.3", "1.2e−5"]);
  });
});

import { inflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { thin } from "../../lib/likelihoods/report/build.ts";
import type { Likelihood } from "../../lib/likelihoods/shared/likelihood.ts";
import type { ReportData, ReportTest } from "../../lib/report/data.ts";
import { buildReport } from "../../lib/report/html.ts";
import { encodePng, pngDataUri } from "../../lib/report/png.ts";
import { reportJson } from "../../lib/report/summary.ts";
import { deepWithoutPaths, escapeHtml, withoutPaths } from "../../lib/report/text.ts";
import { figure, percent } from "../../lib/util/figures.ts";
import { visible } from "../../lib/util/text.ts";
import { certain, checkBalanced, checkPage, labels, numbers, pictures, triangle } from "./report-kit.ts";

const ROWS = 300;
const simulated = triangle(ROWS);
const quality = { accuracy: 0.9, nll: 0.3, ece: 0.02 };
const history = [0, 1, 2].map((epoch) => ({
  step: epoch * 10 + 9,
  epoch,
  loss: 2 / (epoch + 1),
  nll: 1 / (epoch + 1),
  kl: 1000 * (epoch + 1),
  metrics: { accuracy: 1 - 0.25 / (epoch + 1) },
  valid: { nll: 1.2 / (epoch + 1), accuracy: 1 - 0.3 / (epoch + 1) },
}));
const full: ReportData = {
  title: "Triangle",
  description: "Three blurred points.",
  setup: { model: "nearest corner", parameters: 123456, beta: 0.1, seed: 7, trainingSeconds: 65, version: "9.9.9" },
  test: { ...simulated, images: pictures(ROWS) },
  trainingTargets: simulated.targets,
  history,
  threshold: { certainty: 0.8, minCoverage: 0.6, risk: 0.04, coverage: 0.7 },
  ood: { data: "squares", scores: [{ score: "entropy", inside: [0.1, 0.2, 0.3], outside: [0.25, 0.9] }] },
  notes: ["left out 25 files that are no images"],
  comparison: [{ name: "twin", metrics: { ...quality, brier: 0.2 } }],
  pruning: [{ name: "magnitude", sparsity: 0.9, parameters: 12346, before: quality, after: quality }],
  config: { batch: 128, big: 2n ** 60n },
};

describe("report page", () => {
  it("shows everything it is given, in one self-contained well-formed page", async () => {
    const html = await buildReport(full);
    checkPage(html);
    const m = simulated.likelihood.metrics(simulated.prediction, simulated.targets);
    expect(m.accuracy).toBeGreaterThan(0.7);
    expect(m.accuracy).toBeLessThan(1);
    for (const text of [percent(m.accuracy), m.nll.toFixed(4), figure(m.ece)]) expect(html).toContain(`<b>${text}`);
    for (const text of [
      "Triangle",
      "123,456",
      "1m 05s",
      "twin",
      "magnitude",
      "90.00 %",
      "12,346",
      "1152921504606846976",
      "left out 25 files that are no images",
      "confidence at least 0.8",
      "83.33 %", // five of the six pairs of scores are in order
      "Best validation: 90.00 % at epoch 3; at the end: 90.00 %.",
      "Most certain",
      "Least certain",
      "Confident mistakes",
      "Class by class",
      "What is taken for what",
    ])
      expect(html).toContain(text);
    // reliability, risk, epistemic, aleatoric, entropy, loss, KL, accuracy
    expect(html.match(/<svg/g)).toHaveLength(8);
    const wrong = ROWS - Math.round(m.accuracy * ROWS);
    expect(html.match(/<figure class="shot"/g)).toHaveLength(12 + 12 + Math.min(8, wrong));
  });

  it("opens with the verdict, before any other figure", async () => {
    const html = await buildReport(full);
    const { verdict, diagnosis } = reportJson(full);
    expect(diagnosis![0]).toBe(verdict!.sentence);
    const body = html.slice(html.indexOf("<h1>")).replace(/<[^>]*>/g, "\n");
    const lines = body.split("\n").filter((l) => l.trim() !== "");
    expect(lines.slice(0, 3)).toEqual(["Triangle", "Three blurred points.", escapeHtml(diagnosis!.join(" "))]);
  });

  it("is still a page with a title alone, and with any one thing added", async () => {
    const { title, ...rest } = full;
    const bare = await buildReport({ title });
    checkPage(bare);
    expect(bare).not.toContain("<svg");
    for (const [key, value] of Object.entries({ ...rest, test: simulated })) {
      const html = await buildReport({ title, [key]: value });
      checkPage(html);
      if (key !== "trainingTargets" && key !== "threshold") expect(html.length, key).toBeGreaterThan(bare.length);
    }
  });

  const kinds: [string, ReportTest, [number, number, number]][] = [
    ["several labels", labels(60, ["left", "up"]), [4, 5, 3]],
    ["one label", labels(60, ["0"]), [4, 5, 2]],
    ["a number", numbers("gaussian", 60), [4, 5, 1]],
    ["numbers", numbers("laplace", 60, [5]), [4, 5, 4]],
    ["images", numbers("gaussian", 12, [3, 4, 2]), [6, 8, 1]],
    ["one image", numbers("laplace", 1), [1, 1, 1]],
  ];
  it.each(kinds)("draws %s", async (_, test, [height, width, channels]) => {
    const images = pictures(test.prediction.count, height, width, channels);
    const html = await buildReport({ title: "t", test: { ...test, images } });
    checkPage(html);
    expect(html.match(/<svg/g)!.length).toBeGreaterThan(1);
    expect(html).toContain("data:image/png");
    checkPage(await buildReport({ title: "t", test: { ...test, images, bayesian: false } }));
  });

  it("draws a perfect classifier, a hopeless one, and a single image", async () => {
    const images = { height: 1, width: 1, channels: 3, pixels: Float32Array.of(-1, 0, Number.NaN) };
    for (const label of [0, 1])
      checkPage(await buildReport({ title: "one", test: { ...certain([[1, 0]], [label]), images } }));
  });

  it("says first that training failed, and then explains nothing that means nothing", async () => {
    const guess = certain(
      Array.from({ length: 100 }, (_, n) => (n % 2 ? [0.51, 0.49] : [0.49, 0.51])),
      Array.from({ length: 100 }, (_, n) => Math.floor(n / 2) % 2),
    );
    const failed: ReportData = {
      title: "t",
      test: { ...guess, images: pictures(100) },
      history: [{ step: 9, epoch: 0, nll: 0.7, loss: 300.7, kl: 1e6, metrics: { accuracy: 0.5 } }],
    };
    const { verdict } = reportJson(failed);
    expect(verdict).toMatchObject({ failed: true, cause: "kl" });
    const html = await buildReport(failed);
    checkPage(html);
    expect(html).toContain('class="verdict failed"');
    expect(html).toContain("Left out: epistemic and aleatoric");
    expect(html).not.toMatch(/more data would help|Where its doubt comes from|Most certain|class="split"/);
    expect(html).toContain("What is taken for what");
    const twin = await buildReport({ ...failed, test: { ...failed.test!, bayesian: false } });
    expect(twin).not.toMatch(/epistemic<|Left out/);
  });

  it("of an under-fitted run opens with its diagnosis and blames no image", async () => {
    const data: ReportData = {
      title: "t",
      test: simulated,
      history: [{ step: 104, epoch: 9, nll: 0.9, loss: 14.5, kl: 143_650, metrics: { accuracy: 0.55 } }],
    };
    const { verdict, diagnosis } = reportJson(data);
    expect(verdict).toMatchObject({ failed: false, underFitted: true });
    expect(diagnosis).toHaveLength(3);
    const html = await buildReport(data);
    for (const sentence of diagnosis!.slice(1)) expect(html).toContain(sentence);
    expect(html).not.toMatch(/images are unclear|Where its doubt comes from|class="split"/);
    expect(html).toContain("Left out: epistemic and aleatoric");
  });

  it("shows the figures of a likelihood that says nothing for itself", async () => {
    const own: Likelihood = { ...(categorical(3) as Likelihood), config: { kind: "mine" } };
    const { report, ...silent } = own;
    expect(report).toBeDefined();
    const data = { title: "t", test: { ...simulated, likelihood: silent as Likelihood } };
    const html = await buildReport(data);
    checkPage(html);
    expect(html).toContain(percent(simulated.likelihood.metrics(simulated.prediction, simulated.targets).accuracy));
    expect(reportJson(data).likelihood).toBe("mine");
    expect(reportJson(data).verdict).toBeUndefined();
  });

  it("survives scores and predictions that are not finite, and says so", async () => {
    const test = numbers("gaussian", 50);
    for (const value of [Number.NaN, 1e30]) {
      const mean = Float32Array.from(test.prediction.outputs.mean, (v, i) => (i === 3 ? value : v));
      const prediction = test.likelihood.prediction({ ...test.prediction.outputs, mean }, 4, 50, []);
      const data = { title: "t", test: { ...test, prediction } };
      checkBalanced(await buildReport(data));
      expect(reportJson(data).verdict!.failed).toBe(true);
    }
    const scores = [
      { score: "", inside: [Infinity], outside: [Infinity] },
      { score: "s", inside: [1, Infinity], outside: [-Infinity, 3] },
    ];
    const html = await buildReport({ title: "t", ood: { data: "x", scores } });
    checkPage(html);
    expect(html.match(/<svg/g)).toHaveLength(1);
  });

  it("leaves out what is not finite in a training curve, and draws one point", async () => {
    const history = [
      { step: 1, nll: Number.NaN, kl: 5 },
      { step: 2, nll: Number.POSITIVE_INFINITY },
      { step: 3, loss: -1 },
    ];
    const html = await buildReport({ title: "diverged", history });
    expect(html.match(/<svg/g)).toHaveLength(2);
    expect(html).not.toMatch(/NaN|Infinity/);
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

describe("text from outside", () => {
  it("is escaped wherever it goes", async () => {
    const evil = `"><img src=x onerror=alert(1)></pre></style><script>'&`;
    const html = await buildReport({
      ...full,
      test: { ...triangle(ROWS, [`${evil}a`, `${evil}b`, `${evil}c`]), images: pictures(ROWS) },
      title: evil,
      description: evil,
      setup: { model: evil, device: evil, beta: evil, version: evil },
      notes: [evil],
      ood: { data: evil, scores: [{ score: evil, inside: [1, 2], outside: [3] }] },
      comparison: [{ name: evil, metrics: quality }],
      pruning: [{ name: evil, sparsity: 0.5 }],
      config: { [evil]: evil },
    });
    checkBalanced(html);
    expect(html).not.toMatch(/<img src=x|<script/);
    // every "<" that is left begins one of the page's own elements, and no attribute runs or loads anything
    const own =
      /^(b|body|dd|details|div|dl|dt|figure|footer|g|h1|h2|h3|head|header|html|i|img|li|line|main|meta|p|path|pre|section|small|span|strong|style|summary|svg|table|tbody|td|text|th|thead|title|tr|ul|figcaption|em)$/;
    const elements = [...html.matchAll(/<(?!\/|!doctype)([^\s>/]*)([^>]*)>/g)];
    expect(elements.map(([, name]) => name).filter((name) => !own.test(name))).toEqual([]);
    expect(html.match(/</g)!.length).toBe(elements.length + html.match(/<(\/|!doctype)/g)!.length);
    const attributes = elements.flatMap(([, , rest]) =>
      [...rest.matchAll(/([\w:-]+)="([^"]*)"/g)].map((m) => m.slice(1)),
    );
    expect(attributes.filter(([name]) => /^(on|href|xlink|action)/.test(name))).toEqual([]);
    expect(attributes.filter(([name, value]) => name === "src" && !value.startsWith("data:image/png"))).toEqual([]);
    expect(html).toContain(escapeHtml(evil));
    expect(escapeHtml(`<a b="c">'&`)).toBe("&#60;a b=&#34;c&#34;&#62;&#39;&#38;");
    const named = await buildReport({
      title: "t",
      test: numbers("gaussian", 50, [2], { names: [`${evil}a`, `${evil}b`] }),
    });
    checkBalanced(named);
    expect(named).not.toMatch(/<img src=x|<script/);
  });

  it("hides nothing: controls and marks that turn text around are shown", async () => {
    expect(visible("a\u0000b\u202ec\u200bd\ne\ud800")).toBe("a\\u0000b\\u202ec\\u200bd\\u000ae\\ud800");
    expect(visible("a\nb", true)).toBe("a\nb");
    expect(visible("zéro 数 👍 👩‍👧 فارسی‌ها")).toBe("zéro 数 👍 👩‍👧 فارسی‌ها");
    const bad = "\u202ecat\u0007";
    const html = await buildReport({
      ...full,
      title: bad,
      test: { ...triangle(ROWS, [bad, `${bad}2`, `${bad}3`]), images: pictures(ROWS) },
      notes: [bad],
      config: { bad },
    });
    expect(html).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u);
    expect(html).toContain("\\u202ecat\\u0007");
    const numbered = await buildReport({ title: "t", test: numbers("gaussian", 50, [1], { names: [bad] }) });
    expect(numbered).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u);
  });

  it("tells nobody where things lie on the disk", async () => {
    for (const [text, without] of [
      ["/home/ann/data/cats", "cats"],
      ["/home/ann/my data/big cats", "big cats"],
      ["C:\\Users\\ann\\cats", "cats"],
      ["~/cats/", "cats"],
      ["file:///home/ann/cats", "cats"],
      ["left out 25 files of /home/ann/cats.", "left out 25 files of cats."],
      ["lenet5 (/tmp/run one)", "lenet5 (run one)"],
      ["see https://example.org/a/b and a/b or 1/2 of x", "see https://example.org/a/b and a/b or 1/2 of x"],
      ["runs/start", "runs/start"],
      ["nats / image", "nats / image"],
      ["/", "…"],
    ])
      expect(withoutPaths(text), text).toBe(without);
    expect(deepWithoutPaths({ dir: ["/a/b", { from: "/c/d" }], classes: ["/m/01g317"], n: 1 })).toEqual({
      dir: ["b", { from: "d" }],
      classes: ["/m/01g317"],
      n: 1,
    });
    const secret = "/home/ann/secret/thing";
    const data: ReportData = {
      ...full,
      title: `lenet5 on ${secret}`,
      description: secret,
      setup: { data: `${secret}, 5 to train on`, model: secret },
      notes: [`skipped ${secret}/x.png`],
      ood: { data: secret, scores: full.ood!.scores },
      comparison: [{ name: `twin (${secret})`, metrics: quality }],
      pruning: [{ name: secret, sparsity: 0.5 }],
      config: { data: { dir: secret }, from: [secret] },
    };
    expect(await buildReport(data)).not.toMatch(/secret|home/);
    expect(JSON.stringify(reportJson(data))).not.toMatch(/secret|home/);
    expect(reportJson(data).config).toEqual({ data: { dir: "thing" }, from: ["thing"] });
  });
});

describe("report as JSON", () => {
  it("has the figures by name, no images, and survives JSON", () => {
    const json = reportJson(full);
    expect(JSON.parse(JSON.stringify(json))).toEqual(json);
    expect(JSON.stringify(json)).not.toMatch(/pixels|"gallery"/);
    const m = simulated.likelihood.metrics(simulated.prediction, simulated.targets);
    expect(json).toMatchObject({
      format: 1,
      likelihood: "categorical",
      test: m,
      notes: full.notes,
      history,
      threshold: full.threshold,
      verdict: { failed: false },
    });
    expect(json.baseline!.figures.accuracy).toBeGreaterThan(1 / 3);
    expect(json.intervals!.accuracy[0]).toBeLessThan(m.accuracy);
    expect(json.ood!.scores).toEqual([{ score: "entropy", auroc: 5 / 6, aupr: 1 / 2 + 1 / 3, fpr95: 1 / 3 }]);
    expect(json.sections.map((s) => s.title)).toEqual([
      "Beside other models",
      "Calibration",
      "Uncertainty",
      "Test images",
      "Classes",
      "Strange images",
      "Training",
      "Pruning",
    ]);
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
  const test = certain([[0.5, 0.5]], [0]);
  const images = { height: 2, width: 2, channels: 1, pixels: new Uint8Array(4) };
  const cases: [string, unknown, RegExp][] = [
    ["no data", undefined, /a title/],
    ["no title", { title: "" }, /\[report\] expected a title, received ""/],
    ["no likelihood", { title: "t", test: { ...test, likelihood: {} } }, /\[report\] expected a likelihood/],
    ["no prediction", { title: "t", test: { ...test, prediction: undefined } }, /test.prediction as predict gives it/],
    ["targets", { title: "t", test: { ...test, targets: [0] } }, /test.targets as the likelihood numbers them/],
    ["their number", { title: "t", test: { ...test, targets: Int32Array.of(0, 1) } }, /to have 1 values, received 2/],
    ["a class", { title: "t", test: { ...test, targets: Int32Array.of(5) } }, /target 0 to be an integer from 0 to 1/],
    [
      "another likelihood's",
      { title: "t", test: { ...numbers("gaussian", 1, [2]), prediction: test.prediction } },
      /test.prediction as likelihood gaussian makes it/,
    ],
    ["channels", { title: "t", test: { ...test, images: { ...images, channels: 0 } } }, /test.images.channels/],
    ["height", { title: "t", test: { ...test, images: { ...images, height: 0 } } }, /images.height/],
    [
      "pixels",
      { title: "t", test: { ...test, images: { ...images, width: 3 } } },
      /pixels to have 6 values, received 4/,
    ],
    ["notes", { title: "t", notes: "left out" }, /notes as a list of texts, received "left out"/],
    ["tested", { title: "t", history, tested: 3 }, /tested to be an integer from 0 to 2, received 3/],
    ["threshold", { title: "t", threshold: { certainty: 1, risk: 2, coverage: 1 } }, /threshold.risk/],
    ["ood", { title: "t", ood: { data: "x" } }, /ood with the name/],
    ["scores", { title: "t", ood: { data: "x", scores: [{ score: "s", inside: [], outside: [1] }] } }, /at least one/],
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

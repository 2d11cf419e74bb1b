// Whatever takes a path says in one short sentence that it got none, and leaves everything as it was.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, expect, it } from "vitest";
import * as data from "../../lib/data/index.ts";
import * as graph from "../../lib/graph.ts";
import * as root from "../../lib/index.ts";
import * as onnx from "../../lib/onnx/index.ts";
import * as train from "../../lib/train/index.ts";
import { show } from "../../lib/util/errors.ts";
import { entries } from "../docs-kit/entries.ts";
import { squares, tinyBayes } from "./train-kit.ts";

const api = { ...root, ...data, ...graph, ...onnx, ...train };
const folder = mkdtempSync(join(tmpdir(), "paths-"));
const before = process.cwd();
process.chdir(folder); // what a wrong path made would lie here
afterAll(() => {
  process.chdir(before);
  rmSync(folder, { recursive: true });
});

const model = tinyBayes();
afterAll(() => model.close());
const images = squares(8);
const options = { epochs: 1, batchSize: 4 };
const takers: Readonly<Record<string, (path: string) => unknown>> = {
  readIdx: (path) => api.readIdx(path),
  loadData: (path) => api.loadData(path),
  "loadData dataDir": (path) => api.loadData("mnist", path),
  loadImageFolder: (path) => api.loadImageFolder(path),
  loadImageFolders: (path) => api.loadImageFolders(path),
  getData: (path) => api.getData(path),
  "getData dataDir": (path) => api.getData("mnist", { dataDir: path }),
  loadTable: (path) => api.loadTable(path),
  loadLuma: (path) => api.loadLuma(path),
  importWeights: (path) => api.importWeights(model, path),
  openModel: (path) => api.openModel(path),
  openRun: (path) => api.openRun(path),
  saveModel: (path) => api.saveModel(model, path),
  saveCheckpoint: (path) => api.saveCheckpoint(path, model),
  loadCheckpoint: (path) => api.loadCheckpoint(path),
  readSafetensors: (path) => api.readSafetensors(path),
  writeSafetensors: (path) => api.writeSafetensors(path, new Map()),
  exportPosterior: (path) => api.exportPosterior(model, path),
  exportOnnx: (path) => api.exportOnnx(model, { path }),
  verifyOnnx: (path) => api.verifyOnnx(model, path, new Float32Array(144)),
  "fit runDir": (path) => api.fit(model, { train: images }, { ...options, runDir: path }),
  "pruneExperiment runDir": (path) =>
    api.pruneExperiment(
      model,
      { train: images, test: images },
      { sparsity: 0.1, fineTune: { ...options, runDir: path } },
    ),
};
const wrong: Readonly<Record<string, unknown>> = {
  "bytes of 1 MB": new Uint8Array(1_000_000).fill(65),
  "a URL": new URL("file:///tmp/x"),
  undefined: undefined,
  "the empty text": "",
  "a text with a zero": "a\0b",
  "a text of 1 MB": "x".repeat(1_000_000),
  "a number": 7,
  "an object": { path: "x" },
};
/** Where undefined is the default. */
const optional = ["loadData dataDir", "getData dataDir", "exportOnnx", "fit runDir", "pruneExperiment runDir"];

it.each(Object.keys(takers))("%s", async (name) => {
  for (const [what, path] of Object.entries(wrong)) {
    if (path === undefined && optional.includes(name)) continue;
    const error = await new Promise((done) => done(takers[name](path as string))).then(
      () => undefined,
      (e: unknown) => e,
    );
    expect(error, what).toBeInstanceOf(api.BayesError);
    const { message } = error as Error;
    expect(message.length, `${what}: ${message.slice(0, 300)}`).toBeLessThanOrEqual(300);
    expect(message, what).toMatch(/expected .*, received /);
  }
  expect(readdirSync(folder)).toEqual([]);
});

it("every function of the public API with a path in its signature is among them", () => {
  const declared = new Set<string>();
  for (const entry of Object.values(entries))
    for (const [, names, file] of readFileSync(entry, "utf8").matchAll(/export \{([^}]*)\} from "([^"]+)"/g)) {
      const source = readFileSync(resolve(dirname(entry), file), "utf8");
      for (const name of names
        .split(",")
        .map((n) => n.trim())
        .filter(Boolean)) {
        const signature = new RegExp(`export (?:async )?function ${name}\\b[^(]*\\(([^)]*)\\)`).exec(source)?.[1] ?? "";
        if (/\b(path|dir|dataDir|file|folder)\??: string|\| string\b/.test(signature)) declared.add(name);
      }
    }
  expect(declared.size).toBeGreaterThan(7);
  for (const name of declared) expect(Object.keys(takers)).toContain(name);
});

it("a received value is shown in at most 160 characters, whatever it is", () => {
  const deep = Array.from({ length: 9 }, () => Array.from({ length: 9 }, () => Array(9).fill("x".repeat(99))));
  class Long {}
  Object.defineProperty(Long, "name", { value: "n".repeat(1e6) });
  const throwing = new Proxy(
    {},
    {
      get: () => {
        throw new Error("no");
      },
    },
  );
  const values = [
    deep,
    new Long(),
    throwing,
    Symbol("s".repeat(1e6)),
    10n ** 5000n,
    "\u0001".repeat(1e6),
    new Uint8Array(5),
    null,
    () => 1,
    Long,
  ];
  for (const value of values) expect(show(value).length).toBeLessThanOrEqual(160);
  expect(show([1, [2, [3]], "a"])).toBe('[1, [2, Array(1)], "a"]');
  expect(show(Object.create(null))).toBe("object");
});

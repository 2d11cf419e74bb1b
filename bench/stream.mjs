// Streamed data: node bench/stream.mjs [model] [images] [epochs] [turns], by default alexnet, 20000, 1 and 2. Needs `npm run
// build`, sharp, and CIFAR-10's binary files (BAYESCNN_DATA, else ./data). Trains on the same PNG files in memory, streamed (with a small cache, and with the
// usual one) and on an array behind makeSource, each in a process of its own and in turns; prints images a second while training, seconds to
// open, the largest resident memory, and whether checkpoints and metrics are the same bytes.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { createModel, fit, loadData, loadImageFolder, makeSource, split } from "../dist/index.js";

const CACHE = 8 << 20;
const BATCH = 256;
const busy = ({ user, system }) => user + system;

if (process.argv[2] === "child") console.log(JSON.stringify(await child(...process.argv.slice(3))));
else await main(process.argv[2] ?? "alexnet", ...process.argv.slice(3).map(Number));

async function child(kind, dir, runDir, model, epochs) {
  const began = performance.now();
  const all = await open(kind, dir);
  const { train, valid } = split(all, { valid: 0.05 }, 1);
  const opened = (performance.now() - began) / 1000;
  const net = createModel({ model, input: [32, 32, 3], classes: all.classes });
  const marks = [];
  const cpus = [];
  const mark = () => {
    marks.push(performance.now());
    cpus.push(process.cpuUsage());
  };
  const start = performance.now();
  const { wall } = await fit(net, { train, valid }, { epochs: Number(epochs), seed: 1, runDir, batchSize: BATCH, callbacks: { onStep: mark } });
  const hash = (name) => createHash("sha256").update(readFileSync(join(runDir, name))).digest("hex").slice(0, 16);
  const status = readFileSync("/proc/self/status", "utf8");
  const metrics = readFileSync(join(runDir, "metrics.jsonl"), "utf8").replace(/"wall":\{[^}]*\}/g, "");
  return {
    kind,
    opened,
    statistics: (marks[0] - start) / 1000,
    perSecond: wall.examplesPerSecond,
    cpuMsPerImage: (busy(cpus.at(-1)) - busy(cpus[0])) / ((marks.length - 1) * BATCH * 1000),
    peakMiB: Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)[1]) / 1024),
    checkpoint: hash("checkpoint.safetensors"),
    metrics: createHash("sha256").update(metrics).digest("hex").slice(0, 16),
  };
}

async function open(kind, dir) {
  if (kind === "resident") return loadImageFolder(dir);
  if (kind === "cached") return loadImageFolder(dir, { stream: true });
  if (kind === "streamed") return loadImageFolder(dir, { stream: true, cacheBytes: CACHE });
  const { images, ...about } = await loadImageFolder(dir);
  const size = images.length / about.count;
  const read = (indices) => {
    const out = new Uint8Array(indices.length * size);
    indices.forEach((i, at) => out.set(images.subarray(i * size, (i + 1) * size), at * size));
    return out;
  };
  return makeSource({ ...about, pixels: "u8", read });
}

async function main(model, count = 20000, epochs = 1, turns = 2) {
  const root = mkdtempSync(join(tmpdir(), "bayescnn-stream-"));
  try {
    const { train } = await loadData("cifar-10");
    for (const name of train.classes) mkdirSync(join(root, "png", name), { recursive: true });
    for (let i = 0; i < count; i++)
      await sharp(train.images.subarray(i * 3072, (i + 1) * 3072), { raw: { width: 32, height: 32, channels: 3 } })
        .png()
        .toFile(join(root, "png", train.classes[train.targets[i]], `${i}.png`));
    const results = [];
    for (let turn = 0; turn < turns; turn++)
      for (const kind of ["resident", "streamed", "cached", "source"]) {
        const run = join(root, `${kind}-${turn}`);
        const text = execFileSync(process.execPath, [fileURLToPath(import.meta.url), "child", kind, join(root, "png"), run, model, String(epochs)], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
        results.push(JSON.parse(text));
        console.log(text.trim());
      }
    const best = (kind) => Math.max(...results.filter((r) => r.kind === kind).map((r) => r.perSecond));
    const cpu = (kind) => Math.min(...results.filter((r) => r.kind === kind).map((r) => r.cpuMsPerImage));
    for (const kind of ["streamed", "cached", "source"])
      console.log(
        `${kind} / resident: ${(best(kind) / best("resident")).toFixed(3)} of its images a second, ` +
          `${(cpu(kind) / cpu("resident")).toFixed(3)} times its processor time (${availableParallelism()} cores)`,
      );
    for (const what of ["checkpoint", "metrics"])
      console.log(`${what}: ${new Set(results.map((r) => r[what])).size === 1 ? "the same bytes" : "DIFFERENT"}`);
  } finally {
    rmSync(root, { recursive: true });
  }
}

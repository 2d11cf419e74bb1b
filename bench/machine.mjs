// The machine: what it is, what it can do, and how busy others keep it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";

const { dirname } = import.meta;

/** @typedef {{ fma: number, triad: number }} Peak GFLOP/s of fused multiply-adds and GB/s of a stream triad */

/**
 * Compiles the measurement of the peak. What it returns measures again and keeps the best so far on that many threads.
 * @returns {{ measure(threads: number): void, best: ReadonlyMap<number, Peak>, close(): void }}
 */
export function peakMeter() {
  const folder = mkdtempSync(join(tmpdir(), "bayescnn-bench-"));
  const binary = join(folder, "peak");
  const flags = ["-O3", "-march=native", "-std=c++17", "-pthread"];
  const built = spawnSync("g++", [...flags, join(dirname, "peak.cpp"), "-o", binary], { encoding: "utf8" });
  const works = built.status === 0;
  if (!works) console.error(`no peak is measured: ${built.error ? "there is no g++" : built.stderr}`);
  /** @type {Map<number, Peak>} */
  const best = new Map();
  return {
    best,
    measure(threads) {
      if (!works) return;
      const { fma, triad } = JSON.parse(spawnSync(binary, [`${threads}`], { encoding: "utf8" }).stdout);
      const before = best.get(threads) ?? { fma: 0, triad: 0 };
      best.set(threads, { fma: Math.max(fma, before.fma), triad: Math.max(triad, before.triad) });
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The machine in one line. */
export function describeMachine() {
  const [{ model }] = cpus();
  const flags =
    read("/proc/cpuinfo")
      ?.match(/^flags\s*:(.*)$/m)?.[1]
      .split(" ") ?? [];
  const simd = ["avx512_bf16", "avx512f", "avx2"].filter((f) => flags.includes(f));
  const gib = Math.round(totalmem() / 2 ** 30);
  const cores = `${availableParallelism()} cores of ${model.trim()} (${simd.join(", ") || process.arch})`;
  return `${cores}, ${gib} GiB, ${process.platform}, Node.js ${process.version}`;
}

/** @returns {boolean} */
export const hasAvx512 = () => / avx512f /.test(read("/proc/cpuinfo") ?? "");

/** Processor time so far in seconds: of the whole machine (all but idle), and of one process. Linux only. */
export function processorTime(/** @type {number} */ pid) {
  const all = read("/proc/stat")?.split("\n")[0].trim().split(/\s+/).slice(1, 9).map(Number);
  const own = read(`/proc/${pid}/stat`)
    ?.replace(/^.*\) /, "")
    .split(" ");
  if (!all || !own) return undefined;
  const [user, nice, system, , , irq, softirq, steal] = all; // between them: idle, waiting for a disk
  return { all: (user + nice + system + irq + softirq + steal) / 100, own: (Number(own[11]) + Number(own[12])) / 100 };
}

function read(/** @type {string} */ path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

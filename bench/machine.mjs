// The machine: what it is, what it can do, and how busy others keep it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";

const { dirname } = import.meta;

/** @typedef {{ fma: number, triad: number }} Peak GFLOP/s of fused multiply-adds and GB/s of a stream triad */

/**
 * Measures the peak on each of these numbers of threads, or says why not.
 * @param {readonly number[]} counts
 * @returns {Map<number, Peak>}
 */
export function measurePeaks(counts) {
  const folder = mkdtempSync(join(tmpdir(), "bayescnn-bench-"));
  try {
    const binary = join(folder, "peak");
    const flags = ["-O3", "-march=native", "-std=c++17", "-pthread"];
    const built = spawnSync("g++", [...flags, join(dirname, "peak.cpp"), "-o", binary], { encoding: "utf8" });
    if (built.status !== 0) {
      console.error(`no peak is measured: ${built.error ? "there is no g++" : built.stderr}`);
      return new Map();
    }
    return new Map(
      counts.map((threads) => [threads, JSON.parse(spawnSync(binary, [`${threads}`], { encoding: "utf8" }).stdout)]),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
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

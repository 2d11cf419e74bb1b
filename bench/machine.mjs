// The machine: what it is, what it can do, and how busy others keep it.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import { compiled } from "./compile.mjs";

/** @typedef {{ fma: number, triad: number }} Peak GFLOP/s of fused multiply-adds and GB/s of a stream triad */

/**
 * The measurement of the peak. It measures again whenever it is asked to, and keeps the best so far on that many threads.
 * @returns {{ measure(threads: number): void, best: ReadonlyMap<number, Peak> }}
 */
export function peakMeter() {
  const { binary, problem } = compiled("peak.cpp", ["-O3", "-march=native", "-pthread"]);
  if (problem) console.error(`no peak is measured: ${problem}`);
  /** @type {Map<number, Peak>} */
  const best = new Map();
  return {
    best,
    measure(threads) {
      if (problem) return;
      const { fma, triad } = JSON.parse(spawnSync(binary, [`${threads}`], { encoding: "utf8" }).stdout);
      const before = best.get(threads) ?? { fma: 0, triad: 0 };
      best.set(threads, { fma: Math.max(fma, before.fma), triad: Math.max(triad, before.triad) });
    },
  };
}

/** The machine in one line. */
export function describeMachine() {
  const [{ model }] = cpus();
  const simd = ["avx512_bf16", "avx512f", "avx2"].filter(hasFeature);
  const gib = Math.round(totalmem() / 2 ** 30);
  const cores = `${availableParallelism()} cores of ${model.trim()} (${simd.join(", ") || process.arch})`;
  return `${cores}, ${gib} GiB, ${process.platform}, Node.js ${process.version}`;
}

/** Whether the processor says that it has this (avx512f, avx512_bf16, …). */
export const hasFeature = (/** @type {string} */ name) =>
  new RegExp(`^flags\\s*:.* ${name}( |$)`, "m").test(read("/proc/cpuinfo") ?? "");

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

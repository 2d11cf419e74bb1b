// The table in bench/README.md: one section a device, between markers, written anew by every run on that device.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const README = join(import.meta.dirname, "README.md");

/**
 * @param {readonly import("./run.mjs").Row[]} rows
 * @param {{ machine: string, peaks: ReadonlyMap<number, import("./machine.mjs").Peak> }} context
 */
export function writeTable(rows, context) {
  const { device } = rows[0];
  const [from, to] = [`<!-- bench ${device} -->`, `<!-- /bench ${device} -->`];
  const section = `${from}\n${table(rows, device, context)}\n${to}`;
  const text = readFileSync(README, "utf8");
  const [start, end] = [text.indexOf(from), text.indexOf(to)];
  const whole =
    end > start && start >= 0
      ? text.slice(0, start) + section + text.slice(end + to.length)
      : `${text.trimEnd()}\n\n${section}\n`;
  writeFileSync(`${README}.new`, whole);
  renameSync(`${README}.new`, README);
}

/**
 * @param {readonly import("./run.mjs").Row[]} rows
 * @param {string} device
 * @param {Parameters<typeof writeTable>[1]} context
 */
function table(rows, device, { machine, peaks }) {
  const head = ["workload", "ours", "threads", "ms", "peer", "peer's ms", "ours / peer", "FMA peak", "bandwidth"];
  const percent = (/** @type {number | null} */ share) => (share === null ? "" : `${(100 * share).toFixed(0)} %`);
  const times = (/** @type {import("./run.mjs").Times | null} */ t) => (t ? `${t.median} [${t.min}..${t.max}]` : "");
  const lines = rows.map((r) => [
    r.workload,
    r.what,
    r.threads,
    times(r.ms),
    r.peer ?? "",
    times(r.peerMs),
    (r.ratio?.toFixed(2) ?? "") + (r.disturbed ? " *" : ""),
    percent(r.peakShare),
    percent(r.bandwidthShare),
  ]);
  const measured = [...peaks].map(
    ([t, { fma, triad }]) => `${fma} GFLOP/s and ${triad} GB/s on ${t} thread${t > 1 ? "s" : ""}`,
  );
  const disturbed = rows.some((r) => r.disturbed > 0);
  return [
    `### ${device}`,
    "",
    `${new Date().toISOString().slice(0, 10)}: ${machine}.`,
    measured.length ? `Measured peak: ${measured.join(", ")}.` : "No peak was measured (no g++).",
    disturbed
      ? "An asterisk: other processes used the machine during some of the turns, so this is not to be relied on."
      : "",
    "",
    ...[head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`),
  ].join("\n");
}

// The tables in bench/README.md, between markers, made of what bench/results holds: the goals, the quality of trained
// networks, the instruction sets side by side, and everything of each device. Every run writes them; `node bench/table.mjs` does so without a run.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { goalTable, title } from "./goals.mjs";
import { recorded, recordedQuality, writeWhole } from "./results.mjs";

const README = join(import.meta.dirname, "README.md");

/** @typedef {import("./run.mjs").Row} Row */

export function writeTables() {
  const devices = recorded();
  const before = readFileSync(README, "utf8");
  let text = replaced(before, "goals", goalsSection(devices));
  text = replaced(text, "quality", qualitySection());
  text = replaced(text, "instruction sets", isaSection(devices));
  for (const [device, rows] of devices) text = replaced(text, device, deviceSection(device, rows));
  if (text !== before) writeWhole(README, text);
}

/** @param {string} text @param {string} name of the markers, which are made at the end where there are none @param {string} section */
function replaced(text, name, section) {
  const [from, to] = [`<!-- bench ${name} -->`, `<!-- /bench ${name} -->`];
  const whole = `${from}\n${section}\n${to}`;
  const [start, end] = [text.indexOf(from), text.indexOf(to)];
  if (start < 0 || end < start) return `${text.trimEnd()}\n\n${whole}\n`;
  return text.slice(0, start) + whole + text.slice(end + to.length);
}

/** @param {readonly (readonly (string | number)[])[]} lines the first is the head */
const table = ([head, ...lines]) =>
  [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

/** Of each machine, the best instruction set. @param {Map<string, Row[]>} devices */
function goalsSection(devices) {
  const machines = new Set();
  const sections = [];
  for (const [device, rows] of devices) {
    if (machines.has(rows[0].machine)) continue;
    machines.add(rows[0].machine);
    sections.push(
      `${device}: ${rows[0].machine}. ✓: reached; –: not measured.\n\n` +
        table([["ours / peer", "measured (goal)"], ...goalTable(rows)]),
    );
  }
  return sections.join("\n\n") || "Nothing has been measured yet.";
}

/** Means over the seeds, [least..greatest]. */
function qualitySection() {
  /** @type {Map<string, import("./quality.mjs").QualityRow[]>} */
  const networks = new Map();
  for (const row of recordedQuality()) {
    const key = `${row.id} ${row.precision}`;
    networks.set(key, [...(networks.get(key) ?? []), row]);
  }
  if (networks.size === 0) return "Nothing has been trained yet.";
  const lines = [...networks.values()].map((rows) => {
    const [{ model, data, precision, epochs }] = rows;
    const cell = (/** @type {"accuracy" | "nll" | "ece"} */ of, scale = 1, digits = 4) => {
      const values = rows.map((r) => scale * r[of]);
      const mean = values.reduce((a, b) => a + b) / values.length;
      const [least, greatest] = [Math.min(...values), Math.max(...values)].map((x) => x.toFixed(digits));
      return `${mean.toFixed(digits)} [${least}..${greatest}]`;
    };
    return [title(model), data, precision, rows.length, epochs, cell("accuracy", 100, 2), cell("nll"), cell("ece")];
  });
  const [{ device, machine, samples }] = recordedQuality();
  const head = ["network", "data", "precision", "seeds", "epochs", "accuracy, %", "NLL", "ECE"];
  const about = `Test images, ${samples} Monte-Carlo samples; mean [least..greatest] over the seeds.`;
  return `${device}: ${machine}. ${about}\n\n${table([head, ...lines])}`;
}

/** Ours on several instruction sets of one machine. @param {Map<string, Row[]>} devices */
function isaSection(devices) {
  /** @type {Map<string, { device: string, rows: Row[] }[]>} */
  const machines = new Map();
  for (const [device, rows] of devices) {
    const same = machines.get(rows[0].machine) ?? [];
    machines.set(rows[0].machine, [...same, { device, rows }]);
  }
  const sections = [...machines.values()].filter((same) => same.length > 1).map(sideBySide);
  return sections.join("\n\n") || "So far only one instruction set has been measured.";
}

const whatOf = (/** @type {Row} */ r) => (r.precision === "fp32" ? r.what : `${r.what}, ${r.precision}`);

/** @param {readonly { device: string, rows: Row[] }[]} devices of one machine, the best first */
function sideBySide([best, ...others]) {
  const key = (/** @type {Row} */ r) => `${r.id} ${r.what} ${r.precision}`;
  const times = others.map(({ rows }) => new Map(rows.map((r) => [key(r), r.ms.median])));
  const rows = [...new Map(best.rows.map((r) => [key(r), r])).values()]; // ours is in several rows
  const common = rows.filter((r) => times.some((of) => of.has(key(r))));
  const lines = common.map((r) => [
    ...[r.workload, whatOf(r), r.threads, r.ms.median],
    ...times.map((of) => {
      const ms = of.get(key(r));
      return ms === undefined ? "" : `${ms} (${(ms / r.ms.median).toFixed(2)} times)`;
    }),
  ]);
  const head = ["workload", "ours", "threads", ...[best, ...others].map(({ device }) => `${device}: ms`)];
  return table([head, ...lines]);
}

const groups = /** @type {const} */ ([
  ["Training steps", /^step /],
  ["Predictions", /^predict /],
  ["Single layers", /^layer g\d/],
  ["Layers of ResNet-18", /^layer r18/],
  ["Channels", /^layer c\d/],
  ["Depthwise and grouped convolutions", /^layer (depthwise|grouped)/],
  ["Other convolutions, linear layers", /^layer (pointwise|stem|convolution|linear)/],
  ["Norms, pooling, arithmetic", /^layer (batch norm|global|relu|exp|row sum)/],
  ["Predictions of one image as a user calls them", /^one image /],
  ["Models and programs made", /^(create|compile) /],
]);

/** @param {string} device @param {readonly Row[]} rows */
function deviceSection(device, rows) {
  const days = rows.map((r) => r.measured).sort();
  const [from, to] = [days[0], days[days.length - 1]];
  /** @type {Map<number, import("./machine.mjs").Peak>} */
  const peaks = new Map();
  for (const { threads, peak } of rows) {
    if (!peak) continue;
    const { fma, triad } = peaks.get(threads) ?? { fma: 0, triad: 0 };
    peaks.set(threads, { fma: Math.max(fma, peak.fma), triad: Math.max(triad, peak.triad) });
  }
  const measured = [...peaks].map(
    ([t, { fma, triad }]) => `${fma} GFLOP/s and ${triad} GB/s on ${t} thread${t > 1 ? "s" : ""}`,
  );
  const disturbed = rows.some((r) => r.disturbed > 0);
  const facts = [
    `${from === to ? from : `${from} to ${to}`}: ${rows[0].machine}; ours on ${rows[0].isa}.`,
    measured.length ? `Measured peak: ${measured.join(", ")}.` : "No peak was measured (no g++).",
    "Milliseconds: median [least..greatest]; a peer's cell starts with ours / peer.",
    ...(disturbed
      ? ["An asterisk: other processes used the machine during some of the turns, so this is not to be relied on."]
      : []),
  ];
  const sections = groups.flatMap(([name, pattern]) => {
    const some = rows.filter((r) => pattern.test(r.id));
    return some.length ? [`#### ${name}`, pairTable(some)] : [];
  });
  return [`### ${device}`, facts.join("\n"), ...sections].join("\n\n");
}

/** One line for each of ours, one column for each peer. @param {readonly Row[]} rows */
function pairTable(rows) {
  const peers = [...new Set(rows.flatMap((r) => r.peer ?? []))];
  const percent = (/** @type {number | null} */ share) => (!share ? "" : `${(100 * share).toFixed(0)} %`);
  const times = (/** @type {import("./run.mjs").Times} */ t) => `${t.median} [${t.min}..${t.max}]`;
  const memory = rows.some((r) => /^(step|predict) /.test(r.id));
  /** @type {Map<string, Row[]>} */
  const lines = new Map();
  for (const r of rows) {
    const key = `${r.id} ${r.what} ${r.precision}`;
    lines.set(key, [...(lines.get(key) ?? []), r]);
  }
  const fixed = ["workload", "ours", "threads", "ms", "FMA peak", "bandwidth", ...(memory ? ["MB"] : [])];
  return table([
    [...fixed, ...peers],
    ...[...lines.values()].map((same) => {
      const [r] = same;
      return [
        ...[r.workload, whatOf(r), r.threads],
        times(r.ms) + (r.disturbed && !r.peer ? " *" : ""),
        ...[
          percent(r.peakShare),
          percent(r.bandwidthShare),
          ...(memory ? [r.memory ? (r.memory / 1e6).toFixed(1) : ""] : []),
        ],
        ...peers.map((peer) => {
          const pair = same.find((x) => x.peer === peer);
          if (!pair?.peerMs) return "";
          return `**${pair.ratio?.toFixed(2)}**${pair.disturbed ? " *" : ""} ${times(pair.peerMs)}`;
        }),
      ];
    }),
  ]);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) writeTables();

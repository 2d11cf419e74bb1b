// The benchmark: npm run bench -- [--only REGEX] [--out FILE.json] [--quick] [--list]
// Ours and its peers each run in a process of their own and take turns: whatever the machine does, it does to all.
import { availableParallelism, constants } from "node:os";
import { parseArgs } from "node:util";
import { describeMachine, peakMeter, processorTime } from "./machine.mjs";
import { contenders, NotInstalled } from "./peers.mjs";
import { record, writeRows } from "./results.mjs";
import { SLOW_MS } from "./serve.mjs";
import { writeTables } from "./table.mjs";
import { Worker } from "./worker.mjs";
import { describe, parseVariant, workloads } from "./workloads.mjs";

/**
 * @typedef {{ worker: Worker, turns: number, medians: number[], thrown: number, disturbed: number }} Trial
 * @typedef {{ median: number, min: number, max: number, n: number }} Times of the turns' medians, in milliseconds
 * @typedef {object} Row
 * @property {string} id of the workload
 * @property {string} workload a model or a layer
 * @property {string} what
 * @property {string} device
 * @property {string} isa the instruction set that ours ran on; the peers choose theirs themselves
 * @property {string} precision
 * @property {number} threads
 * @property {Times} ms ours
 * @property {string | null} peer
 * @property {Times | null} peerMs
 * @property {number | null} ratio ours / peer
 * @property {number} gflops ours; taps that fall on padding are not counted
 * @property {number} gbs ours in GB/s: the operands of all kernels, each once
 * @property {import("./machine.mjs").Peak | null} peak of the machine on as many threads
 * @property {number | null} peakShare of the machine's fused multiply-adds on as many threads
 * @property {number | null} bandwidthShare of the machine's stream triad, each operand of a kernel counted once
 * @property {number} memory ours, bytes of the arena: all activations and gradients of a step
 * @property {number} workspace ours, bytes that the kernels work in
 * @property {number} disturbed turns of either in which other processes took more than a tenth of the machine
 * @property {string} machine
 * @property {string} measured on which day
 */

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    out: { type: "string" },
    quick: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});
const TURNS = options.quick ? 5 : 11;
const SLOW_TURNS = options.quick ? 3 : 5; // of a run that takes longer than a turn
const TURN_MS = options.quick ? 250 : 500;
const MOST_THROWN = 3; // times as many as wanted: then it is a busy machine, and the row says so
const OTHERS = 0.1;

const all = workloads(availableParallelism());
const chosen = all.filter(({ id }) => new RegExp(options.only).test(id));
if (options.list || chosen.length === 0) {
  for (const { id } of chosen) console.log(id);
  if (chosen.length === 0) console.error(`no workload matches ${options.only}; --list shows them all`);
  process.exit(chosen.length ? 0 : 1);
}

/** @type {Set<Worker>} */
const running = new Set();
process.on("exit", () => {
  for (const worker of running) worker.end();
});
let finished = 0;
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]))
  process.on(signal, () => {
    console.error(`ended by ${signal} after ${finished} of ${chosen.length} workloads`);
    writeTables();
    process.exit(128 + constants.signals[signal]);
  });

const machine = describeMachine();
const measured = new Date().toISOString().slice(0, 10);
const peaks = peakMeter();
console.log(machine);
/** @type {Row[]} */
const rows = [];
/** @type {Set<string>} */
const missing = new Set();
/** @type {string[]} */
const failures = [];
for (const workload of chosen) {
  peaks.measure(workload.threads); // before each: the clock drifts, and others may be at work
  rows.push(...(await measure(workload)));
  finished++;
  const shown = rows.map(withShares); // what there is so far, in case that something ends the run
  if (options.out) writeRows(options.out, shown);
  record(
    shown,
    all.map(({ id }) => id),
  );
}
for (const [threads, { fma, triad }] of peaks.best) console.log(`${threads} threads: ${fma} GFLOP/s, ${triad} GB/s`);
writeTables();
if (failures.length) {
  console.error(`${failures.length} failed, and the rows that need them are missing:\n  ${failures.join("\n  ")}`);
  process.exitCode = 1;
}

/** @param {Row} row @returns {Row} with the shares of the best peak so far */
function withShares(row) {
  const peak = peaks.best.get(row.threads);
  if (!peak) return row;
  return { ...row, peak, peakShare: round(row.gflops / peak.fma), bandwidthShare: round(row.gbs / peak.triad) };
}

/** @param {import("./workloads.mjs").Workload} workload @returns {Promise<Row[]>} */
async function measure(workload) {
  const wanted = new Map(
    workload.pairs.flatMap(([ours, peer, variant]) => [
      [`ours ${ours}`, /** @type {const} */ (["ours", ours])],
      .../** @type {const} */ (peer ? [[`${peer} ${variant}`, [peer, variant]]] : []),
    ]),
  );
  /** @type {Map<string, Trial>} */
  const trials = new Map();
  const giveUp = (/** @type {string} */ key, /** @type {unknown} */ error) => {
    const failure = `${workload.id}: ${key}: ${/** @type {Error} */ (error).message}`;
    console.error(`failed: ${failure}`);
    failures.push(failure);
    trials.delete(key);
  };
  for (const [key, [contender, variant]] of wanted) {
    if (missing.has(contender)) continue;
    try {
      const worker = await Worker.start(contender, workload, variant, (born) => running.add(born));
      const slow = (worker.about.once ?? 0) > SLOW_MS;
      trials.set(key, { worker, turns: slow ? SLOW_TURNS : TURNS, medians: [], thrown: 0, disturbed: 0 });
    } catch (error) {
      if (!(error instanceof NotInstalled)) giveUp(key, error);
      else {
        missing.add(contender);
        console.error(`without ${contender} (${error.message}); to install it: ${contenders[contender].install}`);
      }
    }
  }
  const unfinished = () => [...trials].filter(([, trial]) => trial.medians.length < trial.turns);
  for (let round = unfinished(); round.length > 0; round = unfinished())
    for (const [key, trial] of round)
      try {
        await turn(trial);
      } catch (error) {
        giveUp(key, error);
      }
  for (const worker of running) worker.end();
  running.clear();
  return rowsOf(workload, trials);
}

/** One turn, thrown away where others disturbed it. */
async function turn(/** @type {Trial} */ trial) {
  const { worker } = trial;
  const before = processorTime(worker.pid);
  const start = performance.now();
  const times = await worker.turn(TURN_MS);
  const after = processorTime(worker.pid);
  const available = (availableParallelism() * (performance.now() - start)) / 1000;
  const others = before && after ? after.all - before.all - (after.own - before.own) : 0;
  const disturbed = others > OTHERS * available;
  if (disturbed && trial.thrown < MOST_THROWN * trial.turns) {
    trial.thrown++;
    return;
  }
  if (disturbed) trial.disturbed++;
  trial.medians.push(median(times));
}

/**
 * @param {import("./workloads.mjs").Workload} workload
 * @param {Map<string, Trial>} trials
 */
function rowsOf(workload, trials) {
  const { id, name, threads, pairs } = workload;
  /** @type {Row[]} */
  const found = [];
  const seen = new Set();
  const paired = new Set(
    pairs.filter(([, peer, variant]) => trials.has(`${peer} ${variant}`)).map(([variant]) => variant),
  );
  for (const [variant, peer, peerVariant] of pairs) {
    const ours = trials.get(`ours ${variant}`);
    const theirs = trials.get(`${peer} ${peerVariant}`);
    if (!ours || (!theirs && (paired.has(variant) || seen.has(variant)))) continue; // without its peers, ours is one row
    seen.add(variant);
    const { device = "", flops = 0, traffic = 0, memory = 0, workspace = 0 } = ours.worker.about;
    const ms = summary(ours.medians);
    const { network, precision } = parseVariant(variant);
    const peerMs = theirs ? summary(theirs.medians) : null;
    /** @type {Row} */
    const row = {
      id,
      workload: name,
      what: `${network}: ${describe(workload)}`,
      device,
      isa: device.replace(/^cpu-/, ""),
      precision,
      threads,
      ms,
      peer: theirs ? `${theirs.worker.about.version} ${peerVariant}` : null,
      peerMs,
      ratio: peerMs && round(ms.median / peerMs.median),
      gflops: round(flops / ms.median / 1e6),
      gbs: round(traffic / ms.median / 1e6),
      peak: null,
      peakShare: null,
      bandwidthShare: null,
      memory,
      workspace,
      disturbed: ours.disturbed + (theirs?.disturbed ?? 0),
      machine,
      measured,
    };
    found.push(row);
    const mine = `${name}  ${row.what}, ${precision}  ${threads} threads  ${ms.median} ms [${ms.min}..${ms.max}]`;
    const against = peerMs ? `  ${row.peer} ${peerMs.median} ms  ratio ${row.ratio}` : "";
    console.log(mine + against + (row.disturbed ? "  (disturbed)" : ""));
  }
  return found;
}

/** @param {readonly number[]} values */
function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** @param {readonly number[]} medians @returns {Times} */
function summary(medians) {
  const [m, min, max] = [median(medians), Math.min(...medians), Math.max(...medians)].map(round);
  return { median: m, min, max, n: medians.length };
}

/** @param {number} x */
function round(x) {
  return Number(x.toPrecision(4));
}

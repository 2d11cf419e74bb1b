// What has been measured: bench/results/DEVICE.json holds the newest rows of each workload, all from one machine, and
// quality.json those of each trained network.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "results");
const QUALITY = "quality.json";

/** @typedef {import("./run.mjs").Row} Row */
/** @typedef {import("./quality.mjs").QualityRow} QualityRow */

/** Rows of every device, best instruction set first. @returns {Map<string, Row[]>} */
export function recorded() {
  const order = ["avx512bf16", "avx512", "avx2", "neon", "base"];
  const files = readdirSync(FOLDER).filter((file) => file.endsWith(".json") && file !== QUALITY);
  /** @type {Row[][]} */
  const all = files.map((file) => JSON.parse(readFileSync(join(FOLDER, file), "utf8")));
  const devices = all.filter((rows) => rows.length > 0).sort(([a], [b]) => order.indexOf(a.isa) - order.indexOf(b.isa));
  return new Map(devices.map((rows) => [rows[0].device, rows]));
}

/**
 * Puts a run's rows in place of what was known of the same workloads. Rows of another machine, and of workloads that are
 * no more, go.
 * @param {readonly Row[]} rows of one device
 * @param {readonly string[]} ids of all workloads there are
 */
export function record(rows, ids) {
  if (rows.length === 0) return;
  mkdirSync(FOLDER, { recursive: true });
  const [{ device, machine }] = rows;
  const measured = new Set(rows.map((row) => row.id));
  const kept = (recorded().get(device) ?? []).filter((row) => row.machine === machine && !measured.has(row.id));
  const place = new Map(ids.map((id, i) => [id, i]));
  const all = [...kept, ...rows].filter((row) => place.has(row.id));
  all.sort((a, b) => /** @type {number} */ (place.get(a.id)) - /** @type {number} */ (place.get(b.id)));
  writeRows(join(FOLDER, `${device}.json`), all);
}

/** Rows of every trained network. @returns {QualityRow[]} */
export function recordedQuality() {
  const path = join(FOLDER, QUALITY);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : [];
}

/** Puts a run's rows in place of what was known of the same networks. @param {readonly QualityRow[]} rows */
export function recordQuality(rows) {
  const key = (/** @type {QualityRow} */ r) => `${r.id} ${r.precision} ${r.seed}`;
  const measured = new Set(rows.map(key));
  const kept = recordedQuality().filter((r) => r.machine === rows[0].machine && !measured.has(key(r)));
  const order = (/** @type {QualityRow} */ r) => [r.data === "mnist" ? 0 : 1, r.model === "lenet5" ? 0 : 1].join("");
  const all = [...kept, ...rows].sort((a, b) => order(a).localeCompare(order(b)) || key(a).localeCompare(key(b)));
  writeRows(join(FOLDER, QUALITY), all);
}

/** The file is whole at any time. @param {string} path @param {readonly object[]} rows */
export function writeRows(path, rows) {
  const lines = rows.map((row) => JSON.stringify(row));
  writeWhole(path, lines.length ? `[\n${lines.join(",\n")}\n]\n` : "[]\n");
}

/** @param {string} path @param {string} text */
export function writeWhole(path, text) {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

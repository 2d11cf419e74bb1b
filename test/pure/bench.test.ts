// The benchmark's workloads: each has a name of its own, contenders that there are, something to run, and one table.
import { join } from "node:path";
import { expect, it } from "vitest";
import { modelNames } from "../../lib/models/create.ts";

interface Workload {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly pairs: readonly (readonly [ours: string, peer?: string, variant?: string])[];
}
interface Layer {
  readonly channels?: number;
  readonly filters?: number;
  readonly groups?: number;
}
const load = async <T>(file: string) => (await import(join(import.meta.dirname, "../../bench", file))) as T;
const { workloads } = await load<{ workloads(threads: number): Workload[] }>("workloads.mjs");
const { layers } = await load<{ layers: Record<string, Layer> }>("layers.mjs");
const { contenders } = await load<{ contenders: Record<string, unknown> }>("peers.mjs");
const { groups } = await load<{ groups: [string, RegExp][] }>("table.mjs");
const all = workloads(2);

it("has names of their own, all that it takes to run them, and a place in one table", () => {
  expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
  for (const { id, kind, name, pairs } of all) {
    expect(kind === "layer" ? Object.keys(layers) : [...modelNames, ...Object.keys(layers)], id).toContain(name);
    expect(pairs.length, id).toBeGreaterThan(0);
    for (const [, peer = "ours"] of pairs) expect(Object.keys(contenders), id).toContain(peer);
    expect(groups.filter(([, pattern]) => pattern.test(id)).length, id).toBe(1);
  }
});

it("has layers whose groups divide channels and filters", () => {
  const grouped = Object.values(layers).filter(({ groups = 1 }) => groups > 1);
  expect(grouped.length).toBeGreaterThan(4);
  for (const { groups = 1, channels = 0, filters = 0 } of grouped)
    expect([channels % groups, filters % groups]).toEqual([0, 0]);
});

// What a pack holds (cuda/check): op rows against float64, products of odd shapes, training steps and faults as the CPU
// has them; or, to be timed, training steps and single layers of the size that one trains.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { grad } from "../../lib/autodiff/grad.ts";
import { compile } from "../../lib/graph/compile.ts";
import { type Shape, sizeOf, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import type { Device } from "../../lib/native/device.ts";
import { bayesConv2d } from "../../lib/ops/bayesConv2d.ts";
import { bayesLinear } from "../../lib/ops/bayesLinear.ts";
import { gaussianNoise } from "../../lib/ops/gaussianNoise.ts";
import { mean } from "../../lib/ops/mean.ts";
import { square } from "../../lib/ops/square.ts";
import { madeModel, stepProgram } from "../../lib/speed/made.ts";
import { adam } from "../../lib/train/optimizers.ts";
import { layers } from "../cpu/products-kit.ts";
import { layerPrograms, programsOf } from "../cpu/programs-kit.ts";
import { type Pack, record } from "../driver/recorder.ts";
import type { OpCase, Value } from "../ops/harness.ts";

const list = <T>(x: T | readonly T[]): readonly T[] => (Array.isArray(x) ? (x as readonly T[]) : [x as T]);
/** A pack has to travel: larger rows are for the emulated device alone. */
const MOST = 55_000;

/** Values within the rows' tolerances, and gradients near the CPU's, which the CPU's tests hold to central differences. */
async function opRows(pack: Pack, device: Device): Promise<void> {
  const folder = join(import.meta.dirname, "../ops");
  for (const file of readdirSync(folder).filter((f) => f !== "harness.ts")) {
    const { cases } = (await import(join(folder, file))) as { cases: OpCase[] };
    const op = file.slice(0, -3);
    for (const [i, c] of cases.entries())
      for (const { backward, specs, feeds, build } of programsOf(c)) {
        const tolerance = backward ? Math.max(1e-4, 10 * (c.tolerance ?? 0)) : (c.tolerance ?? 1e-5);
        const want = backward ? [] : list<Value>(c.reference(c.inputs)).map((v) => v && Array.from(v.data));
        pack.row(`${op}: ${c.name} (${i})${backward ? ", gradient" : ""}`, { tolerance, want, most: MOST });
        using store = new Store(device);
        using program = compile({ store }, specs, build);
        program.run(feeds);
      }
  }
}

/** The CPU's bits: of normals, and of what a layer's noise makes of a mean of zero and a variance of one. */
function noise(pack: Pack, device: Device): void {
  for (const [shape, rows, samples] of [
    [[7], 5, 1],
    [[3, 5, 6], 4, 3],
    [[9, 2, 16], 3, 2],
    [[1031], 2, 1],
  ] as const) {
    pack.row(`noise: [${shape}], ${rows} rows, ${samples} samples`, { tolerance: 0 });
    using store = new Store(device);
    const i32 = (n: number) => ({ shape: [n], dtype: "i32" as const });
    using program = compile({ store }, { rng: i32(4), rows: i32(rows) }, (t) => ({
      y: gaussianNoise({ ...t, stream: 5, samples }, [...shape]),
    }));
    program.run({ rng: Int32Array.of(11, -7, 123456, 2), rows: Int32Array.from({ length: rows }, (_, i) => 977 * i) });
  }
  for (const channels of [4, 6, 33]) {
    pack.row(`noise: of a layer of ${channels} channels`, { tolerance: 0 });
    using store = new Store(device);
    const i32 = (n: number) => ({ shape: [n], dtype: "i32" as const });
    const specs = { x: [5, 3], mu: [3, channels], sigma2: [3, channels], biasMu: [channels], biasSigma2: [channels] };
    using program = compile({ store }, { ...specs, rng: i32(4), rows: i32(5) }, ({ x, rng, rows, ...weights }) => ({
      y: bayesLinear(x, weights, { rng, rows, stream: 2, samples: 1 }),
    }));
    program.run({
      ...{ x: new Float32Array(15), mu: new Float32Array(3 * channels), sigma2: new Float32Array(3 * channels) },
      ...{ biasMu: new Float32Array(channels), biasSigma2: new Float32Array(channels).fill(1) },
      ...{ rng: Int32Array.of(3, 4, 5, 6), rows: Int32Array.of(0, 9, 2, 7, 65_000) },
    });
  }
}

/** In float32 and in bfloat16, both as the CPU has them: its rounding is the device's. */
const precisions = [["fp32", ""], ["bf16", ", in bf16"]] as const; // biome-ignore format: short

function products(pack: Pack, device: Device): void {
  for (const [precision, how] of precisions)
    for (const [i, layer] of layers.entries())
      for (const samples of [0, 2]) {
        const { specs, feeds, build } = layerPrograms(layer, samples)[0];
        const name = `product${how}: ${layer.name} (${i}), ${samples ? "Bayesian" : "plain"}`;
        pack.row(name, { tolerance: 1e-4, most: MOST });
        using store = new Store(device);
        using program = compile({ store, precision }, specs, build);
        program.run(feeds);
      }
}

/** Training steps, one after the other on the device: loss, NLL and KL of all (who is right may turn by a last bit). */
function trainings(pack: Pack, device: Device): void {
  for (const [precision, how] of precisions)
    for (const bayesian of precision === "fp32" ? [true, false] : [true]) {
      const tolerance = precision === "fp32" ? 1e-4 : 1e-2;
      pack.row(`train${how}: 20 steps of ${bayesian ? "Bayesian" : "frequentist"} LeNet-5`, { tolerance, compared: 3 });
      using model = madeModel({ name: "lenet5", bayesian, device });
      using made = stepProgram(model, 16, adam(), precision);
      made.program.run(made.feeds, 20);
    }
}

/** A fault in the seventh of ten steps: the parameters are those of the sixth, and the sentence and the step are the CPU's. */
function faults(pack: Pack, device: Device): void {
  const faulty = (name: string, feeds: (all: Record<string, Float32Array | Int32Array | number>) => void) => {
    pack.row(`fault: ${name}`, { tolerance: 1e-4 });
    using model = madeModel({ name: "lenet5", bayesian: true, device });
    using made = stepProgram(model, 4, adam());
    const given = { ...made.feeds };
    feeds(given);
    try {
      made.program.run(given, 10);
    } catch {
      for (const name of model.store.slots.keys()) if (name.startsWith("conv1")) model.store.get(name);
      return;
    }
    throw new Error(`expected a fault: ${name}`);
  };
  const at = <T extends Float32Array | Int32Array>(all: T, value: number): T => {
    all[(6 * all.length) / 10] = value;
    return all;
  };
  faulty("a learning rate that is not finite", (f) => {
    f.lr = at(new Float32Array(10).fill(1e-3), Number.NaN);
  });
  faulty("an example that there is not", (f) => {
    f.index = at(
      Int32Array.from({ length: 40 }, (_, i) => i % 4),
      4,
    );
  });
  faulty("a KL weight that makes every gradient infinite", (f) => {
    f.klWeight = at(new Float32Array(10).fill(1e-4), Number.POSITIVE_INFINITY);
  });
}

/** The CPU, planning as for a device of cuda/device.cu. */
const like = (device: Device, { addon }: Pack): Device => ({
  ...device,
  joins: { activation: true, pooling: false },
  alignment: 256,
  addon,
});

export async function recordChecks(path: string, device: Device) {
  const pack = record(path, device.addon);
  const own = like(device, pack);
  noise(pack, own);
  await opRows(pack, own);
  products(pack, own);
  trainings(pack, own);
  faults(pack, own);
  return pack.close();
}

interface Workload {
  readonly batch: number;
  readonly size: number;
  readonly channels: number;
  readonly filters: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  readonly first?: boolean;
}

/** A Bayesian convolution of bench/layers.mjs, forward or with its gradients, with everything that it reads in the store. */
function layer(device: Device, w: Workload, batch: number, backward: boolean): void {
  using store = new Store(device);
  const kernel: Shape = [w.kernel, w.kernel, w.channels, w.filters];
  const slot = (name: string, shape: Shape, value: number) =>
    store.define(name, shape, { init: () => new Float32Array(sizeOf(shape)).fill(value) });
  slot("x", [batch, w.size, w.size, w.channels], 0.5);
  slot("mu", kernel, 0.01);
  slot("sigma2", kernel, 1e-4);
  slot("biasMu", [w.filters], 0.01);
  slot("biasSigma2", [w.filters], 1e-4);
  const i32 = (n: number) => ({ shape: [n], dtype: "i32" as const });
  using program = compile({ store }, { rng: i32(4), rows: i32(batch) }, ({ rng, rows }) => {
    const [x, mu, sigma2, biasMu, biasSigma2] = ["x", "mu", "sigma2", "biasMu", "biasSigma2"].map((n) =>
      store.tensor(n),
    );
    const noise = { rng, rows, stream: 3, samples: 1 };
    const y = bayesConv2d(x, { mu, sigma2, biasMu, biasSigma2 }, noise, { stride: w.stride, padding: w.padding });
    if (!backward) return { y: mean(y) } as Record<string, Tensor>;
    const wrt = w.first ? [mu, sigma2] : [x, mu, sigma2];
    return Object.fromEntries(grad(mean(square(y)), wrt).map((g, i) => [`d${i}`, mean(g)]));
  });
  program.run({ rng: Int32Array.of(1, 2, 3, 0), rows: Int32Array.from({ length: batch }, (_, i) => i) });
}

/** Nothing is compared; numbers that a training would have made are made up where it replays. */
export async function recordTimings(path: string, device: Device, quick = false) {
  const file = join(import.meta.dirname, "../../bench/layers.mjs");
  const { layers: workloads } = (await import(file)) as { layers: Readonly<Record<string, Workload>> };
  const pack = record(path, device.addon);
  const own = like(device, pack);
  const times = quick ? 1 : 20;
  for (const name of ["lenet5", "alexnet", "3conv3fc"])
    for (const bayesian of [true, false]) {
      pack.row(`step ${name}, ${bayesian ? "Bayesian" : "frequentist"}`, { times });
      using model = madeModel({ name, bayesian, device: own });
      using made = stepProgram(model, quick ? 2 : 256, adam());
      made.run();
    }
  for (const name of ["g1", "g2", "g3", "g4", "g5", "g6"])
    for (const backward of [false, true]) {
      pack.row(`layer ${name} ${backward ? "forward+backward" : "forward"}, Bayesian`, { times });
      layer(own, workloads[name], quick ? 2 : name === "g6" ? 32 : 256, backward);
    }
  return pack.close();
}

/**
 * The paper's generative adversarial net: a DCGAN on CIFAR-10 whose discriminator is Bayesian, and its twin, the same steps of each. The
 * paper shows a grid and no figure; here are distances, diversity, and what the discriminator thinks of real, made and strange pictures.
 */
import { join } from "node:path";
import { openModel } from "../checkpoints/open.ts";
import type { ClassDataset } from "../data/dataset.ts";
import { compile } from "../graph/compile.ts";
import { withTrace } from "../graph/trace.ts";
import { layerContext } from "../layers/scope.ts";
import { alexnet } from "../models/alexnet.ts";
import { kit } from "../models/kit.ts";
import { lenet5 } from "../models/lenet5.ts";
import { encodePng } from "../report/png.ts";
import { progress } from "../util/progress.ts";
import { frechetDistance, gaussianOf } from "./gan/frechet.ts";
import { Gan, type GanSettings, SHOWN } from "./gan/net.ts";
import type { Experiment, JsonObject, Unit, Work } from "./shared/experiment.ts";

export const gan: Experiment = {
  name: "gan",
  title: "Generative adversarial nets",
  summary: "a DCGAN on CIFAR-10 with a Bayesian discriminator, and its frequentist twin",
  units: ({ quick, seed }) => [true, false].map((bayesian) => unit(bayesian, quick, seed)),
};

/** A side of the grids that are shown, and how often one is made. */
const SIDE = 8;
const GRIDS = 4;

function unit(bayesian: boolean, quick: boolean, seed: number): Unit {
  const net: GanSettings = {
    bayesian,
    width: quick ? 8 : 32,
    codes: 100,
    batchSize: quick ? 16 : 64,
    learningRate: 2e-4,
    beta: 0.1,
    seed,
  };
  const steps = quick ? 24 : 4000;
  const classifier = quick ? "lenet5" : "alexnet";
  const features = `classification/cifar-10-${classifier}-bayesian-${seed}`;
  const settings = { ...net, data: "cifar-10", steps, classifier, pictures: quick ? 128 : 10_000 };
  return {
    name: `cifar-10-dcgan-${bayesian ? "bayesian" : "frequentist"}-${seed}`,
    settings: settings as unknown as JsonObject,
    needs: [features],
    minutes: quick ? 0.1 : bayesian ? 18 : 12,
    async run(work) {
      const { train, test } = await work.data("cifar-10");
      using net_ = new Gan(net, train.count);
      const curves = await trained(work, net_, train, steps);
      work.say("distances and what the discriminator thinks");
      const strange = (await work.data("cifar-100")).test;
      return {
        ...curves,
        ...(await distances(work, net_, test, features, classifier, settings.pictures)),
        opinions: opinions(net_, test, strange),
      };
    },
  };
}

/** Means over a stretch of steps. */
interface Point {
  readonly step: number;
  readonly discriminator: number;
  readonly generator: number;
  /** Shares of real and of made pictures that the discriminator takes for what they are. */
  readonly real: number;
  readonly made: number;
}

async function trained(work: Work, net: Gan, train: ClassDataset, steps: number) {
  const path = join(work.dir, "state.safetensors");
  const every = Math.max(1, Math.floor(steps / 40));
  const points: Point[] = JSON.parse(net.restore(path)?.points ?? "[]");
  const bar = progress("steps", steps, { silent: !work.progress });
  let sums = { discriminator: 0, generator: 0, real: 0, made: 0 };
  try {
    while (net.step < steps) {
      const now = await net.train(train);
      for (const key of Object.keys(sums) as (keyof typeof sums)[]) sums[key] += now[key] / every;
      bar.update(net.step, { discriminator: now.discriminator, generator: now.generator });
      if (net.step % every !== 0) {
        // means are over whole stretches: a stop falls back to the last one
        work.signal.throwIfAborted();
        continue;
      }
      points.push({ step: net.step, ...sums });
      if (sums.real > 0.99 && sums.made > 0.99)
        work.say(`step ${net.step}: the discriminator knows every picture; the generator may have collapsed`);
      sums = { discriminator: 0, generator: 0, real: 0, made: 0 };
      if (net.step % Math.floor(steps / GRIDS) === 0) work.file(`${net.step}.png`, grid(net));
      net.save(path, { points: JSON.stringify(points) });
      work.signal.throwIfAborted();
    }
  } finally {
    bar.stop();
  }
  work.file(`${steps}.png`, grid(net));
  const curve = (key: keyof Point) => points.map((p) => Number(p[key].toPrecision(5)));
  return {
    curves: {
      step: curve("step"),
      discriminator: curve("discriminator"),
      generator: curve("generator"),
      real: curve("real"),
      made: curve("made"),
    },
  };
}

const toByte = (v: number): number => Math.round(127.5 * (Math.min(1, Math.max(-1, v)) + 1));

/** SIDE x SIDE pictures of the same codes each time, as PNG. */
function grid(net: Gan): Uint8Array {
  const pictures = net.pictures(net.codes(SHOWN, SIDE * SIDE));
  const pixels = new Uint8Array(SIDE * SIDE * 3072);
  for (let i = 0; i < SIDE * SIDE; i++)
    for (let y = 0; y < 32; y++) {
      const row = ((Math.floor(i / SIDE) * 32 + y) * SIDE + (i % SIDE)) * 96;
      for (let x = 0; x < 96; x++) pixels[row + x] = toByte(pictures[i * 3072 + y * 96 + x]);
    }
  return encodePng(pixels, 32 * SIDE, 32 * SIDE, 3);
}

const CHUNK = 64;

/** Frechet distance of made pictures, and of as many training-like real ones, to the test images, on a classifier's features; diversity. */
async function distances(
  work: Work,
  net: Gan,
  test: ClassDataset,
  unit: string,
  classifier: string,
  count: number,
): Promise<JsonObject> {
  using model = openModel(join(work.dirOf(unit), "run"));
  const layers = { ...kit(), head: (h: never) => h };
  const build = classifier === "alexnet" ? alexnet : lenet5;
  const { scale, shift } = model.preprocess!;
  const program = compile({ store: model.store }, { x: [CHUNK, 32, 32, 3] }, (t) => ({
    y: withTrace({ store: model.store, mode: "mean", context: layerContext({ bayes: model.bayes }) }, () =>
      build(t.x, layers, 10),
    ).value,
  }));
  const d = program.outputs.get("y")!.shape[1];
  const n = Math.floor(count / CHUNK) * CHUNK;
  /** Features of pictures given as bytes, a chunk at a time. */
  const features = (chunk: (from: number) => ArrayLike<number>): Float32Array => {
    const all = new Float32Array(n * d);
    for (let from = 0; from < n; from += CHUNK) {
      work.signal.throwIfAborted();
      const x = Float32Array.from(chunk(from), (v, i) => v * scale[i % 3] + shift[i % 3]);
      all.set(program.run({ x }).y as Float32Array, from * d);
    }
    return all;
  };
  try {
    const real = (from: number) =>
      Array.from({ length: CHUNK * 3072 }, (_, p) => test.images[(from * 3072 + p) % test.images.length]);
    const made = (from: number) => Array.from(net.pictures(net.codes(SHOWN - 1 - from, CHUNK)), toByte);
    const [ofReal, ofMade] = [features(real), features(made)];
    const half = (rows: Float32Array, which: number) => rows.subarray((which * n * d) / 2, ((which + 1) * n * d) / 2);
    return {
      frechet: round(frechetDistance(gaussianOf(ofReal, d), gaussianOf(ofMade, d))),
      // two halves of the real ones: the distance that is none
      frechetOfReal: round(frechetDistance(gaussianOf(half(ofReal, 0), d), gaussianOf(half(ofReal, 1), d))),
      diversity: round(pairwise(made(0)) / pairwise(real(0))),
      pictures: n,
    };
  } finally {
    program.close();
  }
}

const round = (x: number): number => Number(x.toPrecision(5));

/** Mean distance of neighbours in a chunk of pictures: near 0 where a generator has collapsed. */
function pairwise(pictures: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i + 1 < CHUNK; i++) {
    let squares = 0;
    for (let p = 0; p < 3072; p++) squares += (pictures[i * 3072 + p] - pictures[(i + 1) * 3072 + p]) ** 2;
    sum += Math.sqrt(squares / 3072) / (CHUNK - 1);
  }
  return sum;
}

const SAMPLES = 32;

/** Mean probability of "real", and its variance between (epistemic) and within (aleatoric) the samples, of each kind of picture. */
function opinions(net: Gan, test: ClassDataset, strange: ClassDataset): JsonObject {
  const own = (data: ClassDataset) => Float32Array.from(data.images.subarray(0, CHUNK * 3072), (v) => v / 127.5 - 1);
  const noise = net.codes(SHOWN - 1, CHUNK * 31).map((v) => Math.max(-1, Math.min(1, 0.5 * v)));
  const kinds = {
    real: own(test),
    made: net.pictures(net.codes(SHOWN, CHUNK)),
    [strange.name]: own(strange),
    noise: noise.subarray(0, CHUNK * 3072),
  };
  return Object.fromEntries(
    Object.entries(kinds).map(([name, pictures]) => {
      const p = net.logits(pictures, SAMPLES).map((logit) => 1 / (1 + Math.exp(-logit)));
      let [mean, epistemic, aleatoric] = [0, 0, 0];
      for (let i = 0; i < CHUNK; i++) {
        const own = Array.from(p).filter((_, k) => k % CHUNK === i);
        const m = own.reduce((a, b) => a + b) / own.length;
        mean += m / CHUNK;
        epistemic += own.reduce((sum, v) => sum + (v - m) ** 2, 0) / own.length / CHUNK;
        aleatoric += own.reduce((sum, v) => sum + v * (1 - v), 0) / own.length / CHUNK;
      }
      return [name, { probability: round(mean), epistemic: round(epistemic), aleatoric: round(aleatoric) }];
    }),
  );
}

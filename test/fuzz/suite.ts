// The fuzzing tests, a few times (test/cpu/fuzz.test.ts) or often (test/slow/fuzz.test.ts, npm run fuzz). FC_SEED=<number>
// looks elsewhere, FUZZ=<number> so many times as often; a failure prints the seed, and the smallest case found.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeDataset } from "../../lib/data/dataset.ts";
import type { Model } from "../../lib/models/model.ts";
import { exportModes, exportOnnx } from "../../lib/onnx/export.ts";
import { evaluate, predict } from "../../lib/predict/predict.ts";
import { prune } from "../../lib/prune/prune.ts";
import { fit } from "../../lib/train/fit.ts";
import { adam, sgd } from "../../lib/train/optimizers.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { build } from "../built.ts";
import { cli, temporaryFolder } from "../cli-capture.ts";
import { squares, tinyBayes } from "../cpu/train-kit.ts";
import { onlyAsync } from "../hostile.ts";
import { batch } from "./batch.ts";
import { damaged, damages } from "./mutate.ts";
import { type Reader, readers } from "./readers.ts";

const seed = Number(process.env.FC_SEED ?? 20261124);
const times = Number(process.env.FUZZ ?? 1);

/** What has been tried, for tries(). */
export interface Counts {
  programs: number;
  files: number;
  options: number;
}

/**
 * Registers the tests.
 * @param programs in all, `files` damaged ones for each reader, and sets of `options`
 * @param counted is called after each test
 */
export function fuzz(counts: Counts, counted: (what: keyof Counts, n: number) => void = () => {}): void {
  const scaled = (n: number): number => Math.ceil(n * times);
  const often = { programs: scaled(counts.programs), files: scaled(counts.files), options: scaled(counts.options) };
  const timeout = 60_000 + 1_200_000 * times;

  describe(`random programs, seed ${seed}`, () => {
    beforeAll(build, 300_000);
    it(`${often.programs}: the same bits on any number of threads, off the event loop, and node by node`, {
      timeout,
    }, async () => {
      const size = 100;
      const taken: Record<string, number> = {};
      const sizes = Array.from({ length: Math.ceil(often.programs / size) }, (_, i) =>
        Math.min(size, often.programs - i * size),
      );
      let next = 0;
      let ran = 0;
      const line = async (): Promise<void> => {
        for (let i = next++; i < sizes.length; i = next++) {
          const { tally, taken: some } = await batch(seed + i, sizes[i]);
          ran += tally.ran;
          for (const [name, n] of Object.entries(some)) taken[name] = (taken[name] ?? 0) + n;
        }
      };
      await Promise.all([line(), line()]);
      expect(ran).toBeGreaterThan(0.8 * often.programs); // else the generator makes nonsense
      if (often.programs >= 200) expect(Object.keys(taken).filter((name) => taken[name] === 0)).toEqual([]);
      counted("programs", often.programs);
    });
  });

  describe(`damaged files, seed ${seed}`, async () => {
    const folder = temporaryFolder();
    const data = join(folder, "data/mnist");
    const run = join(folder, "run");
    mkdirSync(data, { recursive: true });
    for (const [part, count] of [
      ["train", 40],
      ["t10k", 20],
    ] as const) {
      const head = (...words: number[]) =>
        Buffer.from(new Uint8Array(words.flatMap((w) => [w >>> 24, w >>> 16, w >>> 8, w])));
      const pixels = Uint8Array.from({ length: count * 64 }, (_, i) => (i * 37) & 255);
      writeFileSync(join(data, `${part}-images-idx3-ubyte`), Buffer.concat([head(0x803, count, 8, 8), pixels]));
      const labels = Uint8Array.from({ length: count }, (_, i) => i % 10);
      writeFileSync(join(data, `${part}-labels-idx1-ubyte`), Buffer.concat([head(0x801, count), labels]));
    }
    const made = await cli(
      ...[
        "train",
        "--data",
        "mnist",
        "--data-dir",
        join(folder, "data"),
        "--epochs",
        "1",
        "--batch",
        "10",
        "--out",
        run,
      ],
      ...["--test-samples", "2", "--json"],
    );
    if (made.code !== 0) throw new Error(made.stderr);
    const { all, model } = await readers(folder, run);
    afterAll(() => model.close());

    for (const [name, reader] of Object.entries(all))
      it(name, { timeout }, async () => {
        const tally = { worked: 0, refused: 0 };
        writeFileSync(reader.path, reader.bytes);
        await reader.read(reader.path); // the good one
        try {
          await fc.assert(
            fc.asyncProperty(damages, async (all) => {
              writeFileSync(reader.path, damaged(reader.bytes, all));
              tally[await attempt(reader)]++;
            }),
            { numRuns: often.files },
          );
        } finally {
          writeFileSync(reader.path, reader.bytes);
        }
        if (!reader.lenient) expect(tally.refused, "damage is seen").toBeGreaterThan(0);
        counted("files", often.files);
      });
  });

  describe(`options, seed ${seed}`, () => {
    const train = squares(24);
    const valid = squares(12, 2);
    // the first value, or now and then another one, good or bad
    const of = (first: unknown, ...others: readonly unknown[]) =>
      fc.oneof(
        { arbitrary: fc.constant(first), weight: 6 },
        { arbitrary: fc.constantFrom(first, ...others), weight: 1 },
      );
    const some = (kinds: Record<string, fc.Arbitrary<unknown>>) => fc.record(kinds, { requiredKeys: [] });
    const samples = of(1, 2, 3, 0, 1.5, -1, 70000);
    const signals = of(undefined, AbortSignal.abort(), new AbortController().signal);
    const kinds: Record<string, [fc.Arbitrary<object>, (model: Model, options: never) => Promise<unknown>]> = {
      fit: [
        some({
          epochs: of(1, 2, 0, -1, 1.5),
          batchSize: of(1, 5, 8, 24, 25, 0, 2 ** 31),
          dropLast: fc.boolean(),
          optimizer: of(adam(), sgd(), sgd({ momentum: 0.9 })),
          learningRate: of(0.01, 0, -1, 1e30, Number.NaN),
          beta: of(0, 1, 0.1, -1, 1e30),
          samples,
          seed: of(0, 1, 2 ** 53 - 1, 2 ** 53, -1),
          precision: of("fp32", "bf16", "f32"),
          clipNorm: of(1, 0, 1e-30, -1),
          augment: of({}, { shift: 2, flip: true }, { rotate: 400 }, { mixup: 0.2 }, { cutout: 99 }),
          exampleWeights: of(new Float32Array(24).fill(1), new Float32Array(3), new Float32Array(24)),
          validateEvery: of(1, 2, 0),
          earlyStopping: of({ patience: 1 }, { patience: -1 }),
          restoreBest: fc.boolean(),
          checkpoint: of({ epochs: 1 }, { steps: 0 }),
          bestCheckpoint: fc.boolean(),
          resume: fc.boolean(),
          signal: signals,
          chunk: of(1, 3, 0, 2 ** 31),
        }),
        (model, options) => fit(model, { train, valid }, { epochs: 1, ...(options as object) }),
      ],
      predict: [
        some({
          samples,
          seed: of(0, 5, -1),
          mode: of("mean", "sample", "median"),
          maxBatch: of(1, 7, 0, 1e9),
          precision: of("bf16", "x"),
          signal: signals,
        }),
        (model, options) => predict(model, train, options),
      ],
      evaluate: [
        some({ samples, seed: of(0, 5), bins: of(1, 15, 0) }),
        (model, options) => evaluate(model, train, options),
      ],
      prune: [
        some({
          sparsity: of(0, 0.5, 0.99, 1, -0.1, 2),
          score: of("magnitude", "snr", "kl", "other"),
          scope: of("global", "layer", "x"),
          allowEmpty: fc.boolean(),
        }),
        async (model, options) => prune(model, options),
      ],
      exportOnnx: [
        some({
          mode: fc.constantFrom(...exportModes, "other"),
          samples: of(1, 4, 0, 1.5),
          seed: of(0, 1),
        }),
        async (model, options) => exportOnnx(model, options),
      ],
      makeDataset: [
        some({
          images: of(
            new Uint8Array(48),
            new Float32Array(48),
            new Float32Array(48).fill(Number.NaN),
            new Uint8Array(47),
          ),
          labels: of([0, 1, 0], [0, 1], [0, 1, 5], Int32Array.of(0, 1, 1), ["a", "b", "a"]),
          shape: of([4, 4, 1], [4, 4], [2, 2, 4], [48, 1, 1]),
          classes: of(2, 6, ["a", "b"], ["a", "a"], 1),
        }),
        async (_model, options) => makeDataset(options),
      ],
    };
    for (const [name, [options, call]] of Object.entries(kinds))
      it(name, { timeout }, async () => {
        const tally = { worked: 0, refused: 0 };
        await fc.assert(
          fc.asyncProperty(options, async (given) => {
            using model = tinyBayes();
            const aborted = (error: unknown) => error instanceof DOMException && error.name === "AbortError";
            const outcome = await onlyAsync(async () => {
              try {
                await call(model, given as never);
              } catch (error) {
                if (!aborted(error)) throw error;
              }
            });
            tally[outcome]++;
          }),
          { numRuns: often.options },
        );
        expect(tally.worked).toBeGreaterThan(0);
        expect(tally.refused).toBeGreaterThan(0);
        counted("options", often.options);
      });
  });
}

/** Reads a damaged file: it may work or be refused, soon and with little memory, and nothing has changed when refused. */
async function attempt(reader: Reader): Promise<"worked" | "refused"> {
  const before = JSON.stringify(reader.state?.());
  const start = process.cpuUsage();
  const largest = process.resourceUsage().maxRSS;
  let outcome: "worked" | "refused" = "worked";
  try {
    await reader.read(reader.path);
  } catch (error) {
    if (!(error instanceof BayesError)) throw error;
    expect(error.message).toMatch(/^\[.+\] \S[^\n]*$/s);
    expect(["ERR_BAYES_FILE", "ERR_BAYES_DATA"], `${error.code}: ${error.message}`).toContain(error.code);
    if (reader.state) expect(JSON.stringify(reader.state()) === before, "all is as it was").toBe(true);
    outcome = "refused";
  }
  const { user, system } = process.cpuUsage(start);
  expect(user + system, "microseconds").toBeLessThan(5e6);
  expect(process.resourceUsage().maxRSS - largest, "KiB more").toBeLessThan(500 * 1024);
  return outcome;
}

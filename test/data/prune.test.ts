// A LeNet-5 on all of MNIST, pruned to 90 % in three rounds and fine-tuned after each. Needs the data folder (BAYESCNN_DATA, else ../shared/data).
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { loadData } from "../../lib/data/locate.ts";
import { split } from "../../lib/data/split.ts";
import { createModel } from "../../lib/models/create.ts";
import { pruneExperiment } from "../../lib/prune/pruneExperiment.ts";
import { fit } from "../../lib/train/fit.ts";
import { cosineRate } from "../../lib/train/schedules.ts";

const root = process.env.BAYESCNN_DATA || resolve(import.meta.dirname, "../../../shared/data");
const there = existsSync(join(root, "mnist"));
if (!there) console.log(`skipped: no mnist in ${root}`);

describe.skipIf(!there)("a LeNet-5 pruned to 90 %", () => {
  it("is within 0.3 points of its accuracy after fine-tuning", { timeout: 600_000 }, async () => {
    const { train, test } = await loadData("mnist", root);
    const { train: rest } = split(train, { train: 55_000, valid: 5000 }, 1);
    using model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, seed: 1 });
    const recipe = { batchSize: 128, beta: 0.1, learningRate: cosineRate(2e-3), seed: 1 };
    const start = performance.now();
    await fit(model, { train: rest }, { ...recipe, epochs: 4 });
    const { row, report } = await pruneExperiment(
      model,
      { train: rest, test },
      {
        sparsity: 0.9,
        rounds: 3,
        fineTune: { ...recipe, epochs: 1 },
        predict: { samples: 8 },
      },
    );
    console.log(JSON.stringify({ ...row, layers: report.layers, seconds: (performance.now() - start) / 1000 }));
    expect(row.sparsity).toBeGreaterThanOrEqual(0.9);
    expect(row.before.accuracy).toBeGreaterThan(0.985);
    expect(row.fineTuned!.accuracy).toBeGreaterThanOrEqual(row.before.accuracy - 0.003);
  });
});

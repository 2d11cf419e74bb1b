// Which pictures are worth a label? Those about which the model's samples disagree most: the mutual information between the
// label and the weights (BALD, Houlsby et al. 2011; Gal et al. 2017). Compared with pictures taken at random.
//
//     node examples/active-learning/main.mjs        about a minute; QUICK=1: two small rounds
import { createModel, embeddedMnist, evaluate, fit, predict, subset } from "bayescnn";

const quick = process.env.QUICK === "1";
const [rounds, each, seeds, steps] = quick ? [2, 20, 1, 40] : [5, 20, 3, 200];
const { train, test: all } = embeddedMnist();
const first = (data, count) =>
  subset(
    data,
    Array.from({ length: count }, (_, i) => i),
  );
const pool = first(train, quick ? 200 : 1000); // their labels count as unknown until they are asked for
const test = first(all, quick ? 200 : 500);

/** A model trained on the pictures that have a label so far; every round begins anew. */
async function learn(labelled, seed) {
  const model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, seed });
  const batchSize = Math.min(32, labelled.length);
  const epochs = Math.ceil(steps / Math.ceil(labelled.length / batchSize));
  await fit(model, { train: subset(pool, labelled) }, { epochs, batchSize, seed, beta: 0.01 });
  return model;
}

const results = { random: Array(rounds).fill(0), "mutual information": Array(rounds).fill(0) };
for (const [name, accuracies] of Object.entries(results)) {
  for (let seed = 1; seed <= seeds; seed++) {
    const random = generator(seed);
    // both begin with the same pictures
    let unlabelled = Array.from({ length: pool.count }, (_, image) => ({ image, score: random() }));
    const labelled = [];
    for (let round = 0; round < rounds; round++) {
      unlabelled.sort((a, b) => b.score - a.score);
      labelled.push(...unlabelled.splice(0, each).map(({ image }) => image));
      const model = await learn(labelled, seed);
      const { metrics } = await evaluate(model, test, { samples: 16 });
      accuracies[round] += metrics.accuracy / seeds;
      const candidates = unlabelled.map(({ image }) => image);
      const { mutualInformation } = await predict(model, subset(pool, candidates), { samples: 16 });
      unlabelled = candidates.map((image, i) => ({
        image,
        score: name === "random" ? random() : mutualInformation[i],
      }));
      model.close();
    }
  }
}

console.log(`accuracy on ${test.count} test digits, mean of ${seeds} seed${seeds > 1 ? "s" : ""}`);
console.log(["labels", ...Object.keys(results)].join("\t"));
for (let round = 0; round < rounds; round++) {
  const row = Object.values(results).map((accuracies) => `${(100 * accuracies[round]).toFixed(1)} %`);
  console.log([(round + 1) * each, ...row].join("\t"));
}

/** Uniform numbers that are the same in each run (mulberry32). */
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

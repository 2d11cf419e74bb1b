// A prior of one's own, and a KL term that is let in slowly. A prior is a name and a log density; its KL is then sampled.
//
//     node examples/warm-up-and-prior/main.mjs        QUICK=1: fewer digits
import {
  bayesConv2d,
  bayesLinear,
  categorical,
  embeddedMnist,
  evaluate,
  fit,
  flatten,
  gaussianPrior,
  Model,
  maxPool2d,
  relu,
  split,
} from "bayescnn";
import { ops } from "bayescnn/graph";
import { warmUpBeta } from "bayescnn/train";

/** ln p(w) = -|w| / b - ln(2 b): sharper at zero than a Gaussian, and with heavier tails. A pruned weight (mask 0) adds nothing. */
function laplacePrior(b) {
  return {
    name: `laplace(${b})`,
    logDensity(w, _mu, _weight, mask) {
      const each = ops.scale(ops.abs(w), -1 / b, -Math.log(2 * b));
      return ops.sum(mask ? ops.mul(each, mask) : each);
    },
    moments: () => ({ mean: 0, sigma: Math.SQRT2 * b }), // where pruned weights go back to
  };
}

function build(x) {
  x = maxPool2d(relu(bayesConv2d(x, 8, 5, { name: "conv1", padding: "same" })), { kernel: 4 });
  x = relu(bayesLinear(flatten(x), 64, { name: "hidden" }));
  return bayesLinear(x, 10, { name: "classifier" });
}

const quick = process.env.QUICK === "1";
const { train: all, test } = embeddedMnist();
const { train, valid } = split(all, quick ? { train: 640, valid: 160 } : { train: 5000, valid: 1000 }, 1);

const runs = [
  { prior: gaussianPrior({ sigma: 0.1 }), beta: 1 },
  { prior: gaussianPrior({ sigma: 0.1 }), beta: warmUpBeta(0.5, 1) }, // from 0 to 1 over the first half of training
  { prior: laplacePrior(0.05), beta: 1 },
  { prior: laplacePrior(0.05), beta: warmUpBeta(0.5, 1) },
];
console.log(`one run each on ${train.count} digits, the evidence lower bound (beta 1) at the end`);
for (const { prior, beta } of runs) {
  const model = new Model({ name: "small", input: [28, 28, 1], likelihood: categorical(10), build, bayes: { prior } });
  const { history } = await fit(
    model,
    { train, valid },
    { epochs: quick ? 2 : 12, beta, batchSize: 64, learningRate: 0.003 },
  );
  const { metrics } = await evaluate(model, test, { samples: 16 });
  const schedule = typeof beta === "number" ? `beta ${beta}` : beta.name;
  const kl = (history.at(-1)?.kl ?? 0) / train.count;
  console.log(
    `${prior.name}, ${schedule}: accuracy ${(100 * metrics.accuracy).toFixed(1)} %, NLL ${metrics.nll.toFixed(3)}, KL ${kl.toFixed(3)} nats an example`,
  );
  model.close();
}

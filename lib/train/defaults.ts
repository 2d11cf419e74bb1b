/**
 * The recipe of a training run when nothing is said, in one place: the command line and `npm start` read it, and so does
 * the documentation.
 */
export const defaults = {
  model: "lenet5",
  data: "mnist",
  epochs: 20,
  batchSize: 128,
  optimizer: "adam",
  learningRate: 2e-3,
  /** See {@link file://./schedules.ts}; the rate falls along a half cosine to zero. */
  schedule: "cosine",
  /** Weight of the KL term, as `parseBeta` reads it. 1 is the ELBO; below 1 the posterior is tempered. */
  beta: "0.1",
  /** Monte-Carlo samples per training step, per validation and per test. */
  samples: 1,
  validationSamples: 4,
  testSamples: 32,
  precision: "fp32",
  posterior: "rho",
  prior: "gaussian",
  estimator: "local",
  kl: "closed",
  bias: "bayesian",
} as const;

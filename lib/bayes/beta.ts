import { checkNumber, fail } from "../util/errors.ts";
import { parseNumber } from "../util/number.ts";

/** Where training stands; steps count from 0. */
export interface BetaMoment {
  readonly step: number;
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
}

/** The weight beta of the KL term over training. The loss is mean NLL + (beta / N) KL, so beta = 1 is the ELBO. */
export interface BetaSchedule {
  /** Printed with every run. */
  readonly name: string;
  at(moment: BetaMoment): number;
}

/**
 * Constant beta. 1 is the evidence lower bound; below 1 tempers the posterior ("cold posterior", Wenzel et al. 2020):
 * beta is its temperature where the likelihood keeps temperature 1.
 */
export function constantBeta(beta = 1): BetaSchedule {
  checkNumber("constantBeta", "beta", beta, 0);
  return Object.freeze({ name: `constant(${beta})`, at: () => beta });
}

/**
 * Blundell et al. 2015, eq. 9 (pi_i = 2^(M-i) / (2^M - 1), i = 1..M minibatches an epoch), times M so that its mean over
 * an epoch is 1: the first minibatches feel the prior, the last ones the data. Computed as M 2^-i / (1 - 2^-M), which
 * cannot overflow.
 */
export function blundellBeta(): BetaSchedule {
  return Object.freeze<BetaSchedule>({
    name: "blundell",
    at: ({ step, stepsPerEpoch: m }) => (m * 2 ** -((step % m) + 1)) / (1 - 2 ** -m),
  });
}

/** Soenderby et al. 2016 (warm-up): grows linearly from 0 to `beta` over the first `share` of training, then stays. */
export function warmUpBeta(share = 0.25, beta = 1): BetaSchedule {
  return ramp("warmUp", share, beta, (x) => x);
}

/** Annealing along a half cosine from 0 to `beta` over the first `share` of training. */
export function cosineBeta(share = 0.5, beta = 1): BetaSchedule {
  return ramp("cosine", share, beta, (x) => (1 - Math.cos(Math.PI * x)) / 2);
}

function ramp(name: string, share: number, beta: number, shape: (x: number) => number): BetaSchedule {
  checkNumber(`${name}Beta`, "the share of training", share, 0, 1);
  checkNumber(`${name}Beta`, "beta", beta, 0);
  return Object.freeze<BetaSchedule>({
    name: `${name}(${share}, ${beta})`,
    at: ({ step, totalSteps }) => {
      const length = share * totalSteps;
      return step >= length ? beta : beta * shape(step / length);
    },
  });
}

/** From the command line or a configuration: "0.1", "blundell", "warmup:0.25", "cosine:0.5:1". */
export function parseBeta(text: string): BetaSchedule {
  if (typeof text !== "string" || text.length > 200) fail("beta", "a short text", text);
  const [kind, ...rest] = text.split(":");
  const alone = parseNumber(kind);
  if (alone !== undefined && rest.length === 0) return constantBeta(alone);
  const numbers = rest.slice(0, 3).flatMap((x) => parseNumber(x) ?? []);
  if (numbers.length === rest.length) {
    if (kind === "blundell" && rest.length === 0) return blundellBeta();
    if (kind === "warmup" && rest.length <= 2) return warmUpBeta(...numbers);
    if (kind === "cosine" && rest.length <= 2) return cosineBeta(...numbers);
  }
  return fail("beta", 'a number, "blundell", "warmup[:share[:beta]]" or "cosine[:share[:beta]]"', text);
}

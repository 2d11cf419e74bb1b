/**
 * Learning-rate schedules: pure functions of the step, so a resumed run needs none of them saved. The one that listens
 * to validation keeps its memory in the training run's checkpoint, not in itself.
 */
import type { BetaMoment } from "../bayes/beta.ts";
import type { PlateauMemory } from "../checkpoints/state.ts";
import { checkInt, checkNumber, checkOptions, fail } from "../util/errors.ts";
import { parseNumber } from "../util/number.ts";

export interface LearningRate {
  /** Printed with every run, and compared when one is resumed. */
  readonly name: string;
  /** The rate of one step; steps count from 0. */
  at(moment: BetaMoment, memory?: PlateauMemory): number;
  /** Takes in the value of one validation (lower is better). Absent: the schedule does not listen. */
  learn?(memory: PlateauMemory | undefined, value: number): PlateauMemory;
}

const checkRate = (where: string, rate: number): number => checkNumber(where, "the learning rate", rate, 0);

/** The same rate in every step. */
export function constantRate(rate: number): LearningRate {
  checkRate("constantRate", rate);
  return Object.freeze({ name: `constant(${rate})`, at: () => rate });
}

/** rate * factor^floor(epoch / every): lowered by `factor` every `every` epochs. */
export function stepRate(rate: number, every: number, factor = 0.1): LearningRate {
  checkRate("stepRate", rate);
  checkInt("stepRate", "the number of epochs", every, 1);
  checkNumber("stepRate", "the factor", factor, 0, 1);
  return Object.freeze<LearningRate>({
    name: `step(${rate}, ${every}, ${factor})`,
    at: ({ step, stepsPerEpoch }) => rate * factor ** Math.floor(step / (stepsPerEpoch * every)),
  });
}

/** Along a half cosine from `rate` in the first step towards `last` after the final one (Loshchilov and Hutter 2017). */
export function cosineRate(rate: number, last = 0): LearningRate {
  checkRate("cosineRate", rate);
  checkNumber("cosineRate", "the last rate", last, 0, rate);
  return Object.freeze<LearningRate>({
    name: `cosine(${rate}, ${last})`,
    at: ({ step, totalSteps }) => last + ((rate - last) * (1 + Math.cos(Math.PI * Math.min(1, step / totalSteps)))) / 2,
  });
}

/**
 * Another schedule, multiplied by a factor that grows linearly to 1 over the first `epochs` epochs (a fraction will do).
 * Its clock is not shifted: the cosine below starts at step 0 and ends with training, whatever the warm-up.
 */
export function warmUpRate(epochs: number, then: LearningRate): LearningRate {
  if (typeof then?.at !== "function") fail("warmUpRate", "another schedule to follow", then);
  checkNumber("warmUpRate", "the number of epochs", epochs, 0);
  const { learn } = then;
  return Object.freeze<LearningRate>({
    ...(learn ? { learn: (memory, value) => learn.call(then, memory, value) } : {}),
    name: `warmUp(${epochs}, ${then.name})`,
    at: (moment, memory) =>
      then.at(moment, memory) * Math.min(1, (moment.step + 1) / Math.max(1, epochs * moment.stepsPerEpoch)),
  });
}

export interface PlateauOptions {
  /** Default 0.1. */
  readonly factor?: number;
  /** Default 3. */
  readonly patience?: number;
  /** Default 0. */
  readonly least?: number;
  /** Default 0. */
  readonly margin?: number;
}

/**
 * Lowered by `factor` when `patience` validations in a row have not beaten the best one by more than `margin`; never
 * below `least`. Listens to the figure that training monitors.
 */
export function plateauRate(rate: number, options: PlateauOptions = {}): LearningRate {
  const {
    factor = 0.1,
    patience = 3,
    least = 0,
    margin = 0,
  } = checkOptions("plateauRate", options, { factor: "number", patience: "number", least: "number", margin: "number" });
  checkRate("plateauRate", rate);
  checkNumber("plateauRate", "the factor", factor, 0, 1);
  checkInt("plateauRate", "the patience", patience, 1);
  checkNumber("plateauRate", "the least rate", least, 0, rate);
  checkNumber("plateauRate", "the margin", margin, 0);
  return Object.freeze<LearningRate>({
    name: `plateau(${rate}, ${factor}, ${patience}, ${least}, ${margin})`,
    at: (_, memory) => Math.max(least, rate * factor ** (memory?.drops ?? 0)),
    learn(memory, value) {
      if (!memory) return { best: value, waited: 0, drops: 0 };
      if (value < memory.best - margin) return { ...memory, best: value, waited: 0 };
      const waited = memory.waited + 1;
      return waited < patience ? { ...memory, waited } : { ...memory, waited: 0, drops: memory.drops + 1 };
    },
  });
}

/**
 * From the command line or a configuration: "0.001", "cosine:0.001[:last]", "step:0.001:every[:factor]",
 * "plateau:0.001[:factor[:patience]]", and "warmup:epochs:" before any of them.
 */
export function parseRate(text: string): LearningRate {
  const expected =
    'a number, "cosine:rate[:last]", "step:rate:every[:factor]", "plateau:rate[:factor[:patience]]", or "warmup:epochs:" before one';
  if (typeof text !== "string" || text.length > 200) return fail("learning rate", expected, text);
  const [kind, ...rest] = text.split(":");
  if (kind === "warmup" && rest.length >= 2 && rest[1] !== "warmup") {
    const epochs = parseNumber(rest[0]);
    if (epochs !== undefined) return warmUpRate(epochs, parseRate(rest.slice(1).join(":")));
  }
  const alone = parseNumber(kind);
  if (alone !== undefined && rest.length === 0) return constantRate(alone);
  const values = rest.slice(0, 4).map(parseNumber);
  if (values.includes(undefined)) return fail("learning rate", expected, text);
  const [rate, second, third] = values as number[];
  if (kind === "cosine" && (rest.length === 1 || rest.length === 2)) return cosineRate(rate, second);
  if (kind === "step" && (rest.length === 2 || rest.length === 3)) return stepRate(rate, second, third);
  if (kind === "plateau" && rest.length >= 1 && rest.length <= 3) {
    return plateauRate(rate, { factor: second, patience: third });
  }
  return fail("learning rate", expected, text);
}

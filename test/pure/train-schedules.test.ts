import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { PlateauMemory } from "../../lib/checkpoints/state.ts";
import {
  constantRate,
  cosineRate,
  type LearningRate,
  parseRate,
  plateauRate,
  stepRate,
  warmUpRate,
} from "../../lib/train/schedules.ts";

const rates = (schedule: LearningRate, totalSteps: number, stepsPerEpoch: number) =>
  Array.from({ length: totalSteps }, (_, step) => schedule.at({ step, stepsPerEpoch, totalSteps }));

describe("learning-rate schedules", () => {
  it("constant is constant", () => {
    expect(rates(constantRate(0.1), 4, 2)).toEqual([0.1, 0.1, 0.1, 0.1]);
  });

  it("step lowers every so many epochs", () => {
    expect(rates(stepRate(1, 2, 0.5), 12, 2)).toEqual([1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]);
  });

  it("cosine starts at the rate, is halfway at half, and comes close to the last rate", () => {
    const r = rates(cosineRate(1, 0.2), 100, 10);
    expect(r[0]).toBe(1);
    expect(r[50]).toBeCloseTo(0.6, 12);
    expect(r[99]).toBeGreaterThan(0.2);
    expect(r[99]).toBeLessThan(0.2003);
    for (let i = 1; i < 100; i++) expect(r[i]).toBeLessThan(r[i - 1]);
  });

  it("warm-up grows linearly and then leaves the other schedule alone", () => {
    expect(rates(warmUpRate(1, constantRate(8)), 6, 4)).toEqual([2, 4, 6, 8, 8, 8]);
    const [plain, warm] = [rates(cosineRate(1), 20, 4), rates(warmUpRate(0.5, cosineRate(1)), 20, 4)];
    expect(warm.slice(1)).toEqual(plain.slice(1));
    expect(warm[0]).toBe(plain[0] / 2);
    expect(rates(warmUpRate(0, constantRate(3)), 2, 4)).toEqual([3, 3]);
  });

  it("plateau lowers after `patience` validations without progress, also through a warm-up", () => {
    const schedule = warmUpRate(0, plateauRate(1, { factor: 0.5, patience: 2, least: 0.25 }));
    let memory: PlateauMemory | undefined;
    const seen = [3, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1].map((value) => {
      memory = schedule.learn!(memory, value);
      return schedule.at({ step: 5, stepsPerEpoch: 2, totalSteps: 20 }, memory);
    });
    expect(seen).toEqual([1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25]);
  });

  it("plateau with a margin does not count small progress", () => {
    const schedule = plateauRate(1, { patience: 1, margin: 0.1 });
    const memory = schedule.learn!(schedule.learn!(undefined, 1), 0.95);
    expect(memory).toEqual({ best: 1, waited: 0, drops: 1 });
  });

  it("parses what the command line offers", () => {
    for (const [text, name] of [
      ["0.01", "constant(0.01)"],
      ["cosine:0.001", "cosine(0.001, 0)"],
      ["cosine:0.001:0.0001", "cosine(0.001, 0.0001)"],
      ["step:0.1:5", "step(0.1, 5, 0.1)"],
      ["step:0.1:5:0.5", "step(0.1, 5, 0.5)"],
      ["plateau:0.1:0.5", "plateau(0.1, 0.5, 3, 0, 0)"],
      ["warmup:0.5:cosine:0.001", "warmUp(0.5, cosine(0.001, 0))"],
    ])
      expect(parseRate(text).name).toBe(name);
    for (const text of ["", ":", "-1", "step:1", "cosine", "warmup:1", "NaN", "1:2", "cosine:a", "step:1:0"])
      expect(() => parseRate(text), text).toThrow(/expected/);
  });

  it("rejects whatever is not a schedule with one sentence, and never returns a bad rate", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9:.-]{0,20}$/), (text) => {
        let schedule: LearningRate;
        try {
          schedule = parseRate(text);
        } catch (error) {
          expect((error as Error).name).toBe("BayesError");
          return;
        }
        for (const r of rates(schedule, 6, 2)) expect(r).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

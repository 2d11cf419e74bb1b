import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaults } from "../../lib/train/defaults.ts";
import { LEAST_STEPS, MANY_IMAGES, recipeFor, recipeSentence } from "../../lib/train/recipe.ts";

const usual = { epochs: defaults.epochs, batchSize: defaults.batchSize, beta: Number(defaults.beta), initialSigma: 0 };

describe("the recipe", () => {
  it("is that of the defaults on many images, with nothing to say", () => {
    for (const images of [MANY_IMAGES, 45_000, 55_000, 1e6]) {
      const recipe = recipeFor(images);
      expect(recipe).toEqual({ ...usual, why: {} });
      expect(recipeSentence(images, recipe)).toBeUndefined();
    }
  });

  it("of few images has steps enough, batches that fit, and a KL weight and sigmas of its own", () => {
    expect(recipeFor(1000)).toMatchObject({ epochs: 32, batchSize: 64, beta: 0.02, initialSigma: 1 / 3 });
    expect(recipeFor(300)).toMatchObject({ epochs: 50, batchSize: 32, beta: 0.02 });
    expect(recipeFor(300).initialSigma).toBeCloseTo(0.498, 3);
    expect(recipeFor(50).initialSigma).toBe(0.5);
    expect(recipeFor(3000)).toMatchObject({ epochs: 21, batchSize: 128, beta: 0.06 });
    expect(recipeSentence(1000, recipeFor(1000))).toMatch(
      /^chosen for 1000 training images: batches of 64 in place of 128, .*; 32 epochs .* fewer than 500 steps .*; beta 0\.02 .*; sigmas/,
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100_000 }), (images) => {
        const { epochs, batchSize, beta } = recipeFor(images);
        expect(epochs * Math.ceil(images / batchSize)).toBeGreaterThanOrEqual(LEAST_STEPS);
        expect(epochs).toBeGreaterThanOrEqual(defaults.epochs);
        expect(batchSize).toBeLessThanOrEqual(Math.min(images, defaults.batchSize));
        expect(batchSize).toBeGreaterThanOrEqual(Math.min(images, 32));
        expect(beta).toBeGreaterThan(0);
        expect(beta).toBeLessThanOrEqual(usual.beta);
      }),
    );
  });

  it("leaves alone what was said, and goes with it", () => {
    const said = { epochs: 3, batchSize: 7, beta: "warmup", initialSigma: 0 };
    expect(recipeFor(1000, said)).toMatchObject({ epochs: 3, batchSize: 7, initialSigma: 0, why: {} });
    expect(recipeFor(1000, { batchSize: 500 })).toMatchObject({ epochs: 250, batchSize: 500 });
    expect(Object.keys(recipeFor(1000, { epochs: 5 }).why)).toEqual(["batchSize", "beta", "initialSigma"]);
  });

  it("of plain weights is the same without what is Bayesian", () => {
    const [a, b] = [recipeFor(500), recipeFor(500, {}, false)];
    expect(b).toMatchObject({ epochs: a.epochs, batchSize: a.batchSize, initialSigma: 0 });
    expect(Object.keys(b.why)).toEqual(["batchSize", "epochs"]);
  });
});

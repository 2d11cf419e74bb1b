/**
 * How wide the posterior of a new model begins. A step moves rho by about the learning rate, so what few steps can reach is
 * near where they begin; and noise that is a share of the weights is felt alike in narrow and in wide layers (the share squared
 * is the alpha of variational dropout, Kingma et al. 2015: a third is a dropout of one weight in ten).
 */
import { initialRho } from "../bayes/posterior.ts";
import type { Slot } from "../graph/store.ts";
import type { Model } from "../models/model.ts";
import { checkNumber, fail } from "../util/errors.ts";

/** Throws for a share that is none, or asked of a model whose posterior says itself how wide it begins. */
export function checkInitialSigma({ bayes: { posterior } }: Model, asked: number | undefined): void {
  if (asked !== undefined) checkNumber("fit", "initialSigma", asked, 0, 100);
  if (asked && !posterior.unsaid) fail("fit", "initialSigma with rhoPosterior() and no rhoInit", posterior.name);
}

/**
 * Widens the posterior of a new model, before the first step: what was trained, loaded or set stays as it is.
 * @returns what takes that back; undefined where there was nothing to widen
 */
export function widen(model: Model, share: number): (() => void) | undefined {
  const { store, seed } = model;
  const slots = share === 0 ? [] : untouched(model);
  const before = slots.map(({ name }) => [name, store.get(name)] as const);
  for (const { name } of slots) {
    const mu = store.get(name.replace(/rho$/, "mu")) as Float32Array;
    const sigma = share * Math.sqrt(mu.reduce((sum, m) => sum + m * m, 0) / mu.length);
    if (sigma > 0) store.set(name, initialRho(name, mu.length, seed, Math.log(Math.expm1(sigma))));
  }
  return slots.length > 0 ? () => before.forEach(([name, rho]) => void store.set(name, rho)) : undefined;
}

/** The rho of weights that are as they were made. */
function untouched({ store, seed }: Model): Slot[] {
  return [...store.slots.values()].filter(({ name }) => {
    if (!name.endsWith("/weight/rho")) return false;
    const rho = store.get(name) as Float32Array;
    const made = initialRho(name, rho.length, seed);
    return rho.every((v, i) => v === made[i]);
  });
}

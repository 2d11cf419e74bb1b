/** What a model has learned about its weights, as plain numbers: nobody needs the formulas of a parameterisation. */
import { join } from "node:path";
import { klPerWeight, sigmaOfAlpha, sigmaOfRho } from "../bayes/formulas.ts";
import { type Shape, sizeOf } from "../graph/node.ts";
import { maskName } from "../layers/mask.ts";
import { ensureDir, writeFileAtomic } from "../util/atomic.ts";
import { checkPath, fail } from "../util/errors.ts";
import { checkModel, type Model } from "./model.ts";
import { priorMoments } from "./priors.ts";

/** The distribution of one weight tensor of one layer. Pruned weights are 0 in every array. */
export interface WeightPosterior {
  /** "conv1/weight", "fc2/bias" */
  readonly name: string;
  readonly shape: Shape;
  /** Means, or the values of plain weights. */
  readonly mean: Float32Array;
  /** Standard deviations; absent for plain weights. */
  readonly sigma?: Float32Array;
  /** KL(posterior || prior) of each weight in nats; absent where the prior is no Gaussian. */
  readonly kl?: Float32Array;
}

/** Every weight and bias of a model, in the order in which they were made. */
export function posteriorOf(model: Model): WeightPosterior[] {
  checkModel("posteriorOf", model);
  const { store } = model;
  const found = [...store.slots.values()].flatMap(({ name: slot, shape, trainable }) => {
    const bayesian = slot.endsWith("/mu");
    const name = bayesian ? slot.slice(0, -"/mu".length) : slot;
    return trainable && /\/(weight|bias)$/.test(name) ? [{ name, shape, slot, bayesian, count: sizeOf(shape) }] : [];
  });
  const priors = priorMoments(model, found, { gaussian: true });
  return found.map(({ name, shape, slot, bayesian }) => {
    const mask = store.slots.has(maskName(name)) ? (store.get(maskName(name)) as Float32Array) : undefined;
    const kept = (values: Float32Array | Float64Array) => {
      const all = new Float32Array(values);
      for (let i = 0; mask && i < all.length; i++) if (mask[i] === 0) all[i] = 0;
      return all;
    };
    const mean = store.get(slot) as Float32Array;
    if (!bayesian) return { name, shape, mean: kept(mean) };
    const sigma = store.slots.has(`${name}/rho`)
      ? sigmaOfRho(store.get(`${name}/rho`))
      : sigmaOfAlpha(mean, store.get(`${name}/logAlpha`));
    const prior = priors.get(name);
    return {
      name,
      shape,
      mean: kept(mean),
      sigma: kept(sigma),
      ...(prior ? { kl: kept(klPerWeight(mean, sigma, prior)) } : {}),
    };
  });
}

/**
 * Writes {@link posteriorOf} as NumPy arrays: `<layer>.<weight|bias>.mean.npy`, `….sigma.npy` and `….kl.npy` in a folder.
 * @returns the files written
 * @throws BayesError when one cannot be written
 */
export function exportPosterior(model: Model, dir: string): string[] {
  const weights = posteriorOf(model);
  checkPath("exportPosterior", dir);
  const files = new Map<string, () => Uint8Array>();
  for (const { name, shape, mean, sigma, kl } of weights)
    for (const [part, values] of Object.entries({ mean, sigma, kl })) {
      if (!values) continue;
      const file = `${name.replaceAll("/", ".").replace(/[\p{Cc}\\:]/gu, "_")}.${part}.npy`;
      if (files.has(file) || Buffer.byteLength(file) > 255)
        fail("exportPosterior", "names of layers that give file names, each another one and not too long", name);
      files.set(file, () => npy(values, shape));
    }
  ensureDir(dir);
  return [...files].map(([file, bytes]) => {
    const path = join(dir, file);
    writeFileAtomic(path, bytes());
    return path;
  });
}

/** A float32 array in NumPy's format, version 1.0. */
export function npy(values: Float32Array, shape: Shape): Uint8Array {
  const dims = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': ${dims}, }`;
  // magic, version, length of the header (2 bytes), and the header padded so that the data begins at a multiple of 64
  const padded = text.padEnd(Math.ceil((10 + text.length + 1) / 64) * 64 - 10 - 1, " ");
  const head = Buffer.from(`\x93NUMPY\x01\x00\x00\x00${padded}\n`, "latin1");
  head.writeUInt16LE(padded.length + 1, 8);
  return Buffer.concat([head, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)]);
}

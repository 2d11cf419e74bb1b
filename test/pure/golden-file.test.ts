import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { decodeSafetensors } from "../../lib/checkpoints/safetensors.ts";
import { philox, seedKey, streamWord } from "../../lib/util/philox.ts";

/**
 * The golden file says what its README says: a third, naive reading of the equations in double agrees with it. The
 * comparison with the library's own training is elsewhere; when that fails, this test tells which side is wrong.
 */
const folder = new URL("../golden/", import.meta.url);
const golden = JSON.parse(readFileSync(new URL("lenet5.json", folder), "utf8"));
const { tensors } = decodeSafetensors(gunzipSync(readFileSync(new URL("lenet5.safetensors.gz", folder))), "golden");

function get(name: string): number[] {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new Error(`no ${name} in the golden file`);
  return Array.from(tensor.data as Float32Array);
}

const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const LAYERS: { name: string; stream: number; weight: number[] }[] = golden.layers;
const KINDS = ["weight.mu", "weight.rho", "bias.mu", "bias.rho"];
const NAMES = LAYERS.flatMap((layer) => KINDS.map((kind) => `${layer.name}.${kind}`));

/** Normals [pixels, channels] by the contract in the README. */
function normals(stream: number, step: number, row: number, pixels: number, channels: number): number[] {
  const quads = Math.ceil(channels / 4);
  return Array.from({ length: pixels * channels }, (_, i) => {
    const [pixel, c] = [Math.floor(i / channels), i % channels];
    const word0 = pixel * quads + Math.floor(c / 4);
    const u = philox([word0, row, step, streamWord(stream)], seedKey(golden.seed));
    const [even, odd] = c % 4 < 2 ? [u[0], u[1]] : [u[2], u[3]];
    const radius = Math.sqrt(-2 * Math.log((even + 0.5) / 2 ** 32));
    const angle = (2 * Math.PI * odd) / 2 ** 32;
    return radius * (c % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
  });
}

/** The logits of one image [28, 28] in training step `step`, position `row` of the batch. */
function logits(parameters: Map<string, number[]>, image: number[], step: number, row: number): number[] {
  const p = (layer: string, kind: string) => parameters.get(`${layer}.${kind}`) as number[];
  let x = image;
  let size = 28; // the map is size x size, or a vector where 0
  for (const { name, stream, weight } of LAYERS) {
    const [outputs, inputs] = [weight.at(-1) as number, weight.at(-2) as number];
    const [kernel, pad] = weight.length === 4 ? [weight[0], name === "conv1" ? 2 : 0] : [1, 0];
    const out = weight.length === 4 ? size + 2 * pad - kernel + 1 : 1;
    const [mu, rho, biasMu, biasRho] = KINDS.map((kind) => p(name, kind));
    const sigma2 = rho.map((value) => softplus(value) ** 2);
    const eps = normals(stream, step, row, out * out, outputs);
    let y = eps.map((noise, at) => {
      const [k, j, i] = [at % outputs, Math.floor(at / outputs) % out, Math.floor(at / outputs / out)];
      let mean = biasMu[k];
      let variance = softplus(biasRho[k]) ** 2;
      for (let di = 0; di < kernel; di++) {
        for (let dj = 0; dj < kernel; dj++) {
          const [h, w] = [i + di - pad, j + dj - pad];
          if (weight.length === 4 && (h < 0 || w < 0 || h >= size || w >= size)) continue;
          for (let c = 0; c < inputs; c++) {
            const value = x[(h * size + w) * inputs + c];
            const from = ((di * kernel + dj) * inputs + c) * outputs + k;
            mean += value * mu[from];
            variance += value * value * sigma2[from];
          }
        }
      }
      return mean + Math.sqrt(variance) * noise;
    });
    if (name !== "fc3") y = y.map(softplus);
    if (weight.length === 4) {
      size = out / 2;
      y = Array.from({ length: size * size * outputs }, (_, at) => {
        const [k, j, i] = [at % outputs, Math.floor(at / outputs) % size, Math.floor(at / outputs / size)];
        return Math.max(...[0, 1, out, out + 1].map((next) => y[(2 * i * out + 2 * j + next) * outputs + k]));
      });
    }
    x = y;
  }
  return x;
}

describe("the golden LeNet-5", () => {
  it("has the documented tensors, and nothing else", () => {
    const shapes = new Map(
      LAYERS.flatMap(
        ({ name, weight }) =>
          [
            [`${name}.weight`, weight],
            [`${name}.bias`, weight.slice(-1)],
          ] as [string, number[]][],
      ),
    );
    const expected = new Map<string, number[]>([
      ["images", [640, 28, 28, 1]],
      ["labels", [640]],
      ["logits", [640, 10]],
      ["noise.conv1", [2, 28, 28, 6]],
      ["noise.conv2", [2, 10, 10, 16]],
      ["noise.fc1", [2, 120]],
      ["noise.fc2", [2, 84]],
      ["noise.fc3", [2, 10]],
    ]);
    for (const name of NAMES) {
      const shape = shapes.get(name.replace(/\.(mu|rho)$/, "")) as number[];
      expected.set(`parameter.${name}`, shape);
      for (let step = 0; step < 10; step++) expected.set(`gradient.${step}.${name}`, shape);
    }
    expect(new Map([...tensors].map(([name, { shape }]) => [name, shape]))).toEqual(expected);
  });

  it("has the noise of the contract", () => {
    for (const { name, stream, weight } of LAYERS) {
      const outputs = weight.at(-1) as number;
      const stored = get(`noise.${name}`);
      const half = stored.length / 2;
      for (const [i, { step, row }] of golden.noiseCases.entries()) {
        const expected = normals(stream, step, row, half / outputs, outputs);
        for (let k = 0; k < half; k++) expect(Math.abs(stored[i * half + k] - expected[k])).toBeLessThan(1e-12);
      }
    }
  });

  it("has the logits, losses and KL of the equations, along a trajectory made of the stored gradients", () => {
    const parameters = new Map(NAMES.map((name) => [name, get(`parameter.${name}`)]));
    const [images, labels, stored] = [get("images"), get("labels"), get("logits")];
    for (const [step, { loss, nll, kl }] of golden.scalars.entries()) {
      let divergence = 0;
      for (const name of NAMES.filter((name) => name.endsWith(".mu"))) {
        const rho = parameters.get(name.replace(/mu$/, "rho")) as number[];
        for (const [i, mu] of (parameters.get(name) as number[]).entries()) {
          const [sigma, prior] = [softplus(rho[i]), golden.priorSigma];
          divergence += Math.log(prior / sigma) + (sigma ** 2 + mu ** 2) / (2 * prior ** 2) - 0.5;
        }
      }
      expect(Math.abs(divergence / kl - 1)).toBeLessThan(1e-11);
      expect(nll + (golden.beta / golden.dataSize) * kl).toBeCloseTo(loss, 10);

      let total = 0;
      for (let n = step * 64; n < step * 64 + 64; n++) {
        const z = stored.slice(n * 10, n * 10 + 10);
        total += Math.log(z.reduce((sum, value) => sum + Math.exp(value), 0)) - z[labels[n]];
      }
      expect(total / 64).toBeCloseTo(nll, 6);
      if (step % 9 === 0) {
        for (const row of [0, 63]) {
          const n = step * 64 + row;
          const image = images.slice(n * 784, n * 784 + 784).map((byte) => Math.fround(byte / 255));
          for (const [k, value] of logits(parameters, image, step, row).entries()) {
            expect(Math.abs(value - stored[n * 10 + k])).toBeLessThan(2e-6); // stored as float32
          }
        }
      }
      for (const [name, values] of parameters) {
        const gradient = get(`gradient.${step}.${name}`);
        parameters.set(
          name,
          values.map((value, i) => Math.fround(value - golden.learningRate * gradient[i])),
        );
      }
    }
  });
});

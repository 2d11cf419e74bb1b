/** A DCGAN as two compiled steps over one store, gone on with from its last saved state bit for bit. */
import { existsSync } from "node:fs";
import { grad } from "../../autodiff/grad.ts";
import { readSafetensors, type SafeTensor, writeSafetensors } from "../../checkpoints/safetensors.ts";
import type { ClassDataset } from "../../data/dataset.ts";
import { compile, type Program } from "../../graph/compile.ts";
import { constant, type Tensor } from "../../graph/node.ts";
import { Store } from "../../graph/store.ts";
import { withTrace } from "../../graph/trace.ts";
import { klTermsOf } from "../../layers/scope.ts";
import { dcganDiscriminator, dcganGenerator } from "../../models/dcgan.ts";
import { fillGaussians } from "../../native/gaussians.ts";
import { add, checkFinite, mean, mul, neg, softplus } from "../../ops/index.ts";
import { adam } from "../../train/optimizers.ts";
import { philox, seedKey, uniformInt } from "../../util/philox.ts";

export interface GanSettings {
  readonly bayesian: boolean;
  readonly width: number;
  readonly codes: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly beta: number;
  readonly seed: number;
}

/** Streams of what the steps are fed; layers count theirs from 0 and have few. */
const CODES = 60_000;
const ORDER = 60_001;
/** Codes of pictures to look at: those of this step, which training does not reach. */
export const SHOWN = 0x7fffffff;

const i32 = (shape: readonly number[]) => ({ shape, dtype: "i32" as const });

/** Generator and discriminator with their optimizers. Close it when done. */
export class Gan implements Disposable {
  readonly store = new Store("auto");
  step = 0;
  readonly #s: GanSettings;
  readonly #images: number;
  readonly #discriminate: Program<string, "loss" | "real" | "made">;
  readonly #generate: Program<string, "loss">;
  readonly #programs = new Map<string, Program<string, string>>();

  /** @param images in the training set, which the KL term is divided by */
  constructor(s: GanSettings, images: number) {
    this.#s = s;
    this.#images = images;
    const { batchSize: n, codes } = s;
    const common = { rng: i32([4]), lr: [], count: i32([]) };
    this.#discriminate = compile({ store: this.store }, { z: [n, codes], real: [n, 32, 32, 3], ...common }, (t) =>
      this.#updated("discriminator", t, () => {
        const real = this.#judged(t.real);
        const made = this.#judged(this.#made(t.z), true);
        // softplus(-logit) = -ln p(real), softplus(logit) = -ln p(made)
        return { loss: add(mean(softplus(neg(real))), mean(softplus(made))), real, made };
      }),
    );
    this.#generate = compile({ store: this.store }, { z: [n, codes], ...common }, (t) =>
      this.#updated("generator", t, () => ({ loss: mean(softplus(neg(this.#judged(this.#made(t.z))))) })),
    );
  }

  #made(z: Tensor): Tensor {
    return dcganGenerator(z, { width: this.#s.width, size: 32 });
  }
  #judged(x: Tensor, share = false): Tensor {
    return dcganDiscriminator(x, { width: this.#s.width, bayesian: this.#s.bayesian, share });
  }

  /** The loss and its KL term, and the update of one of the two nets. */
  #updated<R extends { readonly loss: Tensor }>(
    net: string,
    t: { readonly rng: Tensor; readonly lr: Tensor; readonly count: Tensor },
    build: () => R,
  ): R {
    const rows = constant(Int32Array.from({ length: this.#s.batchSize }, (_, i) => i));
    const noise = { rng: t.rng, rows };
    const options = { store: this.store, mode: "sample", training: true, noise, seed: this.#s.seed } as const;
    const { value, trace } = withTrace(options, build);
    const own = new Map(
      [...trace.parameters].filter(([name]) => name.startsWith(`${net}/`) && this.store.slot(name).trainable),
    );
    const kl = net === "discriminator" ? klTermsOf(trace).map((k) => k.value) : [];
    const weight = constant(this.#s.beta / this.#images);
    const loss =
      kl.length > 0
        ? add(
            value.loss,
            mul(
              weight,
              kl.reduce((a, b) => add(a, b)),
            ),
          )
        : value.loss;
    const gradients = grad(loss, [...own.values()]);
    checkFinite([loss, ...gradients]);
    adam({ beta1: 0.5 }).update(own, gradients, t.lr, t.count);
    return value;
  }

  /** Codes of a step, a function of the seed. */
  codes(step: number, count: number): Float32Array {
    return fillGaussians(new Float32Array(count * this.#s.codes), { seed: this.#s.seed, stream: CODES, step });
  }

  /** One step of each net. */
  async train(data: ClassDataset): Promise<{ discriminator: number; generator: number; real: number; made: number }> {
    const { batchSize: n, seed, learningRate: lr } = this.#s;
    const step = this.step;
    const key = seedKey(seed);
    const real = new Float32Array(n * 3072);
    for (let i = 0; i < n; i++) {
      const at = uniformInt(philox([i, 0, step, ORDER * 0x10000], key)[0], data.count) * 3072;
      for (let p = 0; p < 3072; p++) real[i * 3072 + p] = data.images[at + p] / 127.5 - 1;
    }
    const rng = Int32Array.of(key[0] | 0, key[1] | 0, step, 0);
    const feeds = { rng, lr, count: step + 1 };
    const d = await this.#discriminate.runAsync({ ...feeds, z: this.codes(2 * step, n), real });
    const g = await this.#generate.runAsync({ ...feeds, z: this.codes(2 * step + 1, n) });
    this.step++;
    const share = (logits: ArrayLike<number>, sign: number) =>
      Array.from(logits).filter((v) => sign * v > 0).length / n;
    return { discriminator: d.loss[0], generator: g.loss[0], real: share(d.real, 1), made: share(d.made, -1) };
  }

  /** Pictures of codes, [n, 32, 32, 3] between -1 and 1; the generator's running statistics. */
  pictures(z: Float32Array): Float32Array {
    const n = z.length / this.#s.codes;
    const program = this.#program(`pictures ${n}`, () =>
      compile({ store: this.store }, { z: [n, this.#s.codes] }, (t) => ({
        y: withTrace({ store: this.store, seed: this.#s.seed }, () => this.#made(t.z)).value,
      })),
    );
    return program.run({ z }).y as Float32Array;
  }

  /** The discriminator's logits of n pictures, [samples, n]; [1, n] of a frequentist one. */
  logits(pictures: Float32Array, samples: number): Float32Array {
    const n = pictures.length / 3072;
    const program = this.#program(`logits ${n} ${samples}`, () =>
      compile({ store: this.store }, { x: [n, 32, 32, 3], rng: i32([4]), rows: i32([n]) }, (t) => {
        const noise = { rng: t.rng, rows: t.rows };
        const options = { store: this.store, mode: "sample", samples, noise, seed: this.#s.seed } as const;
        return { y: withTrace(options, () => this.#judged(t.x)).value };
      }),
    );
    const rows = Int32Array.from({ length: n }, (_, i) => i);
    return program.run({ x: pictures, rng: Int32Array.of(this.#s.seed, 0, SHOWN, 0), rows }).y as Float32Array;
  }

  #program(key: string, make: () => Program<string, string>): Program<string, string> {
    const known = this.#programs.get(key) ?? make();
    this.#programs.set(key, known);
    return known;
  }

  /** Everything that the next step depends on. */
  save(path: string, metadata: Readonly<Record<string, string>>): void {
    const tensors = new Map<string, SafeTensor>();
    for (const { name, shape, dtype } of this.store.slots.values())
      if (dtype === "f32") tensors.set(name, { dtype: "F32", shape, data: this.store.get(name) as Float32Array });
    writeSafetensors(path, tensors, { ...metadata, step: String(this.step) });
  }

  /** @returns the metadata of the file; undefined where there is none */
  restore(path: string): Record<string, string> | undefined {
    if (!existsSync(path)) return undefined;
    const { tensors, metadata } = readSafetensors(path);
    for (const [name, { data }] of tensors) this.store.set(name, data as Float32Array);
    this.step = Number(metadata.step);
    return metadata;
  }

  [Symbol.dispose](): void {
    for (const program of [this.#discriminate, this.#generate, ...this.#programs.values()]) program.close();
    this.store.close();
  }
}

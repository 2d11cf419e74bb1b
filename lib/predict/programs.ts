import { asIs } from "../data/prepare.ts";
import { compile, type Program } from "../graph/compile.ts";
import { constant, type Tensor } from "../graph/node.ts";
import type { Mode } from "../graph/trace.ts";
import type { Model } from "../models/model.ts";
import type { Precision } from "../native/device.ts";
import { gatherBatch } from "../ops/gatherBatch.ts";

/** What a compiled launch is made for. */
export interface LaunchKind {
  readonly mode: Mode;
  readonly samples: number;
  readonly precision: Precision;
}

/** One Monte-Carlo launch: `batch` images, all samples; outputs by name, each [samples * batch, ...]. */
export type LaunchProgram = Program<"images" | "rows" | "rng", string>;

/** A program, and how long its last launch took: Infinity before the first. */
export interface Launch {
  readonly program: LaunchProgram;
  ms: number;
}

interface Entry extends Launch {
  readonly bytes: number;
}

/** Programs that a model keeps: as many, and as much memory of theirs, the one in use not counted. */
const KEPT = 16;
const KEPT_BYTES = 512 << 20;

const ofModel = new WeakMap<Model, LaunchPrograms>();

/** The programs that predict with a model, compiled at first use and closed with it, or before it when they are many. */
export class LaunchPrograms {
  readonly #model: Model;
  /** Least recently used first. */
  readonly #programs = new Map<string, Entry>();
  #version = -1;
  #likelihood: Model["likelihood"] | undefined;
  #preprocess: Model["preprocess"];

  static of(model: Model): LaunchPrograms {
    let programs = ofModel.get(model);
    if (!programs) {
      programs = new LaunchPrograms(model);
      model.store.onClose(() => programs!.#clear());
      ofModel.set(model, programs);
    }
    return programs;
  }

  private constructor(model: Model) {
    this.#model = model;
  }

  /** Call it in a turn: it may have to compile, and closes what it no longer keeps. */
  get(kind: LaunchKind, batch: number, dtype: "u8" | "f32"): Launch {
    const { store, likelihood, preprocess } = this.#model;
    // a mask, a noise stream or what the model knows may be another: traced anew
    if (store.version !== this.#version || likelihood !== this.#likelihood || preprocess !== this.#preprocess)
      this.#clear();
    this.#likelihood = likelihood;
    this.#preprocess = preprocess;
    const key = `${batch} ${dtype} ${kind.samples} ${kind.mode} ${kind.precision}`;
    let entry = this.#programs.get(key);
    if (entry) this.#programs.delete(key);
    else {
      const program = this.#compile(kind, batch, dtype);
      const { arenaBytes, workspaceBytes } = program.report();
      entry = { program, ms: Infinity, bytes: arenaBytes + workspaceBytes };
    }
    this.#evict();
    this.#programs.set(key, entry);
    this.#version = this.#model.store.version; // the trace may have made a noise stream or a slot
    return entry;
  }

  #compile({ mode, samples, precision }: LaunchKind, batch: number, dtype: "u8" | "f32"): LaunchProgram {
    const model = this.#model;
    const specs = {
      images: { shape: [batch, ...model.inputShape], dtype },
      rows: { shape: [batch], dtype: "i32" as const },
      rng: { shape: [4], dtype: "i32" as const },
    };
    return compile({ store: model.store, precision }, specs, ({ images, rows, rng }): Record<string, Tensor> => {
      const all = constant(Int32Array.from({ length: batch }, (_, i) => i));
      const { scale, shift } = model.preprocess ?? asIs(model.inputShape[2]);
      const x = gatherBatch(images, all, { scale, shift });
      const options = { mode, samples, noise: { rng, rows } };
      return model.apply(x, options, (output, likelihood) => likelihood.heads(output)).result;
    });
  }

  #evict(): void {
    let bytes = 0;
    for (const entry of this.#programs.values()) bytes += entry.bytes;
    for (const [key, entry] of this.#programs) {
      if (this.#programs.size < KEPT && bytes <= KEPT_BYTES) return;
      this.#programs.delete(key);
      entry.program.close();
      bytes -= entry.bytes;
    }
  }

  #clear(): void {
    for (const { program } of this.#programs.values()) program.close();
    this.#programs.clear();
  }
}

import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { BayesError, fail } from "../util/errors.ts";
import { packageRoot } from "../util/package.ts";

/** Where a tensor lies: space 0 arena, 1 store, 2 feed, 3 result, 4 nowhere (nobody reads it). See native/shared/backend.h. */
export interface NativeRef {
  readonly dtype: number;
  readonly space: number;
  readonly index: number;
  readonly offset: number;
  readonly shape: readonly number[];
}
export interface NativeProgram {
  readonly steps: readonly {
    readonly op: string;
    readonly inputs: readonly NativeRef[];
    readonly outputs: readonly NativeRef[];
    readonly attrs: Readonly<Record<string, readonly number[]>>;
    readonly commits: boolean;
  }[];
  readonly feedBytes: readonly number[];
  readonly resultBytes: readonly number[];
  readonly arenaBytes: number;
}
export type Data = Float32Array | Int32Array | Uint8Array;

export interface NativeStore {
  alloc(bytes: number): number;
  free(index: number): void;
  read(index: number, offset: number, into: Data): void;
  write(index: number, offset: number, from: Data): void;
  close(): void;
  readonly busy: boolean;
}
export interface NativeFeed {
  readonly data: Data;
  /** Bytes from one step's slice to the next; 0: the same for every step. */
  readonly stride: number;
}
export interface NativePlan {
  run(steps: number, feeds: readonly NativeFeed[], results: readonly Data[]): void;
  runAsync(steps: number, feeds: readonly NativeFeed[], results: readonly Data[]): Promise<void>;
  close(): void;
  readonly workspaceBytes: number;
  /** How each step is computed, in words; "" where there is but one way. */
  readonly algorithms: readonly string[];
}
/** The devices of one kind. */
export interface NativeLibrary {
  readonly count: number;
  /** What a device is and has, as native/shared/backend.h says. Throws why it cannot be used. */
  probe(index: number): {
    readonly name: string;
    readonly joins: number;
    readonly precisions: number;
    readonly alignment: number;
    readonly launchRows: number;
  };
}
/** The addon's types, in one place. Errors of a run carry `runStep` and `programStep`. */
export interface Addon {
  /** Opens the library of a device; without a path: the CPU's. Throws what was received in place of one. */
  readonly Library: new (
    path?: string,
  ) => NativeLibrary;
  readonly Store: new (library?: NativeLibrary, index?: number) => NativeStore;
  readonly Plan: new (store: NativeStore, program: NativeProgram) => NativePlan;
  /** Fills `out` with mean + scale z, z the normals of gaussians.ts; `words`: row, step, stream word, low and high word of the key. */
  fillGaussians(out: Float32Array | Float64Array, mean: number, scale: number, words: Uint32Array): void;
  readonly isa: string;
  setThreads(n: number): void;
  /** 0: nobody has set it. */
  threads(): number;
  /** Bytes that V8 has been told of, all addons together: `process.memoryUsage().external` counts array buffers alone. */
  externalMemory(): number;
}

// environment variables that native/cpu/isa.cpp reads
function checkWish(name: string, words: readonly string[]): void {
  const wish = process.env[name];
  if (wish !== undefined && !words.includes(wish)) fail("addon", `${name} to be one of ${words.join(", ")}`, wish);
}

let loaded: Addon | undefined;

/** Loads the CPU addon (prebuilt or built), once. Throws a BayesError that says what to do when there is none. */
export function loadAddon(): Addon {
  if (loaded) return loaded;
  checkWish("BAYESCNN_SIMD", ["avx512bf16", "avx512", "avx2", "base"]);
  checkWish("BAYESCNN_BF16", ["pairs", "rounded"]);
  checkWish("BAYESCNN_CONV", ["channelLanes", "imageLanes", "imagePanels", "rows", "im2col"]);
  checkWish("BAYESCNN_WINOGRAD", ["always", "never"]);
  const root = packageRoot();
  const require = createRequire(join(root, "package.json"));
  try {
    loaded = require("node-gyp-build")(root) as Addon;
  } catch (error) {
    const why = (error as Error).message.split("\n")[0];
    throw new BayesError(
      `[addon] expected a prebuilt or built CPU addon for ${process.platform}-${process.arch}, received none (${why}). ` +
        "Run `npm rebuild bayescnn` (needs g++ or clang++, make and python3), or `npm run build:addon` in a clone.",
      { code: "ERR_BAYES_MISSING" },
    );
  }
  if (loaded.threads() === 0) loaded.setThreads(availableParallelism()); // once for the process: worker_threads share the pool
  return loaded;
}

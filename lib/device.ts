import { checkInt } from "./errors.ts";
import { type Addon, loadAddon } from "./native/addon.ts";

/** A place where programs run. */
export interface Device {
  readonly kind: "cpu" | "null";
  /** For people and checkpoints: "cpu-avx2", … The instruction set is part of what makes a run reproducible. */
  readonly name: string;
  /** @internal */
  readonly addon: Addon;
}

/** The CPU, with the best instruction set it has (environment variable BAYESCNN_SIMD=avx512bf16|avx512|avx2|base lowers it). */
export function cpu(): Device {
  const addon = loadAddon();
  return { kind: "cpu", name: `cpu-${addon.isa}`, addon };
}

/** Sets how many threads all work shares (default: the available cores). Results do not depend on it. */
export function setThreads(n: number): void {
  loadAddon().setThreads(checkInt("setThreads", "the number of threads", n, 1, 64));
}

/** How many threads there are now. */
export function threads(): number {
  return loadAddon().threads();
}

import { BayesError, checkInt, fail } from "../util/errors.ts";
import { type Addon, loadAddon } from "./addon.ts";

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

/** A device by name: "auto" is the best one of this build. There is no CUDA device yet. */
export type DeviceName = "auto" | "cpu" | "cuda";

/**
 * Throws unless `device` is the name of a device that this build has, or an open one. Opens nothing.
 * @returns what it comes down to: "cpu", or the device
 */
export function checkDevice(where: string, device: unknown): "cpu" | Device {
  if (device === "auto" || device === "cpu") return "cpu";
  if (device === "cuda")
    throw new BayesError(`[${where}] expected device auto or cpu: this build has no CUDA device, received cuda`, {
      code: "ERR_BAYES_MISSING",
    });
  if (typeof (device as Device | null)?.addon !== "object")
    fail(where, 'device "auto" or "cpu", or what openDevice returns', device);
  return device as Device;
}

/**
 * The device of that name. Everything that takes a device takes a name too; whoever wants to know which one it is, with its
 * instruction set, finds it as `store.device`.
 * @throws BayesError for a name that is none, a device that this build does not have, or without the native addon
 */
export function openDevice(device: DeviceName | Device = "auto", where = "openDevice"): Device {
  const known = checkDevice(where, device);
  return known === "cpu" ? cpu() : known;
}

/** Sets how many threads all work shares (default: the available cores). Results do not depend on it. */
export function setThreads(n: number): void {
  loadAddon().setThreads(checkInt("setThreads", "the number of threads", n, 1, 64));
}

/** How many threads there are now. */
export function threads(): number {
  return loadAddon().threads();
}

import { BayesError, checkInt, fail } from "../util/errors.ts";
import { type Addon, loadAddon, type NativeLibrary } from "./addon.ts";
import { cudaLibrary, type Found, isCutOff } from "./cuda.ts";

/**
 * Arithmetic of convolutions and linear layers, their gradients too: `bf16` rounds both operands of every product to
 * bfloat16, `tf32` to the 10 bits of a GPU's tensor cores; either sums in float32. Parameters, activations, biases,
 * noise, losses and updates are float32 always.
 */
export type Precision = "fp32" | "tf32" | "bf16";
/** By the bits of BayesPrecisions in native/shared/backend.h; the number of a bit is what kernels are told. */
export const PRECISIONS: readonly Precision[] = ["fp32", "tf32", "bf16"];

/** A place where programs run. */
export interface Device {
  readonly kind: "cpu" | "cuda" | "null";
  /**
   * For people and checkpoints: "cpu-avx2", "cuda:0 (NVIDIA H200, sm_90)". The instruction set or the GPU is part of what
   * makes a run reproducible.
   */
  readonly name: string;
  /** What it can compute with. */
  readonly precisions: readonly Precision[];
  /** @internal What layers take in: the activation behind them, the max pooling behind them. */
  readonly joins: { readonly activation: boolean; readonly pooling: boolean };
  /** @internal Of a tensor in the arena, in bytes. */
  readonly alignment: number;
  /** @internal Rows (images times samples) of one launch: enough to fill its cores. */
  readonly launchRows: number;
  /** @internal */
  readonly addon: Addon;
  /** @internal Whose device it is, and which; none: the CPU. */
  readonly of?: { readonly library: NativeLibrary; readonly index: number };
}

/** A device by name: "auto" is the best one there is, "cuda" the first GPU. */
export type DeviceName = "auto" | "cpu" | "cuda" | `cuda:${number}`;

function deviceOf(kind: "cpu" | "cuda", addon: Addon, library: NativeLibrary, index: number): Device {
  const { name, joins, precisions, alignment, launchRows } = library.probe(index);
  return {
    kind,
    name,
    precisions: PRECISIONS.filter((_, bit) => (precisions >> bit) & 1),
    joins: { activation: (joins & 1) !== 0, pooling: (joins & 2) !== 0 },
    alignment,
    launchRows,
    addon,
    ...(kind === "cpu" ? {} : { of: { library, index } }),
  };
}

/** The CPU, with the best instruction set it has (environment variable BAYESCNN_SIMD=avx512bf16|avx512|avx2|base lowers it). */
export function cpu(): Device {
  const addon = loadAddon();
  return deviceOf("cpu", addon, new addon.Library(), 0);
}

/** Of libraries, by path: opened once, and a driver asked once. */
const opened = new Map<string, NativeLibrary | string>();
const devices = new Map<string, Device | string>();

/** What `make` gives, or the sentence of its error; made once for each key. */
function once<T>(made: Map<string, T | string>, key: string, make: () => T): T | string {
  if (!made.has(key))
    try {
      made.set(key, make());
    } catch (error) {
      made.set(key, (error as Error).message);
    }
  return made.get(key)!;
}

/** Device `index` of the library, or why it is none, as a phrase: "expected …, received …". */
function cudaDevice({ path, missing }: Found, index: number): Device | string {
  const addon = loadAddon();
  if (missing) return missing;
  const library = once(opened, path, () => {
    if (isCutOff(path)) throw new Error("one whose end is missing");
    return new addon.Library(path);
  });
  if (typeof library === "string")
    return `expected a CUDA library for this bayescnn at ${path}, received ${library}; npm run build:cuda makes one in a clone`;
  const { count } = library;
  if (count > 0 && index >= count)
    return `expected ${count === 1 ? "cuda:0, the one CUDA device here" : `cuda:0 to cuda:${count - 1}, the CUDA devices here`}, received cuda:${index}`;
  const device = once(devices, `${index} ${path}`, () => deviceOf("cuda", addon, library, index));
  return typeof device === "string" ? `expected a CUDA device, received none: ${device}` : device;
}

/** The best device, and why it is not a GPU where a library for one is there; undefined: none is, and nobody expects it. */
function best(): { readonly device: Device; readonly why?: string } {
  const found = cudaLibrary();
  if (!found.wanted) return { device: cpu() };
  const gpu = cudaDevice(found, 0);
  return typeof gpu === "string" ? { device: cpu(), why: gpu } : { device: gpu };
}

/** All devices of this machine, and why there is no GPU among them. */
export function listDevices(): { readonly devices: readonly Device[]; readonly why?: string } {
  const found = cudaLibrary();
  const first = cudaDevice(found, 0);
  if (typeof first === "string") return { devices: [cpu()], why: first };
  const others = Array.from({ length: first.of!.library.count - 1 }, (_, i) => cudaDevice(found, i + 1));
  return { devices: [cpu(), first, ...others.filter((d) => typeof d !== "string")] };
}

const NAME = /^(auto|cpu|cuda(:(0|[1-9]\d{0,3}))?)$/;

/**
 * Throws unless `device` is the name of a device, or an open one. Opens nothing.
 * @returns the name, or the device
 */
export function checkDevice(where: string, device: unknown): DeviceName | Device {
  const names = 'device "auto", "cpu", "cuda" or "cuda:<number>"';
  if (typeof device === "string") return NAME.test(device) ? (device as DeviceName) : fail(where, names, device);
  const { addon, name } = (typeof device === "object" && device !== null ? device : {}) as Partial<Device>;
  if (typeof addon !== "object" || typeof name !== "string")
    fail(where, `${names}, or what openDevice returns`, device);
  return device as Device;
}

let auto: DeviceName = "auto";

/**
 * The device of that name. Everything that takes a device takes a name too; whoever wants to know which one it is finds it as
 * `store.device`.
 * @throws BayesError for a name that is none; with code "ERR_BAYES_MISSING" for a device that is not there (the sentence says
 *   what is missing), or without the native addon
 */
export function openDevice(device: DeviceName | Device = "auto", where = "openDevice"): Device {
  const known = checkDevice(where, device);
  if (typeof known !== "string") return known;
  if (known === "auto") return auto === "auto" ? best().device : openDevice(auto, where);
  if (known === "cpu") return cpu();
  const found = cudaDevice(cudaLibrary(), Number(known.slice("cuda:".length)));
  if (typeof found === "string") throw new BayesError(`[${where}] ${found}`, { code: "ERR_BAYES_MISSING" });
  return found;
}

/** What "auto" means from now on, in this process. Opens nothing. Returns what it meant before. */
export function setDevice(name: DeviceName): DeviceName {
  const before = auto;
  auto = name;
  return before;
}

/** Why "auto" is the CPU although a library for a GPU is there; undefined: it is not, or none is. */
export const insteadOfGpu = (): string | undefined => (auto === "auto" ? best().why : undefined);

/** Throws unless `value` is a {@link Precision} that the device has, or undefined. Returns it. */
export function checkPrecision(where: string, value: unknown, device: Device): Precision | undefined {
  if (value === undefined || device.precisions.includes(value as Precision)) return value as Precision | undefined;
  const names = device.precisions.map((p) => `"${p}"`);
  const list = [...(names.length > 1 ? [names.slice(0, -1).join(", ")] : []), names.at(-1)].join(" or ");
  const known = PRECISIONS.includes(value as Precision);
  return fail(where, `precision ${list}${known ? ` on ${device.name}` : ""}`, value);
}

/** The precision that a run was trained in; float32 where this device lacks it. */
export const precisionOn = (device: Device, trained: Precision): Precision =>
  device.precisions.includes(trained) ? trained : "fp32";

/** Sets how many threads all work on the CPU shares (default: the available cores). Results do not depend on it. */
export function setThreads(n: number): void {
  loadAddon().setThreads(checkInt("setThreads", "the number of threads", n, 1, 64));
}

/** How many threads there are now. */
export function threads(): number {
  return loadAddon().threads();
}

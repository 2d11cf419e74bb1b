// The peers: how each is started in its best environment, and how to install it, which `node bench/peers.mjs` prints.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { compiled } from "./compile.mjs";
import { layers } from "./layers.mjs";
import { hasFeature } from "./machine.mjs";
import { configOf } from "./workloads.mjs";

const { dirname } = import.meta;
const OPENBLAS = "/usr/lib/x86_64-linux-gnu/openblas-openmp";
// glibc gives every large block back to the system at once, and its pages have to be zeroed anew in the next step
const KEEP = `${2 ** 32}`;
// OpenMP's threads keep their cores: where the system moves them about, they wait for each other
const openMP = (/** @type {number} */ threads) => ({ OMP_NUM_THREADS: `${threads}`, OMP_PROC_BIND: "true" });
const keepMemory = { MALLOC_MMAP_THRESHOLD_: KEEP, MALLOC_TRIM_THRESHOLD_: KEEP, MALLOC_TOP_PAD_: KEEP };

/** A peer that is not there, and why. */
export class NotInstalled extends Error {}

/**
 * @typedef {object} Contender
 * @property {string} install how to get it
 * @property {(workload: import("./workloads.mjs").Workload, variant: string) => Command} command
 * @typedef {{ file: string, args: string[], env: NodeJS.ProcessEnv }} Command
 */

/** Another program of ours, told the workload. @returns {Command} */
const script = (/** @type {string} */ file, /** @type {object} */ request, env = {}) => ({
  file: process.execPath,
  args: [join(dirname, file), JSON.stringify(request)],
  env: { ...process.env, ...env },
});

/** @type {Record<string, Contender>} */
export const contenders = {
  ours: {
    install: "npm run build",
    command: (workload, variant) => script("ours.mjs", { workload, variant }),
  },
  launch: {
    install: "npm run build",
    command: (workload, variant) => script("ours.mjs", { workload: { ...workload, kind: "predict" }, variant }),
  },
  pytorch: {
    install:
      "apt-get install --no-install-recommends python3-torch libopenblas0-openmp\n" +
      "  (another Python with torch: PYTHON=/path/to/python3 npm run bench)",
    command(workload, variant) {
      const { OPENBLAS_CORETYPE, OPENBLAS_L2_SIZE, OPENBLAS_NUM_THREADS, ...rest } = process.env;
      const env = {
        ...rest,
        ...keepMemory,
        ...(existsSync(OPENBLAS) && { LD_LIBRARY_PATH: [OPENBLAS, rest.LD_LIBRARY_PATH].filter(Boolean).join(":") }),
        ...(hasFeature("avx512f") && { ATEN_CPU_CAPABILITY: "avx512" }), // the old default is avx2
        ...openMP(workload.threads),
      };
      const file = process.env.PYTHON ?? (existsSync("/usr/bin/python3") ? "/usr/bin/python3" : "python3");
      const request = JSON.stringify({ workload, variant, geometry: layers[workload.name], config: configOf(workload.name) });
      return { file, args: [join(dirname, "peers/pytorch.py"), request], env };
    },
  },
  onednn: {
    install:
      "apt-get install libdnnl-dev g++\n" +
      "  (another build: ONEDNN=/path/to/prefix npm run bench; it has to use OpenMP)",
    command({ name, threads, backward }, variant) {
      const { ONEDNN } = process.env;
      const where = ONEDNN ? [`-I${ONEDNN}/include`, `-L${ONEDNN}/lib`, `-Wl,-rpath,${ONEDNN}/lib`] : [];
      const { binary, problem } = compiled("peers/onednn.cpp", ["-O2", ...where, "-ldnnl"]);
      if (problem) throw new NotInstalled(problem);
      const { batch, size, channels, filters, kernel, stride, padding, first } =
        /** @type {import("./layers.mjs").Convolution} */ (layers[name]);
      const convolutions = variant === "two convolutions" ? 2 : 1;
      const shape = [batch, size, channels, filters, kernel, stride, padding];
      const args = [...shape, first, backward, convolutions].map((n) => `${Number(n)}`);
      return { file: binary, args, env: { ...process.env, ...keepMemory, ...openMP(threads) } };
    },
  },
  onnxruntime: {
    install: "npm install onnxruntime-node",
    command: (workload) => script("peers/onnxruntime.mjs", { workload }, keepMemory),
  },
  tfjs: {
    install: "npm install --prefix bench/peers --no-save @tensorflow/tfjs @tensorflow/tfjs-backend-wasm",
    command: (workload) => script("peers/tfjs.mjs", { workload }),
  },
};

if (import.meta.url === pathToFileURL(process.argv[1]).href)
  for (const [name, { install }] of Object.entries(contenders)) if (!/ours|launch/.test(name)) console.log(`${name}: ${install}`);

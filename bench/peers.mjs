// The peers: how each is started in its best environment, and how to install it, which `node bench/peers.mjs` prints.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { hasAvx512 } from "./machine.mjs";
import { layers } from "./workloads.mjs";

const { dirname } = import.meta;
const OPENBLAS = "/usr/lib/x86_64-linux-gnu/openblas-openmp";
// glibc gives every large block back to the system at once, and its pages have to be zeroed anew in the next step
const KEEP = `${2 ** 32}`;
const keepMemory = { MALLOC_MMAP_THRESHOLD_: KEEP, MALLOC_TRIM_THRESHOLD_: KEEP, MALLOC_TOP_PAD_: KEEP };

/**
 * @typedef {object} Contender
 * @property {string} install how to get it
 * @property {(workload: import("./workloads.mjs").Workload, variant: string) => Command} command
 * @typedef {{ file: string, args: string[], env: NodeJS.ProcessEnv }} Command
 */

/** @type {Record<string, Contender>} */
export const contenders = {
  ours: {
    install: "npm run build",
    command: (workload, variant) => ({
      file: process.execPath,
      args: [join(dirname, "ours.mjs"), JSON.stringify({ workload, variant })],
      env: process.env,
    }),
  },
  pytorch: {
    install:
      "apt-get install --no-install-recommends python3-torch libopenblas0-openmp\n" +
      "  (another Python with torch: PYTHON=/path/to/python3 npm run bench)",
    command(workload, variant) {
      const { OPENBLAS_CORETYPE, OPENBLAS_L2_SIZE, OPENBLAS_NUM_THREADS, ...rest } = process.env;
      const geometry = layers[/** @type {keyof typeof layers} */ (workload.name)];
      const env = {
        ...rest,
        ...keepMemory,
        ...(existsSync(OPENBLAS) && { LD_LIBRARY_PATH: [OPENBLAS, rest.LD_LIBRARY_PATH].filter(Boolean).join(":") }),
        ...(hasAvx512() && { ATEN_CPU_CAPABILITY: "avx512" }), // the old default is avx2
        OMP_NUM_THREADS: `${workload.threads}`,
      };
      const file = process.env.PYTHON ?? (existsSync("/usr/bin/python3") ? "/usr/bin/python3" : "python3");
      const request = JSON.stringify({ workload, variant, geometry });
      return { file, args: [join(dirname, "peers/pytorch.py"), request], env };
    },
  },
  onnxruntime: {
    install: "npm install onnxruntime-node",
    command: (workload) => ({
      file: process.execPath,
      args: [join(dirname, "peers/onnxruntime.mjs"), JSON.stringify({ workload })],
      env: { ...process.env, ...keepMemory },
    }),
  },
};

if (import.meta.url === pathToFileURL(process.argv[1]).href)
  for (const [name, { install }] of Object.entries(contenders)) if (name !== "ours") console.log(`${name}: ${install}`);

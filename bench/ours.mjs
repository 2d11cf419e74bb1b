// One workload of ours as a process: node bench/ours.mjs '{workload, variant}'. Needs `npm run build`.
import { openDevice } from "../dist/graph.js";
import { setThreads } from "../dist/index.js";
import { flopsOf } from "./flops.mjs";
import { layerProgram } from "./ours/layer.mjs";
import { compilation, creation, modelProgram, oneImage } from "./ours/model.mjs";
import { serve } from "./serve.mjs";

/** @type {{ workload: import("./workloads.mjs").Workload, variant: string }} */
const { workload, variant } = JSON.parse(process.argv[2]);
setThreads(workload.threads);
const about = { version: "bayescnn", device: openDevice("cpu").name };
const calls = { "one image": oneImage, create: creation, compile: compilation };
const { kind } = workload;
if (kind in calls) await serve(about, calls[/** @type {keyof typeof calls} */ (kind)](workload, variant));
else {
  const { program, launches, once } = (kind === "layer" ? layerProgram : modelProgram)(workload, variant);
  const { traffic, arenaBytes: memory, workspaceBytes: workspace } = program.report();
  await serve({ ...about, memory, workspace, flops: launches * flopsOf(program), traffic: launches * traffic }, once);
}

// What each form of a convolution earns: how much longer a training step or a launch of a prediction would take without it,
// every convolution and linear layer that it serves going to the best of the other forms. A table in Markdown.
//   node bench/forms.mjs [--batch 64] [--reps 7] [--only lenet5]       (after npm run build)
// Every pass of every layer is a plan of its own, run in every form that can serve it (BAYESCNN_CONV, BAYESCNN_WINOGRAD) on one
// thread; what counts is the least processor time, which other processes disturb little.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { models } from "./workloads.mjs";

const { values } = parseArgs({
  options: {
    batch: { type: "string", default: "64" },
    reps: { type: "string", default: "7" },
    only: { type: "string", default: "" },
    child: { type: "string" },
  },
});
const [batch, reps] = [Number(values.batch), Number(values.reps)];
const ENOUGH_MS = 50; // of short passes, more repetitions
const forms = ["channelLanes", "imageLanes", "stripes", "imagePanels", "rows", "im2col"];

/** @typedef {{ what: string, algorithm: string, ms: number }} Row a pass of a layer */
/** @typedef {{ name: string, kind: "Bayesian step" | "frequentist step" | "10-sample prediction" }} Work */

if (values.child) await child(JSON.parse(values.child));
else parent();

/** Measures each pass of each layer, as this process's environment wants it. @param {Work} work */
async function child({ name, kind }) {
  const { forwardProgram, madeModel, stepProgram } = await import("../dist/speed/made.js");
  const { openDevice } = await import("../dist/graph.js");
  const { setThreads } = await import("../dist/index.js");
  const { adam } = await import("../dist/train/index.js");
  setThreads(1);
  const model = madeModel({ name, bayesian: kind !== "frequentist step" });
  const made = kind.endsWith("step") ? stepProgram(model, batch, adam()) : forwardProgram(model, Math.ceil(batch / 10), 10);
  const { program } = made;
  const { native, steps } = program.planned;
  const { Plan } = openDevice("cpu").addon;
  const feeds = native.feedBytes.map((n) => ({ data: new Uint8Array(n), stride: 0 }));
  const results = native.resultBytes.map((n) => new Uint8Array(n));
  const least = (/** @type {() => void} */ run) => {
    let [best, spent] = [Infinity, 0];
    for (let i = 0; i < reps || spent < ENOUGH_MS; i++) {
      const before = process.cpuUsage();
      run();
      const { user, system } = process.cpuUsage(before);
      best = Math.min(best, (user + system) / 1000);
      spent += (user + system) / 1000;
    }
    return best;
  };
  const written = model.store.native.alloc(4);
  const whole = least(() => void program.run(/** @type {never} */ (made.feeds)));
  /** @type {Row[]} */
  const rows = [];
  const algorithms = program.report().steps;
  const nowhere = { space: 4, index: 0, offset: 0 };
  native.steps.forEach((step, i) => {
    if (algorithms[i].algorithm === undefined) return;
    // of a gradient, each pass by itself
    const passes = step.op.endsWith("Grad") ? ["data", "weights"] : ["forward"];
    for (const pass of passes) {
      const kept = step.outputs.map((t, at) => (pass === "forward" || (pass === "data") === (at === 0) ? t : { ...t, ...nowhere }));
      if (kept.every((t) => t.space === nowhere.space)) continue;
      const plan = new Plan(model.store.native, { ...native, steps: [{ ...step, outputs: kept }], frozenSteps: 0 });
      const ms = least(() => {
        if (kind.endsWith("step")) model.store.native.write(written, 0, new Float32Array(1)); // its weights are new every time
        plan.run(1, feeds, results);
      });
      rows.push({ what: `${i} ${pass} ${steps[i].node?.layer}`, algorithm: plan.algorithms[0].replace(/^(data|weights) /, ""), ms });
      plan.close();
    }
  });
  console.log(JSON.stringify({ whole, rows }));
}

function parent() {
  const kinds = /** @type {const} */ (["Bayesian step", "frequentist step", "10-sample prediction"]);
  const named = [...models, "mobilenet"].filter((name) => new RegExp(values.only).test(name));
  const work = named.flatMap((name) => kinds.map((kind) => /** @type {Work} */ ({ name, kind })));
  const wishes = [{}, ...forms.map((form) => ({ BAYESCNN_CONV: form })), { BAYESCNN_WINOGRAD: "never" }];
  const passes = ["forward", "data", "weights"];
  const lines = new Map(passes.flatMap((pass) => [...forms, "winograd"].map((form) => [`${pass}, ${form}`, /** @type {string[]} */ ([])])));
  for (const w of work) {
    const [own, ...others] = wishes.map((wish) => run(w, wish));
    for (const [line, cells] of lines) {
      const [pass, form] = line.split(", ");
      let [lost, served] = [0, 0];
      own.rows.forEach((row, i) => {
        if (!row.what.includes(` ${pass} `) || !row.algorithm.includes(form.replace("im2col", pass === "data" ? "col2im" : form))) return;
        served++;
        // another form: one that says it is another, and not that it could not be
        const instead = others.map((o) => o.rows[i]).filter((o) => !o.algorithm.includes("cannot") && !o.algorithm.includes(form.replace("im2col", pass === "data" ? "col2im" : form)));
        if (instead.length) lost += Math.min(...instead.map((o) => o.ms)) - row.ms;
        else lost = NaN;
      });
      cells.push(served === 0 ? "" : Number.isNaN(lost) ? "needed" : `${((100 * lost) / own.whole).toFixed(1)} %`);
    }
    console.error(`${w.name}, ${w.kind}: ${own.whole.toFixed(1)} ms`);
  }
  console.log(`| pass, form | ${work.map((w) => `${w.name}, ${w.kind}`).join(" | ")} |`);
  console.log(`| --- |${work.map(() => " --- |").join("")}`);
  for (const [line, cells] of lines) if (cells.some((c) => c !== "")) console.log(`| ${line} | ${cells.join(" | ")} |`);
}

/** @param {Work} work @param {Record<string, string>} wish @returns {{ whole: number, rows: Row[] }} */
function run(work, wish) {
  const args = [fileURLToPath(import.meta.url), "--child", JSON.stringify(work), "--batch", String(batch), "--reps", String(reps)];
  const done = spawnSync(process.execPath, args, { encoding: "utf8", env: { ...process.env, ...wish }, maxBuffer: 1 << 26 });
  if (done.status !== 0) throw new Error(done.stderr);
  return JSON.parse(done.stdout);
}

// What is paid before the first step: making models, and compiling their training steps (the first time, and best of the next).
//   node bench/startup.mjs [lenet5 resnet20 100 …]      (after npm run build); a number: so many Bayesian convolutions
import { bayesConv2d, bayesLinear, categorical, createModel, flatten, linear, Model, softplus } from "../dist/index.js";
import { stepProgram } from "../dist/speed/made.js";
import { adam } from "../dist/train/index.js";

const timed = (run) => {
  const start = performance.now();
  const made = run();
  return { made, ms: performance.now() - start };
};
const likelihood = categorical(10);
const deep = (layers) => (x) => {
  let y = x;
  for (let i = 1; i < layers; i++) y = softplus(bayesConv2d(y, 4, 3, { padding: 1, name: `conv${i}` }));
  return bayesLinear(flatten(y), 10, { name: "fc" });
};
const makers = {
  "linear 9216-4096": () => new Model({ input: [96, 96, 1], likelihood: categorical(4096), build: (x) => linear(flatten(x), 4096) }),
  "bayesLinear 9216-4096": () => new Model({ input: [96, 96, 1], likelihood: categorical(4096), build: (x) => bayesLinear(flatten(x), 4096) }),
};
const named = (model) => () => createModel({ model, input: [32, 32, model === "lenet5" ? 1 : 3], classes: 10 });
const asked = process.argv.slice(2);
for (const name of asked.length ? asked : ["lenet5", "alexnet", "resnet18", ...Object.keys(makers), "resnet20", "100", "200"]) {
  const build = Number(name) > 0 ? () => new Model({ input: [8, 8, 4], likelihood, build: deep(Number(name)) }) : (makers[name] ?? named(name));
  const { made: model, ms } = timed(build);
  const compiling = [];
  if (!(name in makers))
    for (let turn = 0; turn < 6; turn++) {
      const { made, ms } = timed(() => stepProgram(model, 32, adam()));
      compiling.push(ms);
      made[Symbol.dispose]();
    }
  model.close();
  const [first, ...next] = compiling;
  console.log(`${name}: made in ${ms.toFixed(0)} ms${first ? `, a step compiled in ${first.toFixed(0)} ms, then ${Math.min(...next).toFixed(0)} ms` : ""}`);
}

// Makes a plan of every step of a file, and of every wrong step that is a small change away from it. What is taken is run
// too: a kernel that reads or writes beyond its tensors ends this process, is seen by a sanitizer, or leaves its mark
// beside a result. usage: plan-checks-child.mjs <root> <steps.json> <report.json>
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [, , root, file, report] = process.argv;
const addon = createRequire(join(root, "package.json"))("node-gyp-build")(root);
addon.setThreads(1);

const [STORE, FEED, RESULT, NONE] = [1, 2, 3, 4];
const ARRAYS = [Float32Array, Int32Array, Uint8Array];
const GUARD = 64;
const size = (t) => t.shape.reduce((a, b) => a * b, 1);
const bytes = (t) => size(t) * (t.dtype === 2 ? 1 : 4);
const clone = (step) => structuredClone(step);
const copyOf = (t) => ({ ...t, shape: [...t.shape] });

/** What an input holds: numbers that no kernel minds, or any. */
function fill(t, wild) {
  const data = new ARRAYS[t.dtype](size(t));
  const odd = t.dtype === 0 ? [Number.NaN, Infinity, -1e30, 0, -0] : t.dtype === 1 ? [2 ** 31 - 1, -1, -(2 ** 31), 7] : [255, 3, 0];
  for (let i = 0; i < data.length; i++) data[i] = wild ? odd[i % odd.length] : t.dtype === 0 ? 0.1 + ((i * 7) % 11) / 10 : 0;
  return data;
}

/**
 * Puts every tensor into memory of its own (`shared`: an output and an input into the same, so far apart), makes the plan and
 * runs it twice. Returns what came out of quiet inputs.
 */
function execute(step, options = {}) {
  const store = new addon.Store();
  try {
    return executeOn(store, step, options);
  } finally {
    store.close();
  }
}
function executeOn(store, step, { shared, run = true }) {
  const feeds = [];
  const results = [];
  const write = [];
  const place = (t, space) => {
    if (t.space === NONE) return { ...t, index: 0, offset: 0 };
    if (space === FEED) return { ...t, space, index: feeds.push(t) - 1, offset: 0 };
    if (space === RESULT) return { ...t, space, index: results.push(t) - 1, offset: 0 };
    const index = store.alloc(bytes(t));
    write.push([index, 0, t]);
    return { ...t, space, index, offset: 0 };
  };
  let inputs;
  let outputs;
  if (shared) {
    const { input, output, apart } = shared;
    const [a, b] = [step.inputs[input], step.outputs[output]];
    const index = store.alloc(Math.max(bytes(a), apart + bytes(b)));
    write.push([index, 0, a]);
    inputs = step.inputs.map((t, i) => (i === input ? { ...t, space: STORE, index, offset: 0 } : place(t, FEED)));
    outputs = step.outputs.map((t, i) => (i === output ? { ...t, space: STORE, index, offset: apart } : place(t, RESULT)));
  } else {
    inputs = step.inputs.map((t) => place(t, step.commits ? STORE : FEED));
    outputs = step.outputs.map((t) => place(t, RESULT));
  }
  const program = {
    steps: [{ ...step, inputs, outputs }],
    feedBytes: feeds.map(bytes),
    resultBytes: results.map(bytes),
    arenaBytes: 0,
  };
  const plan = new addon.Plan(store, program);
  // Adam's steps are numbered from 1
  const dataOf = (t, wild) => (step.op === "adam" && t === step.inputs[1] && !wild ? fill(t, wild).fill(1) : fill(t, wild));
  const got = [];
  for (const wild of run ? [true, false] : []) {
    for (const [index, offset, t] of write) store.write(index, offset, dataOf(t, wild));
    const arrays = results.map((t) => new Uint8Array(bytes(t) + 2 * GUARD).fill(0xa5));
    const views = arrays.map((a, i) => new ARRAYS[results[i].dtype](a.buffer, GUARD, size(results[i])));
    try {
      plan.run(1, feeds.map((t) => ({ data: fill(t, wild), stride: 0 })), views);
    } catch (error) {
      if (!/is outside|not finite|is not from 1 on/.test(error.message)) throw error;
    }
    for (const a of arrays)
      if (a.subarray(0, GUARD).some((v) => v !== 0xa5) || a.subarray(-GUARD).some((v) => v !== 0xa5))
        throw new Error("written beyond a result");
    if (!wild && shared) {
      const into = new ARRAYS[step.outputs[shared.output].dtype](size(step.outputs[shared.output]));
      store.read(outputs[shared.output].index, shared.apart, into);
      got[shared.output] = into;
    }
    if (!wild) outputs.forEach((t, i) => t.space === RESULT && (got[i] = views[t.index]));
  }
  plan.close();
  return got;
}

/** [what was changed, the step] */
function* changes(step) {
  const lists = ["inputs", "outputs"];
  const change = (f) => {
    const other = clone(step);
    f(other);
    return other;
  };
  for (const list of lists) {
    const one = list.slice(0, -1);
    const like = step[list].at(-1) ?? step.inputs[0] ?? { dtype: 0, space: FEED, index: 0, offset: 0, shape: [1] };
    yield [`${one} more`, change((s) => s[list].push({ ...copyOf(like), space: list === "inputs" ? FEED : RESULT }))];
    yield [`${one} unread more`, change((s) => s[list].push({ ...copyOf(like), space: NONE }))];
    for (let i = 0; i < step[list].length; i++) {
      const t = step[list][i];
      const of = `${one} ${i}`;
      const to = (f) => change((s) => f(s[list][i]));
      yield [`${of} dropped`, change((s) => s[list].splice(i, 1))];
      if (t.space !== NONE) yield [`${of} none`, to((x) => (x.space = NONE))];
      else yield [`${of} wanted`, to((x) => (x.space = RESULT))];
      for (const dtype of [0, 1, 2]) if (dtype !== t.dtype) yield [`${of} dtype ${dtype}`, to((x) => (x.dtype = dtype))];
      for (const [k, d] of t.shape.entries()) {
        yield [`${of} axis ${k} +1`, to((x) => (x.shape[k] = d + 1))];
        if (d > 1) yield [`${of} axis ${k} -1`, to((x) => (x.shape[k] = d - 1))];
        if (d > 1) yield [`${of} axis ${k} =1`, to((x) => (x.shape[k] = 1))];
        yield [`${of} axis ${k} *1000`, to((x) => (x.shape[k] = d * 1000))];
        yield [`${of} axis ${k} =2^29`, to((x) => (x.shape[k] = 2 ** 29))];
        yield [`${of} without axis ${k}`, to((x) => x.shape.splice(k, 1))];
        if (k > 0 && t.shape[k - 1] !== d)
          yield [`${of} axes ${k - 1} and ${k} exchanged`, to((x) => ([x.shape[k - 1], x.shape[k]] = [d, t.shape[k - 1]]))];
      }
      if (t.shape.length < 6) {
        yield [`${of} with an axis of 1 before`, to((x) => x.shape.unshift(1))];
        yield [`${of} with an axis of 1 behind`, to((x) => x.shape.push(1))];
        yield [`${of} with an axis of 2 before`, to((x) => x.shape.unshift(2))];
      }
      if (t.shape.length !== 1) yield [`${of} flat`, to((x) => (x.shape = [size(t)]))];
    }
  }
  for (const [name, values] of Object.entries(step.attrs)) {
    yield [`attribute ${name} dropped`, change((s) => delete s.attrs[name])];
    yield [`attribute ${name} empty`, change((s) => (s.attrs[name] = []))];
    yield [`attribute ${name} longer`, change((s) => s.attrs[name].push(values.at(-1) ?? 1))];
    if (values.length > 1) yield [`attribute ${name} shorter`, change((s) => s.attrs[name].pop())];
    for (const [i, v] of values.entries()) {
      if (i > 1 && i < values.length - 1) continue;
      const set = (x) => change((s) => (s.attrs[name][i] = x));
      for (const x of [Number.NaN, Infinity, -Infinity, -1, 0, 1, 2, 3, v + 1, v - 1, v + 0.5, 1e-50, 1e9, 2 ** 31, 2 ** 32 + v, -(2 ** 40), 2 ** 53, 1e300])
        if (x !== v) yield [`attribute ${name}[${i}] ${x}`, set(x)];
    }
  }
  yield ["commits otherwise", change((s) => (s.commits = !s.commits))];
  yield ["attribute unheard", change((s) => (s.attrs.unheard = [1]))];
}

const accepted = [];
const faults = [];
let refused = 0;
const steps = JSON.parse(readFileSync(file, "utf8"));
for (const step of steps) {
  const at = (what) => writeFileSync(report, JSON.stringify({ at: `${step.op}: ${what}`, step }));
  at("as it is");
  let right;
  try {
    right = execute(step);
  } catch (error) {
    faults.push(`${step.op} as it is: ${error.message}`);
    continue;
  }
  for (const [what, other] of changes(step)) {
    const large = other.inputs.concat(other.outputs).some((t) => bytes(t) > 2 ** 24);
    if (large && step.commits) continue; // it would have to be allocated
    let taken = true;
    try {
      execute(other, { run: false });
    } catch (error) {
      taken = false;
      refused++;
      const fine = /^(\[\w+\] expected .*, received .*|plan: .*|out of memory.*)$/s.test(error.message) && error.message.length < 280;
      if (!fine) faults.push(`${step.op}: ${what}: ${error.message}`);
    }
    if (!taken) continue;
    accepted.push(`${step.op}: ${what}`);
    if (large) continue; // planned only
    at(what);
    try {
      execute(other);
    } catch (error) {
      faults.push(`${step.op}: ${what}: ${error.message}`);
    }
  }
  // an output where an input lies: refused, or the same numbers
  step.inputs.forEach((t, input) => {
    step.outputs.forEach((o, output) => {
      if (o.space === NONE || step.commits) return;
      for (const apart of bytes(t) > 4 ? [0, 4] : [0]) {
        at(`output ${output} over input ${input}, ${apart} bytes apart`);
        let got;
        try {
          got = execute(step, { shared: { input, output, apart } });
        } catch (error) {
          refused++;
          if (!/memory of its own|over input|over output/.test(error.message)) faults.push(`${step.op}: ${error.message}`);
          continue;
        }
        accepted.push(`${step.op}: output ${output} over input ${input}${apart ? ", not exactly" : ""}`);
        if (!right.every((r, i) => Buffer.from(r.buffer, r.byteOffset, r.byteLength).equals(Buffer.from(got[i].buffer, got[i].byteOffset, got[i].byteLength))))
          faults.push(`${step.op}: other numbers where output ${output} lies over input ${input}`);
        }
    });
  });
}
writeFileSync(report, JSON.stringify({ steps: steps.length, accepted: [...new Set(accepted)], faults, refused }));

// Random programs over the public ops, layers, gradients and updates. A program is a list of small numbers, each a choice:
// fast-check makes and shrinks such lists. The same bits have to come out on 1, 2 and 3 threads, off the event loop, and node
// by node (`interpret`); what is refused is refused by a BayesError, and what fails in a run leaves the parameters alone.
//   node test/fuzz/programs.mjs FIRST_SEED COUNT      tries so many; prints a line before each, so that a crash has a name
//   node test/fuzz/programs.mjs '[3,1,4]'             runs one and prints it
import assert from "node:assert/strict";
import { writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import * as b from "../../dist/index.js";
import { compile, constant, grad, interpret, ops, Store, withTrace } from "../../dist/graph.js";
import { adam, adamw, sgd } from "../../dist/train/index.js";

/** Reads a list of choices; behind its end every choice is the first one. */
class Choices {
  #at = 0;
  constructor(list) {
    this.list = list;
  }
  /** An integer from 0 to n - 1. */
  below(n) {
    return (this.list[this.#at++] ?? 0) % n;
  }
  of(list) {
    return list[this.below(list.length)];
  }
  get over() {
    return this.#at >= this.list.length;
  }
  maybe(value) {
    return this.below(2) ? value() : undefined;
  }
}

const sizes = [1, 2, 3, 4, 5, 7, 8];
const channels = [1, 2, 3, 4, 6, 8, 12, 16, 17, 24];
const pairOf = (c, list) => (c.below(2) ? c.of(list) : [c.of(list), c.of(list)]);
const given = (options) => Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined));
const window = (c) =>
  given({
    kernel: pairOf(c, [2, 3, 1]),
    stride: c.maybe(() => pairOf(c, [1, 2, 3])),
    padding: c.maybe(() => c.of([1, [0, 1], [1, 0, 0, 1]])),
  });
const geometry = (c) => ({
  stride: c.maybe(() => pairOf(c, [1, 2, 3])),
  padding: c.maybe(() => c.of(["same", 1, 2, [1, 0], [0, 1, 2, 1]])),
  dilation: c.maybe(() => pairOf(c, [1, 2])),
  groups: c.maybe(() => c.of([1, 2, 3, 4])),
});
const prior = (c) =>
  c.of([
    () => undefined,
    () => b.gaussianPrior({ mean: "tied", sigma: 0.3 }),
    () => b.gaussianPrior({ mean: 0.1, sigma: 1 }),
    () => b.scaleMixturePrior(),
  ])();
const bayes = (c) =>
  given({
    posterior: c.of([() => undefined, () => b.alphaPosterior(), () => b.rhoPosterior({ rhoInit: -1 })])(),
    prior: prior(c),
    estimator: c.of([undefined, "local", "weight"]),
    kl: c.of([undefined, "closed", "sampled"]),
    bias: c.of([undefined, true, false, "point"]),
  });
const bias = (c) => given({ bias: c.of([undefined, true, false]) });
const flat = (x) => (x.shape.length === 2 ? x : ops.flatten(x));
const filters = (c) => c.of(channels);
const kernel = (c) => pairOf(c, [3, 1, 2, 5]);
const outputPadding = (c) => ({ outputPadding: c.maybe(() => pairOf(c, [0, 1])) });
/** One more tensor that goes with x: another one of the pool, a parameter, a constant or a number. */
function other(x, c, p, sameShape = false) {
  const kind = c.below(sameShape ? 3 : 6);
  if (kind === 0) return p.parameter(x.shape);
  if (kind === 1) return x;
  if (kind === 2) return p.tensors.find((t) => `${t.shape}` === `${x.shape}`) ?? x;
  if (kind === 3) return constant(0.5);
  if (kind === 4) return p.parameter(x.shape.slice(c.below(x.shape.length + 1)));
  return c.of(p.tensors);
}
const permuted = (x, c) => {
  const axes = x.shape.map((_, i) => i);
  for (let i = axes.length - 1; i > 0; i--) {
    const j = c.below(i + 1);
    [axes[i], axes[j]] = [axes[j], axes[i]];
  }
  return axes;
};
const someAxes = (x, c) => x.shape.map((_, i) => i).filter(() => c.below(2));
const box = (x, c) => {
  const starts = x.shape.map((d) => c.below(Math.min(d, 3)));
  return [starts, x.shape.map((d, i) => 1 + c.below(d - starts[i]))];
};
const binary = (op) => (x, c, p) => (c.below(2) ? op(x, other(x, c, p)) : op(other(x, c, p), x));

/** What may be done to a tensor. */
const steps = {
  relu: (x) => ops.relu(x),
  conv2d: (x, c) => b.conv2d(x, filters(c), kernel(c), given({ ...geometry(c), ...bias(c) })),
  bayesConv2d: (x, c) => b.bayesConv2d(x, filters(c), kernel(c), given({ ...geometry(c), ...bayes(c) })),
  convTranspose2d: (x, c) =>
    b.convTranspose2d(x, filters(c), kernel(c), given({ ...geometry(c), ...bias(c), ...outputPadding(c) })),
  bayesConvTranspose2d: (x, c) =>
    b.bayesConvTranspose2d(x, filters(c), kernel(c), given({ ...geometry(c), ...bayes(c), ...outputPadding(c) })),
  linear: (x, c) => b.linear(flat(x), filters(c), bias(c)),
  bayesLinear: (x, c) => b.bayesLinear(flat(x), filters(c), bayes(c)),
  maxPool2d: (x, c) => ops.maxPool2d(x, window(c)),
  avgPool2d: (x, c) => ops.avgPool2d(x, given({ ...window(c), countIncludePad: c.of([undefined, true, false]) })),
  globalAvgPool2d: (x) => ops.globalAvgPool2d(x),
  batchNorm2d: (x) => b.batchNorm2d(x),
  dropout: (x, c) => b.dropout(x, c.of([0.5, 0, 0.9])),
  leakyRelu: (x, c) => ops.leakyRelu(x, c.of([0.1, 0, 1])),
  softplus: (x) => ops.softplus(x),
  sigmoid: (x) => ops.sigmoid(x),
  tanh: (x) => ops.tanh(x),
  abs: (x) => ops.abs(x),
  square: (x) => ops.square(ops.tanh(x)),
  sqrt: (x) => ops.sqrt(ops.softplus(x)),
  log: (x) => ops.log(ops.softplus(x)),
  exp: (x) => ops.exp(ops.tanh(x)),
  raw: (x, c) => ops[c.of(["exp", "log", "sqrt", "square"])](x), // infinities and NaN
  neg: (x) => ops.neg(x),
  scale: (x, c) => ops.scale(x, c.of([0.5, -2, 0]), c.of([0, 1])),
  clip: (x) => ops.clip(x, -0.5, 0.75),
  stopGradient: (x) => ops.stopGradient(x),
  add: binary(ops.add),
  sub: binary(ops.sub),
  mul: binary(ops.mul),
  div: (x, c, p) => ops.div(x, ops.add(ops.abs(other(x, c, p)), 0.5)),
  maximum: binary(ops.maximum),
  minimum: binary(ops.minimum),
  greaterEqual: binary(ops.greaterEqual),
  sum: (x, c) => ops.sum(x, someAxes(x, c), { keepdims: c.below(2) === 1 }),
  mean: (x, c) => ops.mean(x, someAxes(x, c), { keepdims: c.below(2) === 1 }),
  softmax: (x) => ops.softmax(x),
  logSoftmax: (x) => ops.logSoftmax(x),
  transpose: (x, c) => ops.transpose(x, permuted(x, c)),
  reshape: (x, c) => ops.reshape(x, c.of([[x.size], [1, x.size], [x.shape[0] ?? 1, x.size / (x.shape[0] ?? 1)]])),
  slice: (x, c) => ops.slice(x, ...box(x, c)),
  pad: (x, c) =>
    ops.pad(
      x,
      x.shape.map(() => c.below(3)),
      x.shape.map(() => c.below(2)),
    ),
  concat: (x, c, p) => ops.concat([x, other(x, c, p, true), x], c.below(x.shape.length || 1)),
  broadcastTo: (x, c) => ops.broadcastTo(x, [c.of([2, 3]), ...x.shape].map((d) => (d === 1 ? c.of([1, 4]) : d))),
  pixelShuffle: (x) => ops.pixelShuffle(x, 2),
  pixelUnshuffle: (x) => ops.pixelUnshuffle(x, 2),
  repeatBatch: (x) => ops.repeatBatch(x, 2),
  resizeBicubic: (x, c) => ops.resizeBicubic(x, c.of([{ scale: 2 }, { scale: 0.5 }, { height: 3, width: 5 }])),
  gatherRows: (x, _c, p) => ops.gatherRows(x, p.index),
  correct: (x, _c, p) => ops.correct(flat(x), p.labels),
  crossEntropy: (x, _c, p) => ops.softmaxCrossEntropy(flat(x), p.labels),
  binaryCrossEntropy: (x, c, p) => ops.binaryCrossEntropyWithLogits(x, ops.sigmoid(other(x, c, p, true))),
  squaredError: (x, c, p) => ops.squaredError(x, other(x, c, p, true)),
  gaussianNll: (x, c, p) => ops.gaussianNll(x, ops.tanh(other(x, c, p, true)), other(x, c, p, true)),
  klGaussian: (x, c, p) =>
    ops.klGaussian(x, p.parameter(x.shape), c.of([undefined, { priorMean: "tied" }, { priorMean: 1, priorSigma: 0.5 }])),
  klGaussianAlpha: (x, _c, p) => ops.klGaussianAlpha(ops.add(ops.abs(x), 0.1), p.parameter([1])),
  logNormalSum: (x, c, p) =>
    ops.logNormalSum(
      x,
      c.of([true, false]) ? 0.1 : other(x, c, p, true),
      c.of([true, false]) ? 0.5 : ops.softplus(other(x, c, p, true)),
    ),
  logPosteriorSum: (x, c, p) => ops.logPosteriorSum(ops.softplus(x), ops.stopGradient(other(x, c, p, true))),
  logScaleMixtureSum: (x) => ops.logScaleMixtureSum(x, { pi: 0.5, sigma1: 1, sigma2: 0.1 }),
  sigma2FromRho: (x) => ops.sigma2FromRho(x),
  sigma2FromLogAlpha: (x, _c, p) => ops.sigma2FromLogAlpha(x, p.parameter([1])),
  images: (_x, c, p) =>
    ops.gatherBatch(p.pixels, p.index, {
      scale: [1 / 255],
      shift: [c.of([0, -0.5])],
      pad: c.below(2),
      augment: c.maybe(() =>
        given({
          rng: p.noise.rng,
          epoch: p.epoch,
          shift: c.maybe(() => 2),
          flip: c.maybe(() => true),
          resizedCrop: c.maybe(() => true),
          rotate: c.maybe(() => 20),
          brightness: c.maybe(() => 0.3),
          contrast: c.maybe(() => 0.3),
          cutout: c.maybe(() => 2),
        }),
      ),
    }),
};
const names = Object.keys(steps);
/** Those that want images: half of the steps of images. */
const wide = names.slice(0, names.indexOf("dropout")).concat("pixelShuffle", "pixelUnshuffle", "resizeBicubic");
/** How often each step was part of a program. */
export const taken = Object.fromEntries(names.map((name) => [name, 0]));
const values = (n, seed) => Float32Array.from({ length: n }, (_, i) => Math.sin(1.7 * i + seed) * 1.5);
const total = (shape) => shape.reduce((x, y) => x * y, 1);
const LARGEST = 1 << 15; // values of a tensor

/** A program as the choices say: what compile() takes, what is fed, and how often it runs. `refused` counts steps that were. */
function describe(list) {
  const c = new Choices(list);
  const batch = c.of([2, 1, 3, 5, 8, 16, 17, 33]);
  const shape = [batch, c.of(sizes), c.of(sizes), c.of(channels)];
  const count = 1 + c.below(3); // steps of the run
  const options = given({
    training: c.below(2) === 1,
    mode: c.of(["sample", "mean"]),
    samples: c.of([1, 2, 3]),
    precision: c.of([undefined, "bf16"]),
    seed: c.below(256),
  });
  const each = c.below(2) === 1 ? count : 1; // a slice a step, or the same for all
  const pixels = [7, 5, 4, 1];
  const ints = (n, of) => Int32Array.from({ length: n }, (_, i) => of(i));
  const specs = {
    x: shape,
    labels: { shape: [batch], dtype: "i32" },
    index: { shape: [batch], dtype: "i32" },
    rng: { shape: [4], dtype: "i32" },
    epoch: { shape: [], dtype: "i32" },
    pixels: { shape: pixels, dtype: "u8" },
    lr: [],
    count: { shape: [], dtype: "i32" },
  };
  const feeds = {
    x: values(total(shape) * each, list.length),
    labels: ints(batch, (i) => i % 2),
    index: ints(batch, (i) => (3 * i) % batch % 7),
    rng: ints(4 * count, (i) => [11, 12, i >> 2, 0][i % 4]),
    epoch: 3,
    pixels: Uint8Array.from({ length: total(pixels) }, (_, i) => (37 * i) & 255),
    lr: 0.01,
    count: ints(count, (i) => i + 1),
  };
  const tail = list.slice(9);
  const build = (refusals) => (t) => {
    const d = new Choices(tail);
    let made = 0;
    const p = {
      ...t,
      tensors: [t.x],
      noise: { rng: t.rng },
      parameter(shape) {
        const name = `p${made++}`;
        const slot = p.store.define(name, shape, { trainable: true, init: () => values(total(shape), made) });
        return p.store.tensor(slot.name);
      },
      store: build.store,
    };
    for (let n = 0; !d.over && n < 12; n++) {
      const x = d.of([p.tensors.at(-1), p.tensors.findLast((y) => y.shape.length === 4), d.of(p.tensors)]);
      const name = d.of(x.shape.length === 4 && d.below(2) ? wide : names);
      try {
        const y = steps[name](x, d, p);
        if (y.size > LARGEST) continue;
        p.tensors.push(y);
        taken[name]++;
      } catch (error) {
        refusals.push(refusal(error));
      }
    }
    const outputs = Object.fromEntries(p.tensors.slice(1 + d.below(2)).map((y, i) => [`y${i}`, y]));
    if (d.below(4) === 0) return Object.keys(outputs).length ? outputs : { x: t.x };
    // a loss of some of it, gradients, an update
    const loss = p.tensors.map((y) => ops.mean(ops.tanh(y))).reduce((x, y) => ops.add(x, y));
    const reached = parametersOf(loss);
    try {
      const wrt = [...reached.values()];
      let gradients = grad(loss, [t.x, ...wrt]);
      const dx = gradients.shift();
      if (d.below(2)) ops.checkFinite([loss, ...gradients]);
      if (wrt.length) {
        if (d.below(2)) gradients = ops.clipByGlobalNorm(gradients, 0.5);
        d.of([adam, adamw, sgd, () => sgd({ momentum: 0.9, nesterov: true, weightDecay: 0.1 })])().update(
          reached,
          gradients,
          t.lr,
          t.count,
        );
      }
      return { loss, dx, ...outputs };
    } catch (error) {
      refusals.push(refusal(error));
      return { loss, ...outputs };
    }
  };
  return { options, specs, feeds, count, each, batch, build };
}

/** The trainable parameters that a tensor depends on, by name. */
function parametersOf(tensor) {
  const found = new Map();
  const seen = new Set();
  const stack = [tensor];
  while (stack.length) {
    const { node } = stack.pop();
    if (seen.has(node)) continue;
    seen.add(node);
    if (node.leaf?.kind === "store" && node.leaf.trainable) found.set(node.leaf.name, node.outputs[0]);
    stack.push(...node.inputs);
  }
  return found;
}

/** The message of an error that may be; any other is thrown on. */
function refusal(error) {
  if (!(error instanceof b.BayesError)) throw error;
  assert.match(error.message, /^\[.+\] \S[^\n]*$/);
  return error.message;
}
const bits = (arrays) =>
  Object.fromEntries(
    Object.entries(arrays).map(([name, a]) => [name, Buffer.from(a.buffer, a.byteOffset, a.byteLength).toString("hex")]),
  );

/** Compiles and runs a program in every way; what came of it: "ran", "fault" (NaN seen by the guard) or "refused". */
export async function attempt(list, show = () => {}) {
  const { options, specs, feeds, count, each, batch, build } = describe(list);
  const store = new Store();
  const refusals = [];
  let noise;
  const traced = (t) => {
    build.store = store;
    return build(refusals)(t);
  };
  // the noise of a trace is among its inputs, which exist only inside: a trace in the trace
  const whole = (t) => {
    noise = { rng: t.rng, rows: constant(Int32Array.from({ length: batch }, (_, i) => i)) };
    return withTrace({ store, ...options, noise }, () => traced(t)).value;
  };
  try {
    const compileOptions = { store, precision: options.precision };
    let program;
    try {
      program = compile(compileOptions, specs, whole);
    } catch (error) {
      show(refusal(error));
      return "refused";
    }
    show(`${refusals.join("\n")}\n${program}`);
    const all = () => Object.fromEntries([...store.slots.keys()].map((name) => [name, store.get(name)]));
    const start = all();
    const reset = () => {
      for (const [name, value] of Object.entries(start)) store.set(name, value);
    };
    const once = async (run) => {
      reset();
      try {
        const results = await run();
        return { results: bits(results), state: bits(all()) };
      } catch (error) {
        const fault = refusal(error);
        return { fault, state: bits(all()) };
      }
    };
    const first = await once(() => (b.setThreads(1), program.run(feeds, count)));
    for (const threads of [2, 3])
      assert.deepEqual(await once(() => (b.setThreads(threads), program.run(feeds, count))), first, `${threads} threads`);
    assert.deepEqual(await once(() => program.runAsync(feeds, count)), first, "off the event loop");
    // node by node, a step at a time; the names of what the program has made are those of its trace
    const slice = (value, s) =>
      typeof value === "number" || count === 1 ? value : value.subarray((s * value.length) / count, ((s + 1) * value.length) / count);
    const parts = [];
    const single = await once(() => {
      for (let s = 0; s < count; s++) {
        const fed = { ...feeds, rng: slice(feeds.rng, s), count: slice(feeds.count, s) };
        if (each > 1) fed.x = slice(feeds.x, s);
        parts.push(interpret(compileOptions, specs, fed, whole));
      }
      return Object.fromEntries(
        Object.keys(parts[0]).map((name) => {
          const bytes = Buffer.concat(parts.map(({ [name]: a }) => Buffer.from(a.buffer, a.byteOffset, a.byteLength)));
          return [name, new Uint8Array(bytes)];
        }),
      );
    });
    assert.deepEqual(Boolean(single.fault), Boolean(first.fault), `${single.fault} ${first.fault}`);
    if (!first.fault) assert.deepEqual(single, first, "node by node");
    return first.fault ? "fault" : "ran";
  } finally {
    store.close();
  }
}

export const programs = fc.array(fc.nat(239), { minLength: 10, maxLength: 120, size: "max" });

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [what, count] = process.argv.slice(2);
  if (what.startsWith("[")) console.log(await attempt(JSON.parse(what), console.log));
  else {
    const tally = { ran: 0, fault: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(programs, async (list) => {
        writeSync(1, `${JSON.stringify(list)}\n`);
        tally[await attempt(list)]++;
      }),
      { seed: Number(what), numRuns: Number(count) },
    );
    console.log(JSON.stringify({ tally, taken }));
  }
}

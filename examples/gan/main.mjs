// Training that fit() does not know: a generative adversarial net on the embedded digits. Two nets share a store; each has a compiled
// step of its own, with its own optimizer, over its own parameters.
//
//     node examples/gan/main.mjs        QUICK=1: a few steps
import * as b from "bayescnn";
import { compile, grad, ops, Store, withTrace } from "bayescnn/graph";
import { adam } from "bayescnn/train";

const BATCH = 64;
const CODE = 16;
const steps = process.env.QUICK === "1" ? 10 : 600;
const { train } = b.embeddedMnist();
const store = new Store("cpu");

/** [batch, CODE] to pictures [batch, 28, 28, 1] between 0 and 1. */
function generator(z) {
  let h = ops.reshape(b.relu(b.linear(z, 7 * 7 * 16, { name: "generator/in" })), [BATCH, 7, 7, 16]);
  h = b.relu(b.convTranspose2d(h, 8, 4, { name: "generator/up1", stride: 2, padding: 1 })); // 14x14
  return ops.sigmoid(b.convTranspose2d(h, 1, 4, { name: "generator/up2", stride: 2, padding: 1 })); // 28x28
}

/** A logit for each picture: how real it looks. `share`: the same net once more, on other pictures. */
function critic(x, share = false) {
  let h = b.leakyRelu(b.conv2d(x, 8, 4, { name: "critic/conv1", stride: 2, padding: 1, share }));
  h = b.leakyRelu(b.conv2d(h, 16, 4, { name: "critic/conv2", stride: 2, padding: 1, share }));
  return b.linear(b.flatten(h), 1, { name: "critic/out", share });
}

/** The step that lowers `loss()` by the parameters of one net. The inputs lr and count change from run to run. */
function step(net, inputs, loss) {
  const optimizer = adam({ beta1: 0.5 });
  return compile({ store }, { ...inputs, lr: [], count: { shape: [], dtype: "i32" } }, (t) => {
    const { value, trace } = withTrace({ store }, () => loss(t)); // remembers which parameters the loss depends on
    const mine = new Map([...trace.parameters].filter(([name]) => name.startsWith(`${net}/`)));
    optimizer.update(mine, grad(value, [...mine.values()]), t.lr, t.count);
    return { loss: value };
  });
}

// softplus(-s) = -ln sigmoid(s) is the surprise at "real" of a picture with logit s; softplus(s) that at "made up"
const [z, real] = [
  [BATCH, CODE],
  [BATCH, 28, 28, 1],
];
const criticStep = step("critic", { z, real }, (t) =>
  ops.add(ops.mean(b.softplus(ops.neg(critic(t.real)))), ops.mean(b.softplus(critic(generator(t.z), true)))),
);
const generatorStep = step("generator", { z }, (t) => ops.mean(b.softplus(ops.neg(critic(generator(t.z))))));
const sample = compile({ store }, { z }, (t) => ({ pictures: generator(t.z) }));

const uniform = generatorOfNumbers(1);
const codes = () => Float32Array.from({ length: BATCH * CODE }, () => 2 * uniform() - 1);
function digits() {
  const images = b.subset(
    train,
    Array.from({ length: BATCH }, () => Math.floor(uniform() * train.count)),
  ).images;
  return Float32Array.from(images, (pixel) => pixel / 255);
}
/** How far the mean of made pictures is from the mean of real ones, per pixel: 0 at best. */
function distance() {
  const mean = (pictures) =>
    Array.from({ length: 784 }, (_, p) => pictures.reduce((s, v, i) => (i % 784 === p ? s + v : s), 0) / BATCH);
  const [made, true_] = [mean(sample.run({ z: codes() }).pictures), mean(digits())];
  return made.reduce((sum, v, i) => sum + Math.abs(v - true_[i]), 0) / 784;
}

console.log(`before: mean picture off by ${distance().toFixed(3)} a pixel`);
for (let count = 1; count <= steps; count++) {
  const critics = await criticStep.runAsync({ z: codes(), real: digits(), lr: 0.001, count });
  const makers = await generatorStep.runAsync({ z: codes(), lr: 0.002, count });
  if (count % 100 === 0)
    console.log(`step ${count}: critic ${critics.loss[0].toFixed(2)}, generator ${makers.loss[0].toFixed(2)}`);
}
console.log(`after ${steps} steps: off by ${distance().toFixed(3)}; one of its digits:`);
const { pictures } = sample.run({ z: codes() });
for (let y = 0; y < 28; y += 2)
  console.log(Array.from({ length: 28 }, (_, x) => " .:oO@"[Math.round(5 * pictures[y * 28 + x])]).join(""));
store.close();

/** Uniform numbers that are the same in each run (mulberry32). */
function generatorOfNumbers(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

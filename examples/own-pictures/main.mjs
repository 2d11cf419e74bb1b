// From folders of pictures to a model that says when it does not know.
//
//     node examples/own-pictures/main.mjs pictures model.safetensors
//
// One folder a class: pictures/cat/*.jpg, pictures/dog/*.jpg, … of any size. Without arguments it draws some shapes first.
// QUICK=1: few of them.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chooseThreshold, createModel, evaluate, fit, loadData, openRun, saveModel, split } from "bayescnn";
import sharp from "sharp";

const quick = process.env.QUICK === "1";
const [given, file = "model.safetensors"] = process.argv.slice(2);
const folder = given ?? (await drawn(quick ? 25 : 150));

// Pictures are scaled to cover 32x32 and cropped. A fifth of each class is kept for the test, another part to validate on.
const { train: all, test } = await loadData(folder, undefined, { size: 32, skipCorrupt: true });
for (const note of all.notes ?? []) console.log(note);
const { train, valid } = split(all, { valid: 0.25 }, 1);
console.log(
  `${train.count} pictures of ${train.classes?.join(", ")} to train on, ${valid.count} to validate, ${test.count} to test`,
);

const model = createModel({ model: "lenet5", input: train.shape, classes: train.classes ?? [] });
await fit(
  model,
  { train, valid },
  {
    epochs: quick ? 10 : 30,
    batchSize: 32,
    augment: { shift: 2, flip: true },
    earlyStopping: { patience: 8 },
  },
);

// "I don't know" where the model is less sure than this: the surest three quarters of the validation pictures are answered.
const { prediction, targets } = await evaluate(model, valid);
model.threshold = chooseThreshold(model, prediction, targets, { minCoverage: 0.75 });
const { metrics } = await evaluate(model, test);
console.log(`test: accuracy ${(100 * metrics.accuracy).toFixed(1)} %, NLL ${metrics.nll.toFixed(3)}`);
saveModel(model, file);
model.close();

// What a program does later, with the file alone. It knows what it does not know only as far as it has seen such things: of pure
// noise, where no shape is, it may be as sure as of a shape.
const classify = await openRun(file);
const shape = await picture("circle", 0.5);
const noise = await sharp({
  create: { width: 48, height: 48, channels: 3, background: "grey", noise: { type: "gaussian", mean: 128, sigma: 60 } },
})
  .png()
  .toBuffer();
for (const [what, bytes] of Object.entries({ "a circle": shape, noise })) {
  const { text, unsure, why } = await classify(bytes);
  console.log(`${what}: ${unsure ? `I don't know (${why})` : text}`);
}
await classify.close();
if (given === undefined) await rm(folder, { recursive: true });

/** Circles, squares and triangles in any colour, drawn into a folder of its own. */
async function drawn(each) {
  const root = await mkdtemp(join(tmpdir(), "own-pictures-"));
  for (const kind of ["circle", "square", "triangle"]) {
    await mkdir(join(root, kind));
    for (let i = 0; i < each; i++)
      await sharp(await picture(kind, (i * 0.618) % 1)).toFile(join(root, kind, `${i}.png`));
  }
  return root;
}

/** @param {string} kind @param {number} t from 0 to 1: colour, size and place */
function picture(kind, t) {
  const [x, y, r] = [24 + 8 * Math.sin(40 * t), 24 + 8 * Math.cos(70 * t), 9 + 6 * t];
  const shapes = {
    circle: `<circle cx="${x}" cy="${y}" r="${r}"/>`,
    square: `<rect x="${x - r}" y="${y - r}" width="${2 * r}" height="${2 * r}"/>`,
    triangle: `<path d="M${x} ${y - r} L${x + r} ${y + r} L${x - r} ${y + r} Z"/>`,
  };
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="48" height="48" fill="hsl(${Math.round(360 * t)},80%,45%)">${shapes[kind]}</svg>`;
  return sharp(Buffer.from(svg)).png().toBuffer();
}

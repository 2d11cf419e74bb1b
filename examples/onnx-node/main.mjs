// A trained model as one ONNX file, answered by ONNX Runtime alone: 16 Monte-Carlo samples, their mean and both uncertainties are
// part of the graph, and so is the scaling of pixels. Any language that ONNX Runtime has can do what follows the export.
//
//     npm install onnxruntime-node; node examples/onnx-node/main.mjs        QUICK=1: fewer steps
import { chooseThreshold, createModel, embeddedMnist, evaluate, exportOnnx, fit, split, subset } from "bayescnn";
import ort from "onnxruntime-node";

const quick = process.env.QUICK === "1";
const { train: all, test: digits } = embeddedMnist();
const test = quick
  ? subset(
      digits,
      Array.from({ length: 100 }, (_, i) => i),
    )
  : digits;
const { train, valid } = split(all, { train: quick ? 600 : 5000, valid: quick ? 200 : 1000 }, 1);
const model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 });
await fit(model, { train, valid }, { epochs: quick ? 4 : 5 });
const { prediction, targets } = await evaluate(model, valid);
const threshold = chooseThreshold(model, prediction, targets, { minCoverage: 0.9 });
exportOnnx(model, { mode: "ensemble", samples: 16, path: "digits.onnx" });
model.close();

// From here on there is only the file. Pixels go in as they are, 0 to 255, one plane a channel (NCHW).
const session = await ort.InferenceSession.create("digits.onnx");
const count = test.count;
const image = new ort.Tensor("float32", Float32Array.from(test.images), [count, 1, 28, 28]);
const { probabilities, epistemic, aleatoric } = await session.run({ image });
const [count2, classes] = probabilities.dims;

let [answered, right, rightOfAll] = [0, 0, 0];
const doubts = [];
for (let n = 0; n < count2; n++) {
  const row = (tensor) => Array.from(tensor.data.subarray(n * classes, (n + 1) * classes));
  const p = row(probabilities);
  const label = p.indexOf(Math.max(...p));
  const correct = label === test.targets[n];
  rightOfAll += Number(correct);
  if (p[label] >= threshold.certainty) {
    answered++;
    right += Number(correct);
  } else {
    const sum = (values) => values.reduce((a, b) => a + b, 0);
    doubts.push({ n, label, p: p[label], epistemic: sum(row(epistemic)), aleatoric: sum(row(aleatoric)) });
  }
}
const percent = (part, of) => `${((100 * part) / of).toFixed(1)} %`;
console.log(`answers all ${count} test digits: ${percent(rightOfAll, count)} right`);
console.log(
  `answers the ${answered} of which it is at least ${percent(threshold.certainty, 1)} sure: ${percent(right, answered)} right`,
);
for (const { n, label, p, epistemic, aleatoric } of doubts.slice(0, 5)) {
  const part = epistemic > aleatoric ? "the samples disagree" : "the image is unclear";
  console.log(
    `digit ${n}: I don't know (${label} ${percent(p, 1)}; ${part}: epistemic ${epistemic.toFixed(3)}, aleatoric ${aleatoric.toFixed(3)})`,
  );
}

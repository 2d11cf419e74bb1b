// A network of one's own: residual blocks with batch norm around Bayesian convolutions. The function runs once, to be traced; layers
// make their parameters by name.
//
//     node examples/residual-net/main.mjs        QUICK=1: fewer digits
import {
  batchNorm2d,
  bayesConv2d,
  bayesLinear,
  categorical,
  embeddedMnist,
  evaluate,
  fit,
  globalAvgPool2d,
  Model,
  openModel,
  relu,
  saveModel,
  split,
  subset,
} from "bayescnn";
import { ops } from "bayescnn/graph";

/** A convolution and its norm, which makes a bias needless. */
function conv(x, filters, name, stride = 1) {
  const h = bayesConv2d(x, filters, 3, { name, stride, padding: 1, bias: false });
  return batchNorm2d(h, { name: `${name}/norm` });
}

/** relu(x + conv(relu(conv(x)))); where the block makes the map smaller, a 1x1 convolution brings x to its shape. */
function block(x, filters, name, stride = 1) {
  const inner = conv(relu(conv(x, filters, `${name}/conv1`, stride)), filters, `${name}/conv2`);
  const same = stride === 1 && x.shape[3] === filters;
  return relu(ops.add(inner, same ? x : bayesConv2d(x, filters, 1, { name: `${name}/shortcut`, stride, bias: false })));
}

function build(x) {
  x = relu(conv(x, 8, "stem"));
  x = block(x, 8, "block1");
  x = block(x, 16, "block2", 2); // 14x14
  x = block(x, 32, "block3", 2); // 7x7
  return bayesLinear(globalAvgPool2d(x), 10, { name: "classifier" });
}

const quick = process.env.QUICK === "1";
const { train: all, test: digits } = embeddedMnist();
const test = quick ? subset(digits, [1, 2, 3, 4, 5, 6, 7, 8]) : digits;
const { train, valid } = split(all, quick ? { train: 320, valid: 80 } : { train: 2000, valid: 500 }, 1);
const model = new Model({ name: "residual", input: [28, 28, 1], likelihood: categorical(10), build });
console.log(`${model.name}: ${model.parameterCount} numbers to train, two a weight`);

await fit(
  model,
  { train, valid },
  {
    epochs: quick ? 2 : 5,
    batchSize: 32,
    callbacks: {
      onEpoch: ({ epoch, nll, valid }) =>
        console.log(`epoch ${epoch + 1}: NLL ${nll.toFixed(3)}, validation ${valid?.nll.toFixed(3)}`),
    },
  },
);
const { metrics } = await evaluate(model, test, { samples: 8 });
console.log(
  `test: accuracy ${(100 * metrics.accuracy).toFixed(1)} %, NLL ${metrics.nll.toFixed(3)}, ECE ${metrics.ece.toFixed(3)}`,
);

// A file holds the weights and what predictions need; the function comes from here.
saveModel(model, "residual.safetensors");
const again = openModel("residual.safetensors", { build });
const same = (await evaluate(again, test, { samples: 8 })).metrics.nll === metrics.nll;
console.log(`opened again it gives ${same ? "the same" : "another"} NLL`);
model.close();
again.close();

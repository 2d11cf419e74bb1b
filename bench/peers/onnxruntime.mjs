// One inference workload in ONNX Runtime as a process: the deterministic twin of ours, exported by exportOnnx.
//   node bench/peers/onnxruntime.mjs '{workload}'
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Store } from "../../dist/graph.js";
import { f32 } from "../../dist/graph/node.js";
import { input, withTrace } from "../../dist/graph/trace.js";
import { createModel, exportOnnx } from "../../dist/index.js";
import { Lowering } from "../../dist/onnx/lower.js";
import { inputShape, layers } from "../layers.mjs";
import { applied } from "../ours/layer.mjs";
import { optional, serve } from "../serve.mjs";
import { configOf } from "../workloads.mjs";

/** @type {{ workload: import("../workloads.mjs").Workload }} */
const { workload } = JSON.parse(process.argv[2]);
const { kind, name, batch, threads } = workload;
const { InferenceSession, Tensor } = await optional(() => import("onnxruntime-node"));
const manifest = createRequire(import.meta.url).resolve("onnxruntime-node/package.json");
const { version } = JSON.parse(readFileSync(manifest, "utf8"));

const { bytes, dims } = kind === "layer" ? layerModel() : publishedModel();
const session = await InferenceSession.create(bytes, { logSeverityLevel: 3, intraOpNumThreads: threads });
const image = Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => Math.random() - 0.5);
const feeds = { image: new Tensor("float32", image, dims) };
await serve({ version: `onnxruntime-node ${version}` }, () => session.run(feeds));

function publishedModel() {
  const config = configOf(name);
  const [height, width, channels] = config.input;
  const model = createModel({ ...config, bayesian: false });
  return { bytes: exportOnnx(model), dims: [batch, channels, height, width] };
}

/** A bare layer in ONNX's own layout: no transposition goes into its time. */
function layerModel() {
  const store = new Store("cpu");
  const image = input("image", f32(inputShape(layers[name])));
  const { value: y } = withTrace({ store }, () => applied(layers[name], image, false));
  const nchw = (/** @type {readonly number[]} */ [n, ...rest]) => [n, ...rest.slice(-1), ...rest.slice(0, -1)];
  const dims = nchw(image.shape);
  const onnx = new Lowering(store);
  const pixels = onnx.input("image", dims, "float32");
  onnx.output("y", onnx.lower([y], new Map([[image, pixels]]))[0], nchw(y.shape), "float32");
  return { bytes: onnx.encode(), dims };
}

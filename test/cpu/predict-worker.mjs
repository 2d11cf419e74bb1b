// What a worker_thread of predict.test.ts does: a model of its own with the weights of a checkpoint.
import { parentPort, workerData } from "node:worker_threads";
import { createModel, predict } from "../../dist/index.js";
import { loadCheckpoint, restore } from "../../dist/train/index.js";

const { config, checkpoint, data, options } = workerData;
const model = createModel(config);
restore(model, loadCheckpoint(checkpoint));
const { logits } = await predict(model, data, options);
model.close();
parentPort.postMessage(logits);

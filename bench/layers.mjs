// Single layers that are measured: what they are and how large, by name.

/**
 * `first`: the first layer of a network, which needs no gradient of its input.
 * @typedef {{ op: "conv", batch: number, size: number, channels: number, filters: number, kernel: number, stride: number,
 *   padding: number, groups: number, first: boolean }} Convolution
 * @typedef {{ op: "linear", batch: number, inputs: number, outputs: number }} Linear
 * @typedef {{ op: "batch norm", batch: number, size: number, channels: number, training: boolean }} BatchNorm
 * @typedef {{ op: "global average pool", batch: number, size: number, channels: number }} Pool
 * @typedef {{ op: "relu" | "exp" | "row sum", batch: number, columns: number }} Rows of numbers
 * @typedef {Convolution | Linear | BatchNorm | Pool | Rows} Layer
 */

/** @type {(size: number, channels: number, filters: number, kernel?: number, stride?: number) => Convolution} */
const inside = (size, channels, filters, kernel = 3, stride = 1) => ({
  ...{ op: "conv", batch: 32, size, channels, filters, kernel, stride, padding: kernel >> 1, groups: 1, first: false },
});
/** @type {(size: number, channels: number, groups: number, kernel?: number) => Convolution} */
const grouped = (size, channels, groups, kernel) => ({ ...inside(size, channels, channels, kernel), batch: 8, groups });

/** Convolutions that stand for all: inside of a network, and as its first layer. @type {Record<string, Convolution>} */
export const single = {
  g1: inside(32, 64, 64),
  g2: inside(16, 128, 128),
  g3: inside(8, 256, 256),
  g4: { ...inside(28, 1, 6, 5), batch: 256, padding: 0, first: true },
  g5: { ...inside(32, 3, 32, 5), batch: 256, first: true },
  g6: { ...inside(224, 3, 64, 7, 2), first: true },
};
/** ResNet-18 at 224x224 (its first layer is g6): each stage's usual layer, and the two by which the next one starts. */
export const resnet18 = {
  "r18-64x56": inside(56, 64, 64),
  "r18-128x28": inside(28, 128, 128),
  "r18-256x14": inside(14, 256, 256),
  "r18-512x7": inside(7, 512, 512),
  "r18-128x28-down": inside(56, 64, 128, 3, 2),
  "r18-256x14-down": inside(28, 128, 256, 3, 2),
  "r18-512x7-down": inside(14, 256, 512, 3, 2),
  "r18-128x28-shortcut": inside(56, 64, 128, 1, 2),
  "r18-256x14-shortcut": inside(28, 128, 256, 1, 2),
  "r18-512x7-shortcut": inside(14, 256, 512, 1, 2),
};
export const widths = Object.fromEntries([8, 16, 32, 64, 128, 256].map((c) => [`c${c}`, inside(16, c, c)]));

/** What mobile nets, large classifiers and small batches consist of. @type {Record<string, Convolution | Linear>} */
export const others = {
  "depthwise 3x3 128c 56x56 batch 8": grouped(56, 128, 128),
  "depthwise 3x3 512c 14x14 batch 8": grouped(14, 512, 512),
  "depthwise 5x5 128c 28x28 batch 8": grouped(28, 128, 128, 5),
  "grouped 3x3 32 groups 128c 28x28 batch 8": grouped(28, 128, 32),
  "grouped 3x3 4 groups 128c 28x28 batch 8": grouped(28, 128, 4),
  "pointwise 1x1 64-128c 56x56 batch 8": { ...inside(56, 64, 128, 1), batch: 8 },
  "stem 3x3/2 3-32c 224x224 batch 8": { ...inside(224, 3, 32, 3, 2), batch: 8, first: true },
  "convolution 3x3 256c 14x14 batch 1": { ...inside(14, 256, 256), batch: 1 },
  "linear 9216-4096 batch 64": { op: "linear", batch: 64, inputs: 9216, outputs: 4096 },
  "linear 1024-1024 batch 1": { op: "linear", batch: 1, inputs: 1024, outputs: 1024 },
};
/** Layers without weights that would have a posterior. @type {Record<string, BatchNorm | Pool | Rows>} */
export const weightless = {
  "batch norm 512c 7x7 batch 32": { op: "batch norm", batch: 32, size: 7, channels: 512, training: true },
  "batch norm 64c 56x56 batch 32": { op: "batch norm", batch: 32, size: 56, channels: 64, training: true },
  "batch norm inference 64c 56x56 batch 32": { op: "batch norm", batch: 32, size: 56, channels: 64, training: false },
  "global average pool 64c 56x56 batch 32": { op: "global average pool", batch: 32, size: 56, channels: 64 },
  "relu 2048x4096": { op: "relu", batch: 2048, columns: 4096 },
  "exp 2048x4096": { op: "exp", batch: 2048, columns: 4096 },
  "row sum 2048x4096": { op: "row sum", batch: 2048, columns: 4096 },
};

/** @type {Record<string, Layer>} */
export const layers = { ...single, ...resnet18, ...widths, ...others, ...weightless };

/** Images have their channels last. @param {Layer} layer */
export function inputShape(layer) {
  if (layer.op === "linear") return [layer.batch, layer.inputs];
  if ("size" in layer) return [layer.batch, layer.size, layer.size, layer.channels];
  return [layer.batch, layer.columns];
}

// bayescnn/graph: programs, layers and ops of one's own.
export { type Device, type DeviceName, openDevice } from "../device.ts";
export type { Data } from "../native/addon.ts";
export type { BayesWeights } from "../ops/conv.ts";
export type { GaussianPriorArgs } from "../ops/gaussianPrior.ts";
export * as ops from "../ops/index.ts";
export { compile, type InputSpec, type Inputs, type PlanReport, Program, RunError } from "./compile.ts";
export { defineOp, type OpDefinition } from "./define.ts";
export { grad } from "./grad.ts";
export { interpret, type NodeRecord } from "./interpret.ts";
export { type Attrs, constant, type DType, type Node, type Shape, type Tensor, type TensorType } from "./node.ts";
export { type Slot, type SlotOptions, Store } from "./store.ts";
export {
  type KlTerm,
  type Mode,
  type Noise,
  noiseFor,
  type Precision,
  parameter,
  type Trace,
  type TraceOptions,
  withTrace,
} from "./trace.ts";
export type { Turn } from "./turns.ts";
export type { Values } from "./values.ts";

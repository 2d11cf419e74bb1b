// bayescnn/graph: programs, layers and ops of one's own.

export { defineOp, type OpDefinition } from "./autodiff/define.ts";
export { grad } from "./autodiff/grad.ts";
export { compile, type InputSpec, type Inputs, type PlanReport, Program, RunError } from "./graph/compile.ts";
export { interpret, type NodeRecord } from "./graph/interpret.ts";
export { type Attrs, constant, type DType, type Node, type Shape, type Tensor, type TensorType } from "./graph/node.ts";
export type { SlotRole } from "./graph/roles.ts";
export { type Slot, type SlotOptions, Store } from "./graph/store.ts";
export {
  type Mode,
  type Noise,
  noiseFor,
  parameter,
  type Trace,
  type TraceOptions,
  withTrace,
} from "./graph/trace.ts";
export type { Turn } from "./graph/turns.ts";
export type { Values } from "./graph/values.ts";
export { type KlTerm, klTermsOf, type LayerSettings, layerContext } from "./layers/scope.ts";
export type { Data } from "./native/addon.ts";
export { type Device, type DeviceName, openDevice, type Precision } from "./native/device.ts";
export * as ops from "./ops/index.ts";
export type { BayesWeights } from "./ops/shared/conv.ts";
export type { GaussianPriorArgs } from "./ops/shared/gaussianPrior.ts";

// What an op's file needs: nodes and records, what its rule checks, errors, and its ONNX form.
export * from "../../graph/node.ts";
export { BayesError, checkInt, checkNumber, checkOptions, fail, words } from "../../util/errors.ts";
export * from "./checks.ts";
export type { OnnxContext, OnnxOp } from "./onnx.ts";

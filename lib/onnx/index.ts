// bayescnn/onnx: exported models, and whether they say what the model says.
export { type ExportMode, type ExportOptions, exportModes, exportOnnx } from "./export.ts";
export { readMetadata } from "./metadata.ts";
export { type VerifyOptions, type VerifyResult, verifyOnnx } from "./verify.ts";

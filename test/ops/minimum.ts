import { minimum } from "../../lib/ops/minimum.ts";
import { broadcastCases, pairCase } from "./add.ts";

export const cases = [
  ...broadcastCases(minimum, Math.min),
  { ...pairCase("NaN and infinity", minimum, Math.min, [NaN, 1, Infinity, -Infinity], [1, NaN, 0, 0]), onnx: false },
];

import { maximum } from "../../lib/ops/maximum.ts";
import { broadcastCases, pairCase } from "./add.ts";

export const cases = [
  ...broadcastCases(maximum, Math.max),
  { ...pairCase("NaN and infinity", maximum, Math.max, [NaN, 1, Infinity, -Infinity], [1, NaN, 0, 0]), onnx: false },
];

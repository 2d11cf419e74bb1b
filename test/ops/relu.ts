import { relu } from "../../lib/ops/relu.ts";
import { awayFromZero, given, map, type OpCase } from "./harness.ts";

const reference: OpCase["reference"] = ({ x }) => map(x, (v) => Math.max(v, 0));
const build: OpCase["build"] = ({ x }) => relu(x);

export const cases: OpCase[] = [
  { name: "one element", inputs: { x: awayFromZero([1], 1) }, build, reference },
  { name: "odd size", inputs: { x: awayFromZero([3, 7, 5, 3], 2) }, build, reference },
  { name: "batch 2", inputs: { x: awayFromZero([2, 17], 3) }, build, reference },
  { name: "extremes", inputs: { x: given([5], [-1e30, -0, 0, 1e30, 1e-40]) }, build, reference, wrt: [] },
];

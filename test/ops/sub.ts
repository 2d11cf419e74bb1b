import { sub } from "../../lib/ops/sub.ts";
import { broadcastCases } from "./add.ts";

export const cases = [...broadcastCases(sub, (x, y) => x - y)];

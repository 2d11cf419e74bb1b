import { afterEach, expect, it, vi } from "vitest";
import { compile } from "../../lib/graph/compile.ts";
import { Store } from "../../lib/graph/store.ts";
import * as ops from "../../lib/ops/index.ts";

afterEach(() => vi.restoreAllMocks());

it("refuses what will not fit before it is allocated, and the store goes on", () => {
  using store = new Store("cpu");
  vi.spyOn(process, "availableMemory").mockReturnValue(2 ** 28);
  const big = [2 ** 27] as const; // 512 MiB
  expect(() => store.define("big", big)).toThrow(
    "[store big] expected 0.500 GiB of free memory, received 0.250 GiB: take a smaller model or smaller images",
  );
  expect(store.slots.has("big")).toBe(false);
  expect(() => compile({ store }, { x: big }, ({ x }) => ({ y: ops.sumTo(ops.relu(ops.relu(x)), [1]) }))).toThrow(
    /^\[compile\] expected 0\.500 GiB of free memory/,
  );
  using program = compile({ store }, { x: [4] }, ({ x }) => ({ y: ops.relu(x) }));
  expect([...program.run({ x: Float32Array.of(-1, 2, -3, 4) }).y]).toEqual([0, 2, 0, 4]);
});

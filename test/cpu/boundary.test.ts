// What may happen between JavaScript and the native code, a few times each; test/slow/boundary.test.ts tries it often.
import { beforeAll, describe, expect, it } from "vitest";
import { others, phases, scenario } from "../boundary/run.ts";
import { build } from "../built.ts";

beforeAll(build);

describe("a worker may be terminated in", () => {
  it.each(phases)("%s", async (phase) => {
    expect(await scenario(`terminate ${phase}`, 3)).toBe(3);
  });
});

it.each(others)("%s", async (name) => {
  expect(await scenario(name, 2)).toBeGreaterThanOrEqual(2);
});

it("a scenario that fails, or a process that dies, is seen", async () => {
  await expect(scenario("no such scenario", 1)).rejects.toThrow(/ended with 1:/);
  await expect(scenario("die", 1)).rejects.toThrow(/ended with SIGSEGV/);
});

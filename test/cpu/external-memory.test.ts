// What stores and programs hold outside of V8 is told to it, so that dropped ones are collected, and taken back exactly.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, it } from "vitest";
import { build } from "../built.ts";

const MB = 1 << 20;
const child = fileURLToPath(new URL("./external-memory-child.mjs", import.meta.url));
let said: Record<string, number>;
beforeAll(() => {
  build();
  said = JSON.parse(execFileSync(process.execPath, ["--expose-gc", child], { encoding: "utf8" }));
});

const near = (key: string, bytes: number) => expect(Math.abs(said[key] - bytes), key).toBeLessThan(MB / 4);

it("grows by what a store and a program hold, and shrinks as they are closed, in any order", () => {
  expect(said.plan).toBeGreaterThan(16 * MB);
  near("made", 36 * MB + said.plan);
  near("deleted", 32 * MB + said.plan);
  near("planClosed", 32 * MB);
  near("closed", 0);
  near("storeFirst", 36 * MB + said.plan);
  near("bothClosed", 0);
});

it("returns to where it was when they are dropped without being closed", () => {
  near("dropped", 0);
  near("afterLoop", 0);
});

it("makes V8 collect what is dropped: 60 stores of 64 MB never lie in memory together", () => {
  expect(said.loop).toBeLessThan(20 * 64 * MB);
});

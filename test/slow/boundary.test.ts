// Scenarios of the boundary, as often as it takes to meet what is rare.
import { beforeAll, describe, expect, it } from "vitest";
import { others, phases, scenario } from "../boundary/run.ts";
import { build } from "../built.ts";
import { tries } from "../tries.ts";

beforeAll(build);
const TERMINATIONS = Number(process.env.TERMINATIONS ?? 20); // 200 and more by hand
const TRIES = 20;

describe(`a worker is terminated ${TERMINATIONS} times in`, () => {
  it.concurrent.each(phases)("%s", { timeout: 600_000 }, async (phase) => {
    expect(await scenario(`terminate ${phase}`, TERMINATIONS)).toBe(TERMINATIONS);
    tries("worker_threads terminated in a native call", TERMINATIONS);
  });
});

it.each(others)("%s", { timeout: 600_000 }, async (name) => {
  const done = await scenario(name, TRIES);
  expect(done).toBeGreaterThanOrEqual(TRIES);
  tries("runs that others disturb (predictions, closings, threads, exits)", done);
});

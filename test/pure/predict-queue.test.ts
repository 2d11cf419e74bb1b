// How the images of many calls share launches.
import fc from "fast-check";
import { expect, it } from "vitest";
import { type Call, takeShares } from "../../lib/predict/queue.ts";

const call = (count: number): Call => ({ images: new Uint8Array(0), count, taken: 0, done: 0 });

it("every image is taken once, in the order of its call, and no launch has room that somebody wants", () => {
  const scene = fc.tuple(
    fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 12 }),
    fc.integer({ min: 1, max: 20 }),
  );
  fc.assert(
    fc.property(scene, ([counts, room]) => {
      const all = counts.map(call);
      const calls = [...all];
      const next = new Map(all.map((c) => [c, 0]));
      for (let left = counts.reduce((a, b) => a + b); left > 0; ) {
        const waited = [...calls];
        const served = takeShares(calls, room);
        expect(served.reduce((sum, s) => sum + s.count, 0)).toBe(Math.min(room, left));
        left -= Math.min(room, left);
        for (const { call, first, count } of served) {
          expect(first).toBe(next.get(call));
          next.set(call, first + count);
        }
        // nobody who is passed over came before somebody who is served
        expect(new Set(served.map((s) => s.call))).toEqual(new Set(waited.slice(0, room)));
      }
      expect(calls).toEqual([]);
      for (const c of all) expect(c.taken).toBe(c.count);
    }),
  );
});

it("one call of many images leaves the others their share, and goes behind them", () => {
  const [huge, one, six] = [call(10_000), call(1), call(6)];
  const calls = [huge, one, six];
  const served = takeShares(calls, 16).map(({ call, count }) => [call.count, count]);
  expect(served).toEqual([
    [1, 1],
    [6, 6],
    [10_000, 9],
  ]);
  calls.push(call(2));
  expect(takeShares(calls, 2).map(({ call, count }) => [call.count, count])).toEqual([
    [2, 1],
    [10_000, 1],
  ]);
  expect(calls.map((c) => c.count)).toEqual([10_000, 2]);
});

// Turns on a store, on a device that computes nothing: their order, their owners, and what closing does to those who wait.
import { describe, expect, it } from "vitest";
import { compile } from "../../lib/graph/compile.ts";
import { Store } from "../../lib/graph/store.ts";
import type { Turn } from "../../lib/graph/turns.ts";
import { relu } from "../../lib/ops/relu.ts";
import { nullDevice } from "../null-device.ts";

const tick = () => new Promise((resolve) => setImmediate(resolve));

describe("turns", () => {
  it("are taken one at a time, in the order of asking, the first at once", async () => {
    using store = new Store(nullDevice());
    const log: string[] = [];
    const take = (name: string) =>
      store.turn(name, async ({ owner }) => {
        log.push(`${owner} begins`);
        await tick();
        log.push(`${owner} ends`);
        return name.length;
      });
    const all = ["one", "two", "three"].map(take);
    expect(log).toEqual(["one begins"]);
    void all[0].then(() => all.push(take("late"))); // asks when the first ends: the others have waited longer
    expect(await Promise.all(all)).toEqual([3, 3, 5]);
    await all[3];
    expect(log).toEqual(["one", "two", "three", "late"].flatMap((n) => [`${n} begins`, `${n} ends`]));
  });

  it("end when their work fails", async () => {
    using store = new Store(nullDevice());
    const bad = store.turn("bad", () => Promise.reject(new Error("no")));
    const worse = store.turn("worse", () => {
      throw new Error("never");
    });
    const good = store.turn("good", () => 1);
    await expect(bad).rejects.toThrow("no");
    await expect(worse).rejects.toThrow("never");
    expect(await good).toBe(1);
  });

  it("are refused in words once the store is closed, also those that wait", async () => {
    const store = new Store(nullDevice());
    const first = store.turn("first", async () => {
      await tick();
      store.close();
    });
    const waiting = store.turn("second", () => 2);
    const refused = expect(waiting).rejects.toThrow("[store] expected to stay open until its turn, received close()");
    await first;
    await refused;
    await expect(store.turn("third", () => 3)).rejects.toThrow(/^\[third\] expected an open store .* closed$/);
  });

  it("are refused in words without an owner or work", async () => {
    using store = new Store(nullDevice());
    await expect(store.turn("", () => 1)).rejects.toThrow("[turn] expected the owner's name");
    await expect(store.turn("me", 1 as never)).rejects.toThrow("[turn] expected a function");
  });

  it("belong to those who have them: a run in a turn that is over is refused", async () => {
    using store = new Store(nullDevice());
    using program = compile({ store }, { x: [2] }, ({ x }) => ({ y: relu(x) }));
    const x = new Float32Array(2);
    let mine: Turn | undefined;
    await store.turn("me", async (turn) => {
      mine = turn;
      await program.runAsync({ x }, 1, turn);
    });
    await expect(program.runAsync({ x }, 1, mine)).rejects.toThrow("[run] expected the turn that is on");
    await program.runAsync({ x });
  });
});

describe("a store's version", () => {
  it("changes with slots and noise streams, not with contents", () => {
    using store = new Store(nullDevice());
    const changes = (work: () => void) => {
      const before = store.version;
      work();
      return store.version !== before;
    };
    expect(changes(() => store.define("a", [2]))).toBe(true);
    expect(changes(() => store.define("a", [2]))).toBe(false);
    expect(changes(() => store.set("a", Float32Array.of(1, 2)))).toBe(false);
    expect(changes(() => store.setStreams({ conv: 3 }))).toBe(true);
    expect(changes(() => store.setStreams({ conv: 3 }))).toBe(false);
    expect(changes(() => store.setStreams({ conv: 4 }))).toBe(true);
    expect(changes(() => store.delete("a"))).toBe(true);
    expect([...store.streams]).toEqual([["conv", 4]]);
  });
});

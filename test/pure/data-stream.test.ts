// Image folders and tables that are read when they are needed: the sets that they are in memory.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { Cache } from "../../lib/data/cache.ts";
import { type AnyDataset, isStreamed, notesOf, type StreamedDataset, type TrainTest } from "../../lib/data/dataset.ts";
import { loadImageFolder } from "../../lib/data/folder.ts";
import { identity } from "../../lib/data/identity.ts";
import { loadData } from "../../lib/data/locate.ts";
import { inMemory, normalizationOf } from "../../lib/data/source.ts";
import { split } from "../../lib/data/split.ts";
import { imageFolder, sharp } from "../images.ts";

const { dir, png, place } = imageFolder("stream");

/** Both ways of reading something, compared; the streamed one is given back. */
async function alike(path: string, options: object = {}): Promise<TrainTest<AnyDataset>> {
  const resident = await loadData(join(dir, path), undefined, options);
  const streamed = await loadData(join(dir, path), undefined, { ...options, stream: true, cacheBytes: 100 });
  for (const part of ["train", "valid", "test"] as const) {
    const [mine, theirs] = [streamed[part], resident[part]];
    expect(mine === undefined).toBe(theirs === undefined);
    if (!mine || !theirs) continue;
    expect(isStreamed(mine)).toBe(true);
    expect(identity(mine)).toBe(identity(theirs));
    expect(mine.background).toBe(theirs.background);
    expect(await normalizationOf(mine)).toEqual(await normalizationOf(theirs));
    expect(await inMemory(mine)).toEqual(theirs);
    expect(await normalizationOf(mine)).toEqual(normalizationOf(theirs));
  }
  return streamed;
}

describe.skipIf(sharp === undefined)("streamed image files", () => {
  beforeAll(async () => {
    for (let i = 0; i < 12; i++) {
      await png(`flat/cat/${i}.png`, 4, 5, [i, 2 * i, 9]);
      await png(`flat/dog/${i}.png`, 4, 5, [200 - i, 3, i]);
      await png(`parts/train/${i % 2 ? "a" : "b"}/${i}.png`, 4, 5, [i]);
      await png(`parts/test/${i % 2 ? "a" : "b"}/${i}.png`, 4, 5, [100 + i]);
    }
  });

  it("of a folder of classes are the set in memory, held-out part and all", async () => {
    await alike("flat");
    await alike("flat", { size: [2, 3] });
    await alike("parts");
  });

  it("of a folder with corrupt images leave the same ones out, with the same notes, or are refused alike", async () => {
    for (const i of [0, 1, 2, 3, 4, 5]) await png(`bad/${i % 2 ? "x" : "y"}/${i}.png`, 3, 3, [40 * i]);
    writeFileSync(place("bad/x/0.png"), "not an image");
    writeFileSync(
      place("bad/y/9.png"),
      (
        await sharp!(Buffer.alloc(3000, 77), { raw: { width: 50, height: 20, channels: 3 } })
          .png()
          .toBuffer()
      ).subarray(0, 90),
    );
    const root = join(dir, "bad");
    const options = { size: 3, skipCorrupt: true };
    const streamed = await loadImageFolder(root, { ...options, stream: true });
    const resident = await loadImageFolder(root, options);
    // the decoder's own words about a broken file depend on what else it decodes at the time
    const words = (notes: readonly string[] = []) => notes.map((note) => note.replaceAll(/9\.png \([^)]*\)/g, "9.png"));
    expect(words(streamed.notes)).toEqual(words(resident.notes));
    expect(resident.notes?.join()).toMatch(/left out 2 corrupt images/);
    expect({ ...(await inMemory(streamed)), notes: [] }).toEqual({ ...resident, notes: [] });
    const [a, b] = await Promise.all(
      [false, true].map((stream) => loadImageFolder(root, { size: 3, stream }).catch((e: Error) => e.message)),
    );
    expect(a).toMatch(/2 files that cannot be decoded/);
    expect(words([b as string])).toEqual(words([a as string]));
  });

  it("of a table of numbers are the set in memory, with its parts", async () => {
    const rows = Array.from({ length: 12 }, (_, i) => `flat/cat/${i}.png,${i / 3},${-i},${i < 9 ? "train" : "test"}`);
    writeFileSync(join(dir, "t.csv"), ["image,age,depth,split", ...rows].join("\n"));
    const { train } = await alike("t.csv");
    expect(train).toMatchObject({ targetNames: ["age", "depth"], targetShape: [2], count: 9, pixels: "u8" });
    const names = Array.from(
      { length: 12 },
      (_, i) => `flat/${i % 2 ? "dog" : "cat"}/${i}.png,${i % 2 ? "woof" : "meow"}`,
    );
    writeFileSync(join(dir, "l.csv"), ["image,label", ...names].join("\n"));
    await alike("l.csv");
  });

  it("are streamed by themselves where they are too many, of which a note says so", async () => {
    const path = join(dir, "parts");
    const bytes = 12 * 20;
    const fits = await loadData(path, undefined, { stream: "auto", maxBytes: bytes });
    expect([isStreamed(fits.train), notesOf(fits)]).toEqual([false, []]);
    const large = await loadData(path, undefined, { stream: "auto", maxBytes: bytes - 1 });
    expect(isStreamed(large.train)).toBe(true);
    expect(notesOf(large).join()).toMatch(/12 images of 240 bytes decoded are read when they are needed/);
    expect(isStreamed((await loadData(path, undefined, { stream: false, maxBytes: 1 })).train)).toBe(false);
    for (const [options, message] of [
      [{ stream: "yes" }, /stream as true, false or "auto", received "yes"/],
      [{ stream: true, cacheBytes: -1 }, /cacheBytes to be an integer >= 0/],
      [{ stream: "auto", maxBytes: 0.5 }, /maxBytes to be an integer >= 0/],
      [{ stream: true, cash: 1 }, /options among .*cacheBytes/],
    ] as const)
      await expect(loadData(path, undefined, options as never)).rejects.toThrow(message);
  });

  it("name the file that is gone or is another one now, whatever the part it is in", async () => {
    for (let i = 0; i < 20; i++) await png(`gone/${i % 2 ? "a" : "b"}/${i}.png`, 3, 3, [9 * i]);
    const set = (await loadImageFolder(join(dir, "gone"), { stream: true, cacheBytes: 0 })) as StreamedDataset;
    const all = Int32Array.from({ length: 10 }, (_, i) => i);
    const { train, valid } = split(set, { valid: 10 }, 3);
    await Promise.all([train.read(all), valid.read(all)]);
    await png("gone/a/7.png", 3, 3, [250]);
    const both = () => Promise.all([train.read(all), valid.read(all)]);
    await expect(both()).rejects.toThrow(
      /^\[data set gone\] expected the pixels that example \d+ \(.*gone.a.7\.png\) had when the set was opened, received others$/,
    );
    rmSync(join(dir, "gone/a/7.png"));
    await expect(both()).rejects.toThrow(
      /^\[data set gone\] expected the pixels of example \d+ \(.*gone.a.7\.png\), received an error: no such file$/,
    );
    mkdirSync(join(dir, "gone/a/7.png"));
    await expect(both()).rejects.toThrow(/7\.png\), received an error: it is a directory$/);
  });

  it("stop being opened when they are told to", async () => {
    const control = new AbortController();
    const onProgress = () => control.abort(new Error("no longer"));
    await expect(
      loadImageFolder(join(dir, "flat"), { stream: true, signal: control.signal, onProgress }),
    ).rejects.toThrow("no longer");
  });
});

it("a cache forgets the least recently used when it is full, and never holds more than it may", () => {
  const cache = new Cache(10);
  for (const key of [1, 2, 3]) cache.set(key, new Uint8Array(3));
  expect(cache.get(1)?.length).toBe(3);
  cache.set(4, new Uint8Array(3));
  expect([1, 2, 3, 4].map((key) => cache.get(key) !== undefined)).toEqual([true, false, true, true]);
  cache.set(5, new Uint8Array(11));
  cache.set(4, new Uint8Array(5));
  expect([cache.get(5), cache.get(1), cache.bytes]).toEqual([undefined, undefined, 8]);
});

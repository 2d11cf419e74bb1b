import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { loadImageFolder, loadImageFolders } from "../../lib/data/folder.ts";
import { loadData } from "../../lib/data/locate.ts";
import { BayesError } from "../../lib/errors.ts";

const sharp = await import("sharp").then(
  (module) => module.default,
  () => undefined,
);
if (sharp === undefined) console.log("skipped: image folders, because the optional package sharp is not installed");

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "bayescnn-folder-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Writes a PNG of one colour (one number = grey). */
async function png(path: string, height: number, width: number, colour: number[]): Promise<void> {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  const channels = colour.length as 1 | 3 | 4;
  const raw = Uint8Array.from({ length: height * width * channels }, (_, i) => colour[i % channels]);
  let image = sharp!(raw, { raw: { width, height, channels } });
  if (channels === 1) image = image.toColourspace("b-w");
  await image.png().toFile(join(dir, path));
}

describe.skipIf(sharp === undefined)("loadImageFolder", () => {
  it("reads classes in sorted order, as RGB, and leaves other files out", async () => {
    await png("a/dog/1.png", 2, 3, [10, 20, 30]);
    await png("a/cat/2.png", 2, 3, [40, 50, 60]);
    await png("a/cat/1.png", 2, 3, [70, 80, 90, 128]);
    await png("a/cat/.hidden.png", 9, 9, [1, 2, 3]);
    writeFileSync(join(dir, "a/cat/notes.txt"), "not an image");
    const data = await loadImageFolder(join(dir, "a"));
    expect(data).toMatchObject({ name: "a", count: 3, shape: [2, 3, 3], classes: ["cat", "dog"] });
    expect([...data.targets]).toEqual([0, 0, 1]);
    expect([...data.images.subarray(0, 3)]).toEqual([70, 80, 90]);
    expect([...data.images.subarray(18, 21)]).toEqual([40, 50, 60]);
    expect([...data.images.subarray(36, 39)]).toEqual([10, 20, 30]);
  });

  it("keeps one channel when all images are grey, and three when one is not", async () => {
    await png("g/x/1.png", 2, 2, [7]);
    await png("g/y/1.png", 2, 2, [9]);
    expect(await loadImageFolder(join(dir, "g"))).toMatchObject({
      shape: [2, 2, 1],
      images: Uint8Array.of(7, 7, 7, 7, 9, 9, 9, 9),
    });
    await png("g/y/2.png", 2, 2, [1, 2, 3]);
    const mixed = await loadImageFolder(join(dir, "g"));
    expect(mixed.shape).toEqual([2, 2, 3]);
    expect([...mixed.images.subarray(0, 3)]).toEqual([7, 7, 7]);
  });

  it("resizes when told to, and otherwise names the image that differs", async () => {
    await png("s/x/1.png", 4, 4, [5, 5, 5]);
    await png("s/x/2.png", 4, 6, [6, 6, 6]);
    await expect(loadImageFolder(join(dir, "s"))).rejects.toThrow(
      /2\.png\] expected 4x4 pixels like .*1\.png.*received "4x6"/,
    );
    expect((await loadImageFolder(join(dir, "s"), { size: 3 })).shape).toEqual([3, 3, 3]);
    expect((await loadImageFolder(join(dir, "s"), { size: [2, 5] })).shape).toEqual([2, 5, 3]);
    await expect(loadImageFolder(join(dir, "s"), { size: 0 })).rejects.toThrow(BayesError);
  });

  it("finds train/ and test/, with the training set's classes", async () => {
    await png("t/train/a/1.png", 2, 2, [1, 1, 1]);
    await png("t/train/b/1.png", 2, 2, [2, 2, 2]);
    await png("t/test/b/1.png", 2, 2, [3]);
    await png("t/test/a/1.png", 2, 2, [4, 4, 4]);
    const { train, test } = await loadImageFolders(join(dir, "t"));
    expect([train.count, test.count, train.name]).toEqual([2, 2, "t"]);
    expect([...test.targets]).toEqual([0, 1]);
    expect(test.shape).toEqual(train.shape);
    await png("t/test/c/1.png", 2, 2, [4, 4, 4]);
    await expect(loadImageFolders(join(dir, "t"))).rejects.toThrow(/only classes of the training set \(a, b\).*"c"/);
  });

  it("splits a tree without train/ and test/, every image in one part", async () => {
    for (let i = 0; i < 10; i++) await png(`u/${i % 2 ? "odd" : "even"}/${i}.png`, 1, 1, [i, i, i]);
    const { train, test } = await loadImageFolders(join(dir, "u"));
    expect([train.count, test.count]).toEqual([8, 2]);
    expect(test.name).toBe("u (held-out 1/5)");
    const values = [...train.images, ...test.images].filter((_, i) => i % 3 === 0);
    expect(values.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("is what loadData reads for a path, absolute or below the data folder", async () => {
    await png("v/train/a/1.png", 2, 2, [1, 1, 1]);
    await png("v/test/a/1.png", 2, 2, [3, 3, 3]);
    for (const [name, dataDir] of [
      [join(dir, "v"), undefined],
      ["v", dir],
    ] as const) {
      expect((await loadData(name, dataDir)).test).toMatchObject({ name: "v", count: 1, shape: [2, 2, 3] });
    }
  });

  it("refuses a missing folder, no classes, an empty class", async () => {
    await expect(loadImageFolder(join(dir, "none"))).rejects.toThrow(/cannot read .*none: no such file/);
    mkdirSync(join(dir, "empty"));
    await expect(loadImageFolder(join(dir, "empty"))).rejects.toThrow(/one folder per class/);
    mkdirSync(join(dir, "empty/cat"));
    await expect(loadImageFolder(join(dir, "empty"))).rejects.toThrow(/cat\] expected at least one image/);
  });

  it("names an image that cannot be decoded, whatever its bytes are", async () => {
    await png("h/x/good.png", 3, 3, [1, 2, 3]);
    const { readFileSync } = await import("node:fs");
    const good = readFileSync(join(dir, "h/x/good.png"));
    mkdirSync(join(dir, "bad/x"), { recursive: true });
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.nat(good.length - 20).map((cut) => good.subarray(0, cut)),
      fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, value]) => Buffer.from(good).fill(value, at, at + 1)),
    );
    await fc.assert(
      fc.asyncProperty(hostile, async (bytes) => {
        writeFileSync(join(dir, "bad/x/1.png"), bytes);
        await loadImageFolder(join(dir, "bad")).then(
          (data) => expect(data.count).toBe(1),
          (error) => expect(error).toBeInstanceOf(BayesError),
        );
      }),
      { numRuns: 60 },
    );
    writeFileSync(join(dir, "bad/x/1.png"), "no image");
    await expect(loadImageFolder(join(dir, "bad"))).rejects.toThrow(
      /1\.png\] expected an image, received a file that cannot/,
    );
  });
});

describe("without sharp", () => {
  afterEach(() => {
    vi.doUnmock("sharp");
    vi.resetModules();
  });

  it("says that sharp is needed and how to install it", async () => {
    vi.resetModules();
    vi.doMock("sharp", () => {
      throw new Error("Cannot find package 'sharp'");
    });
    const { loadImageFolder: load } = await import("../../lib/data/folder.ts");
    await expect(load(dir)).rejects.toThrow(/needs the package sharp, which is not installed: npm install sharp/);
  });
});

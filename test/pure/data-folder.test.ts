import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { loadImageFolder } from "../../lib/data/folder.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { imageFolder, sharp } from "../images.ts";

const { dir, png } = imageFolder("folder");

describe.skipIf(sharp === undefined)("loadImageFolder", () => {
  it("reads classes in sorted order, as RGB, and leaves other files out", async () => {
    await png("a/dog/1.png", 2, 3, [10, 20, 30]);
    await png("a/cat/2.png", 2, 3, [40, 50, 60]);
    await png("a/cat/1.png", 2, 3, [70, 80, 90]);
    await png("a/cat/.hidden.png", 9, 9, [1, 2, 3]);
    writeFileSync(join(dir, "a/cat/notes.txt"), "not an image");
    const data = await loadImageFolder(join(dir, "a"));
    expect(data).toMatchObject({ name: "a", count: 3, shape: [2, 3, 3], classes: ["cat", "dog"] });
    expect([...data.targets]).toEqual([0, 0, 1]);
    expect([...data.images.subarray(0, 3)]).toEqual([70, 80, 90]);
    expect([...data.images.subarray(18, 21)]).toEqual([40, 50, 60]);
    expect([...data.images.subarray(36, 39)]).toEqual([10, 20, 30]);
    expect(data.notes).toEqual(["left out 2 files: 1 .txt, 1 hidden file (a/cat/notes.txt, a/cat/.hidden.png)"]);
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
      /expected images of 4x4 pixels like s.x.1\.png, received 4x6 in s.x.2\.png; the option size/,
    );
    expect((await loadImageFolder(join(dir, "s"), { size: 3 })).shape).toEqual([3, 3, 3]);
    expect((await loadImageFolder(join(dir, "s"), { size: [2, 5] })).shape).toEqual([2, 5, 3]);
    await expect(loadImageFolder(join(dir, "s"), { size: 0 })).rejects.toThrow(BayesError);
  });

  it("refuses a missing folder, no classes, an empty class", async () => {
    await expect(loadImageFolder(join(dir, "none"))).rejects.toThrow(/cannot read .*none: no such file/);
    mkdirSync(join(dir, "empty"));
    await expect(loadImageFolder(join(dir, "empty"))).rejects.toThrow(/one folder per class/);
    mkdirSync(join(dir, "empty/cat"));
    await png("empty/dog/1.png", 2, 2, [1, 1, 1]);
    writeFileSync(join(dir, "empty/cat/1.heic"), "");
    await expect(loadImageFolder(join(dir, "empty"))).rejects.toThrow(
      /expected images in every class folder, received none in cat \(1 \.heic\)/,
    );
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
      /bad\] expected images, received a file that cannot be decoded: bad.x.1\.png \(it is none of png, /,
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
    mkdirSync(join(dir, "n/x"), { recursive: true });
    writeFileSync(join(dir, "n/x/1.png"), "");
    await expect(load(join(dir, "n"))).rejects.toThrow(
      /needs the package sharp, which is not installed: npm install sharp/,
    );
  });
});

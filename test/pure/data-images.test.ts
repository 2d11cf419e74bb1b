import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { each, IN_FLIGHT, openDecoder, within } from "../../lib/data/decode.ts";
import { loadImageFolder } from "../../lib/data/folder.ts";
import { formatOf, isImage } from "../../lib/data/format.ts";
import { takeInput } from "../../lib/data/image-input.ts";
import { loadImages, parseSize } from "../../lib/data/images.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { imageFolder, sharp } from "../images.ts";

const { dir, image, png, place } = imageFolder("images");

describe("formatOf", () => {
  it.each([
    ["jpeg", "\xff\xd8\xff\xe0\0\x10JFIF"],
    ["gif", "GIF89a"],
    ["webp", "RIFF\x10\0\0\0WEBPVP8 "],
    ["tiff", "II*\0\x08\0\0\0"],
    ["avif", "\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf"],
    ["HEIC", "\0\0\0\x18ftypheic\0\0\0\0mif1heic"],
    ["BMP", "BM\x36\x0c\0\0\0\0\0\0\x36"],
    [undefined, "BMI,image\n20,1.png"],
    ["SVG", '  <svg xmlns="http://www.w3.org/2000/svg">'],
    ["HTML", "<!DOCTYPE html><title>404"],
    [undefined, "RIFF\x10\0\0\0WAVEfmt "],
    [undefined, "\0\0\0\x18ftypisom"],
    [undefined, ""],
  ])("tells %s by the first bytes", (format, text) => {
    expect(formatOf(Buffer.from(text, "latin1"))).toBe(format);
  });

  it("takes a camera's raw file for no TIFF image, and looks at content only where the name does not tell", () => {
    const tiff = () => Buffer.from("II*\0", "latin1");
    expect([isImage("a.CR2", tiff), isImage("scan", tiff), isImage("a.tif", tiff)]).toEqual([
      undefined,
      "by content",
      "by name",
    ]);
    expect(isImage("a.JPE", () => expect.unreachable())).toBe("by name");
  });
});

describe("within", () => {
  it("never lets more bytes be held at once than fit, and lets what is larger alone", async () => {
    const sizes = [0.4, 0.4, 0.4, 0.9, 2, 0.1, 1, 0.3, 0.8, 5].map((part) => part * IN_FLIGHT);
    const running: number[] = [];
    const done = await each([...sizes, Number.NaN], (size, i) =>
      within(Number.isNaN(size) ? 1 : size, async () => {
        if (Number.isNaN(size)) throw new Error("one that fails");
        running.push(size);
        const sum = running.reduce((a, b) => a + b);
        expect(sum <= IN_FLIGHT + 1 || running.length === 1).toBe(true);
        await new Promise((wake) => setTimeout(wake, i % 3));
        running.splice(running.indexOf(size), 1);
        return i;
      }).catch(() => -1),
    );
    expect(done).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1]);
  });
});

describe("each", () => {
  it("begins nothing more once one has failed", async () => {
    const begun: number[] = [];
    const work = async (i: number) => {
      begun.push(i);
      await new Promise((wake) => setTimeout(wake, 1));
      if (i === 3) throw new Error("this one");
    };
    await expect(each([...Array(1000).keys()], work, 4)).rejects.toThrow("this one");
    await new Promise((wake) => setTimeout(wake, 20));
    expect(begun.length).toBeLessThan(12);
  });
});

describe("within, of one who came first", () => {
  it("lets a large image pass before small ones that come later", async () => {
    const order: string[] = [];
    const work = (name: string) => async () => {
      await new Promise((wake) => setTimeout(wake, 1));
      order.push(name);
    };
    const small = () => within(0.4 * IN_FLIGHT, work("small"));
    await Promise.all([small(), within(IN_FLIGHT, work("large")), small(), small(), small()]);
    expect(order).toEqual(["small", "large", "small", "small", "small"]);
  });
});

describe.skipIf(sharp === undefined)("reading images", () => {
  it("takes images by content, under any name", async () => {
    const red = image(4, 4, [250, 0, 0]);
    const formats = {
      "1.jfif": "jpeg",
      "2.JPE": "jpeg",
      "3": "png",
      "4.dat": "webp",
      "5.jpg": "png",
      "6.avif": "avif",
      "7.TIFF": "tiff",
      "8.gif": "gif",
    } as const;
    for (const [name, format] of Object.entries(formats))
      await red
        .clone()
        .toFormat(format)
        .toFile(place(`any/x/${name}`));
    const data = await loadImageFolder(join(dir, "any"));
    expect(data.count).toBe(8);
    expect(data.notes).toEqual(["took for images by their content: 2 files (any/x/3, any/x/4.dat)"]);
    for (let i = 0; i < data.count; i++) expect(data.images[i * 48]).toBeGreaterThan(240);
  });

  it("lays transparent images on white, or on the background asked for", async () => {
    await png("clear/x/rgb.png", 2, 2, [100, 0, 50, 0]);
    await png("clear/x/half.png", 2, 2, [100, 100, 100, 51]);
    await png("clear/y/grey.png", 2, 2, [100, 0]);
    const { images } = await loadImageFolder(join(dir, "clear"));
    expect([...images.subarray(0, 3)]).toEqual([224, 224, 224]);
    expect([...images.subarray(12, 15), ...images.subarray(24, 27)]).toEqual([255, 255, 255, 255, 255, 255]);
    const blue = await loadImageFolder(join(dir, "clear"), { background: "#0000ff" });
    expect([...blue.images.subarray(12, 15)]).toEqual([0, 0, 255]);
    await expect(loadImageFolder(join(dir, "clear"), { background: "no colour" })).rejects.toThrow(
      '[images] expected background as a colour, such as "white" or "#808080", received "no colour"',
    );
  });

  it("turns images upright, and brings 16 bits and CMYK to bytes of sRGB", async () => {
    const wide = Uint8Array.of(9, 9, 9, 200, 200, 200);
    const raw = { raw: { width: 2, height: 1, channels: 3 } } as const;
    await sharp!(wide, raw).png().withMetadata({ orientation: 6 }).toFile(place("odd/x/1.png"));
    const turned = await loadImageFolder(join(dir, "odd"));
    expect(turned.shape).toEqual([2, 1, 3]);
    expect([...turned.images]).toEqual([...wide]);
    const deep = sharp!(Uint8Array.of(100, 150, 200), { raw: { width: 1, height: 1, channels: 3 } });
    await deep.clone().toColourspace("rgb16").png().toFile(place("deep/x/1.png"));
    expect((await sharp!(join(dir, "deep/x/1.png")).metadata()).depth).toBe("ushort");
    expect([...(await loadImageFolder(join(dir, "deep"))).images]).toEqual([100, 150, 200]);
    await sharp!({ create: { width: 8, height: 8, channels: 3, background: "#c04020" } })
      .toColourspace("cmyk")
      .jpeg({ quality: 100 })
      .toFile(place("cmyk/x/1.jpg"));
    const cmyk = await loadImageFolder(join(dir, "cmyk"));
    expect(cmyk.shape).toEqual([8, 8, 3]);
    expect(cmyk.images[0]).toBeGreaterThan(cmyk.images[2] + 80);
  });

  it("takes the first frame of an animation, and says so", async () => {
    const frames = Uint8Array.from({ length: 2 * 4 * 4 * 3 }, (_, i) => (i < 48 ? 255 : 0));
    for (const format of ["gif", "webp"] as const)
      await sharp!(frames, { raw: { width: 4, height: 8, channels: 3, pageHeight: 4 } })
        .toFormat(format)
        .toFile(place(`moving/x/1.${format}`));
    const data = await loadImageFolder(join(dir, "moving"));
    expect([data.count, ...data.shape.slice(0, 2)]).toEqual([2, 4, 4]);
    expect(Math.min(...data.images)).toBeGreaterThan(250);
    expect(data.notes).toEqual([
      expect.stringMatching(/^took the first frame of 2 images with several: moving.x.1\.gif, moving.x.1\.webp$/),
    ]);
  });

  it("names all files that cannot be decoded, and leaves them out when told to", async () => {
    for (let i = 0; i < 4; i++) await png(`bad/x/${i}.png`, 2, 2, [i, 0, 0]);
    await png("bad/y/good.png", 2, 2, [9, 0, 0]);
    const good = readFileSync(join(dir, "bad/x/1.png"));
    writeFileSync(join(dir, "bad/x/1.png"), good.subarray(0, good.length - 20));
    writeFileSync(join(dir, "bad/x/2.png"), "");
    writeFileSync(join(dir, "bad/y/a.jpg"), "<html>not found</html>");
    writeFileSync(join(dir, "bad/y/b.jpg"), '<svg xmlns="http://www.w3.org/2000/svg" width="2" height="2"/>');
    const message = await loadImageFolder(join(dir, "bad")).then(
      () => expect.unreachable(),
      (error: Error) => error.message,
    );
    expect(message).toMatch(/expected images, received 4 files that cannot be decoded: bad.x.1\.png \(/);
    for (const part of [
      "2.png (it is empty)",
      "a.jpg (it is HTML, not one of png, ",
      "b.jpg (it is SVG",
      "the option skipCorrupt (--skip-corrupt) leaves them out",
    ])
      expect(message).toContain(part);
    const data = await loadImageFolder(join(dir, "bad"), { skipCorrupt: true });
    expect([...data.targets]).toEqual([0, 0, 1]);
    expect(Array.from({ length: 3 }, (_, i) => data.images[i * 12])).toEqual([0, 3, 9]);
    expect(data.notes).toEqual([expect.stringMatching(/^left out 4 corrupt images: bad.x.1\.png \(/)]);
    writeFileSync(join(dir, "bad/y/good.png"), "none");
    await expect(loadImageFolder(join(dir, "bad"), { skipCorrupt: true })).rejects.toThrow(
      /images that can be decoded in every class folder, received none in y/,
    );
  });

  it("names ten of many, and counts the rest", async () => {
    for (let i = 0; i < 13; i++) writeFileSync(place(`many/x/${i}.png`), "none");
    await expect(loadImageFolder(join(dir, "many"))).rejects.toThrow(/13 files that.*; and 3 more; the option/);
  });

  it.each<[string, string | Uint8Array, string]>([
    ["SVG", '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "it is SVG, not one of png, jpeg, webp"],
    [
      "SVG behind a comment",
      '<!-- x --><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
      "it is none of png",
    ],
    ["SVG behind a mark", '\ufeff<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "it is none of png"],
    ["packed SVG", gzipSync('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), "it is none of png"],
    ["PDF", "%PDF-1.4\n1 0 obj<<>>endobj", "it is PDF, not one of"],
    ["HEIF", Buffer.from("\0\0\0\x18ftypheic\0\0\0\0mif1heic", "latin1"), "it is HEIC, not one of"],
    ["JPEG XL", Buffer.from("\0\0\0\x0cJXL \r\n\x87\n", "latin1"), "it is none of png"],
    ["JPEG 2000", Buffer.from("\0\0\0\x0cjP  \r\n\x87\n", "latin1"), "it is none of png"],
    ["PPM", "P6 1 1 255\nabc", "it is none of png"],
    ["BMP", Buffer.from("BM\x36\x0c\0\0\0\0\0\0\x36", "latin1"), "it is BMP, not one of"],
  ])("never shows %s to the decoder, whatever it is called", async (_, bytes, reason) => {
    for (const name of ["1.png", "2"]) writeFileSync(place(`called/${name}`), bytes);
    const files = ["1.png", "2"].map((name) => join(dir, "called", name));
    await expect(loadImages(files, [2, 2, 3])).rejects.toMatchObject({
      code: "ERR_BAYES_FILE",
      message: expect.stringContaining(`1.png (${reason}`),
    });
    await expect(loadImages(files, [2, 2, 3])).rejects.toThrow(`2 (${reason}`);
  });

  it("keeps nothing of an image that has been read: the decoder's cache is off", async () => {
    sharp!.cache(true);
    await png("kept/x/1.png", 64, 64, [1, 2, 3]);
    await loadImageFolder(join(dir, "kept"));
    expect(sharp!.cache()).toMatchObject({ memory: { current: 0 }, items: { current: 0, max: 0 } });
  });

  it("refuses an image of more than 100 million pixels by its header", async () => {
    await png("large/x/1.png", 2, 2, [1, 2, 3]);
    const bytes = readFileSync(join(dir, "large/x/1.png"));
    bytes.writeUInt32BE(10_001, 16); // width and height, in the header chunk that begins at 12 and ends with its checksum
    bytes.writeUInt32BE(10_000, 20);
    bytes.writeUInt32BE(crc32(bytes.subarray(12, 29)), 29);
    writeFileSync(join(dir, "large/x/1.png"), bytes);
    await expect(loadImageFolder(join(dir, "large"), { size: 8 })).rejects.toThrow(
      /it has 10000x10001 pixels, more than 100000000 in all/,
    );
    // 9,000 x 9,000 pixels of four float32, a TIFF file of its header alone.
    const fields = [
      [256, 4, 1, 9000],
      [257, 4, 1, 9000],
      [258, 3, 4, 200], // bits of a value, at 200
      [262, 3, 1, 2],
      [273, 4, 1, 8],
      [277, 3, 1, 4],
      [278, 4, 1, 9000],
      [279, 4, 1, 9000 * 9000 * 16],
      [339, 3, 4, 208], // floats, at 208
    ];
    const tiff = Buffer.alloc(400);
    tiff.write("II*\0\x08\0\0\0", "latin1");
    tiff.writeUInt16LE(fields.length, 8);
    for (const [i, [tag, type, count, value]] of fields.entries()) {
      tiff.writeUInt16LE(tag, 10 + 12 * i);
      tiff.writeUInt16LE(type, 12 + 12 * i);
      tiff.writeUInt32LE(count, 14 + 12 * i);
      tiff.writeUInt32LE(value, 18 + 12 * i);
    }
    for (let c = 0; c < 4; c++) {
      tiff.writeUInt16LE(32, 200 + 2 * c);
      tiff.writeUInt16LE(3, 208 + 2 * c);
    }
    writeFileSync(join(dir, "large/x/1.png"), tiff);
    await expect(loadImageFolder(join(dir, "large"), { size: 8 })).rejects.toThrow(
      /it has 1296000000 bytes decoded, more than 800000000/,
    );
  });
});

describe.skipIf(sharp === undefined)("loadImages", () => {
  it("reads files and folders of any depth, at a model's size", async () => {
    await png("some/1.png", 8, 4, [10, 20, 30]);
    await png("some/deep/er/2.png", 3, 9, [40]);
    writeFileSync(place("some/notes.txt"), "");
    const loaded = await loadImages([join(dir, "some"), join(dir, "some/1.png")], [5, 5, 3]);
    expect(loaded).toMatchObject({ count: 3, shape: [5, 5, 3], failed: [] });
    expect(loaded.files.map((file) => file.slice(dir.length + 1))).toEqual([
      "some/1.png",
      "some/deep/er/2.png",
      "some/1.png",
    ]);
    expect([...loaded.images.subarray(75, 78)]).toEqual([40, 40, 40]);
    expect(loaded.notes).toEqual(["left out 1 file: 1 .txt (some/notes.txt)"]);
    const grey = await loadImages(join(dir, "some/deep"), [2, 2, 1]);
    expect([...grey.images]).toEqual([40, 40, 40, 40]);
  });

  it("gives up only the files that cannot be read", async () => {
    await png("mix/ok.png", 2, 2, [1, 2, 3]);
    writeFileSync(place("mix/bad.png"), "none");
    mkdirSync(place("mix/folder.png"));
    execFileSync("mkfifo", [place("mix/pipe.png")]);
    const files = ["bad.png", "ok.png", "missing.png", "pipe.png"].map((name) => join(dir, "mix", name));
    const loaded = await loadImages(files, [2, 2, 3]);
    expect([...loaded.images.subarray(0, 3)]).toEqual([1, 2, 3]);
    expect(loaded.files).toEqual([files[1]]);
    expect(loaded.failed).toEqual([
      { file: files[0], reason: expect.stringContaining("none of png") },
      { file: files[2], reason: "no such file" },
      { file: files[3], reason: "it is a pipe" },
    ]);
    await expect(loadImages([files[0]], [2, 2, 3])).rejects.toThrow(
      /\[images\] expected images, received a file that cannot be decoded: .*bad\.png/,
    );
    await expect(loadImages([files[0], files[2], files[3]], [2, 2, 3])).rejects.toThrow(
      /3 files that cannot be decoded: .*bad\.png.*missing\.png \(no such file\)/,
    );
    mkdirSync(place("void/within"), { recursive: true });
    await expect(loadImages(join(dir, "void"), [2, 2, 3])).rejects.toThrow(
      /at least one image, received none; no images in 1 folder: .*void/,
    );
    await expect(loadImages([], [2, 2, 3])).rejects.toThrow(/paths of image files or folders/);
    await expect(loadImages(files, [2, 2, 2])).rejects.toThrow(/1 or 3 input channels, received 2/);
    await expect(loadImages(files, [2, 0, 3])).rejects.toThrow(/width to be an integer from 1/);
  });

  it.skipIf(process.getuid?.() === 0)("says when a file may not be read", async () => {
    await png("closed/1.png", 2, 2, [1, 2, 3]);
    chmodSync(join(dir, "closed/1.png"), 0);
    await expect(loadImages(join(dir, "closed"), [2, 2, 3])).rejects.toThrow(/no permission to read it/);
  });

  it("sees what a file holds now, not what it held before", async () => {
    await png("again/1.png", 2, 2, [1, 1, 1]);
    await png("again/other.png", 2, 2, [2, 2, 2]);
    const path = join(dir, "again/1.png");
    expect((await loadImages(path, [2, 2, 3])).images[0]).toBe(1);
    copyFileSync(join(dir, "again/other.png"), path);
    expect((await loadImages(path, [2, 2, 3])).images[0]).toBe(2);
  });

  it("ends in a BayesError or images, whatever the bytes are", async () => {
    await png("fuzz/1.png", 3, 3, [1, 2, 3]);
    const good = readFileSync(join(dir, "fuzz/1.png"));
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc
        .constantFrom("\x89PNG\r\n\x1a\n", "\xff\xd8\xff", "GIF89a", "II*\0", "<svg")
        .chain((start) =>
          fc.uint8Array({ maxLength: 40 }).map((rest) => Buffer.concat([Buffer.from(start, "latin1"), rest])),
        ),
      fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, value]) => Buffer.from(good).fill(value, at, at + 1)),
    );
    await fc.assert(
      fc.asyncProperty(hostile, async (bytes) => {
        writeFileSync(join(dir, "fuzz/1.png"), bytes);
        await loadImages(join(dir, "fuzz"), [3, 3, 3]).then(
          ({ count }) => expect(count).toBe(1),
          (error) => expect(error).toBeInstanceOf(BayesError),
        );
      }),
      { numRuns: 60 },
    );
  });
});

describe.skipIf(sharp === undefined)("images for which there is no memory", () => {
  it("are refused before they are decoded, or streamed", async () => {
    await png("room/x/1.png", 2, 2, [1, 2, 3]);
    const free = vi.spyOn(process, "availableMemory").mockReturnValue(2 ** 28);
    try {
      const size = 9500; // 271 MB each
      const refused = {
        code: "ERR_BAYES_MEMORY",
        message: expect.stringContaining("expected 0.252 GiB of free memory"),
      };
      await expect(loadImageFolder(join(dir, "room"), { size })).rejects.toMatchObject(refused);
      await expect(loadImageFolder(join(dir, "room"), { size })).rejects.toThrow(/the option stream \(--stream\)/);
      await expect(loadImages(join(dir, "room"), [size, size, 3])).rejects.toMatchObject(refused);
    } finally {
      free.mockRestore();
    }
  });
});

describe("a stream of bytes", () => {
  it("takes the memory of its bytes, however small its chunks are", async () => {
    async function* drops() {
      for (let i = 0; i < 300_000; i++) yield Uint8Array.of(i);
    }
    const taken = takeInput("t", drops()) as { later: () => Promise<Uint8Array> };
    const before = process.memoryUsage().arrayBuffers;
    const bytes = await taken.later();
    expect([bytes.length, bytes[77], bytes[299_999]]).toEqual([300_000, 77, 299_999 % 256]);
    expect(bytes.buffer.byteLength).toBeLessThan(2 * 300_000);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 << 20);
  });
});

describe("parseSize", () => {
  it("takes one side, or height and width", () => {
    expect([parseSize("32"), parseSize("48x64"), parseSize("48X64")]).toEqual([32, [48, 64], [48, 64]]);
    for (const text of ["", "x", "32x", "0", "4x0", "1.5", "-3", "32x32x3", "99999", "3 2"])
      expect(() => parseSize(text)).toThrow(BayesError);
  });
});

describe.skipIf(!sharp)("a file", () => {
  it("is opened once, also where header and pixels are asked for: it may be gone in between", async () => {
    await png("once/x/1.png", 3, 2, [10, 20, 30]);
    const path = place("once/x/1.png");
    const decoder = await openDecoder();
    const read = await decoder.image(path, ({ height, width }) => {
      rmSync(path);
      return [height, width, 3];
    });
    expect(read).toMatchObject({ head: { height: 3, width: 2, grey: false } });
    expect("pixels" in read && [...(read.pixels as Uint8Array)]).toEqual(Array(6).fill([10, 20, 30]).flat());
  });

  it("of colours behind grey ones makes the set one of colours, whoever comes first", async () => {
    for (const [i, order] of [
      ["1", "2", "3"],
      ["3", "2", "1"],
    ].entries()) {
      await png(`mixed${i}/x/${order[0]}.png`, 2, 2, [7]);
      await png(`mixed${i}/x/${order[1]}.png`, 2, 2, [8]);
      await png(`mixed${i}/x/${order[2]}.png`, 2, 2, [1, 2, 3]);
      const { images, shape } = await loadImageFolder(place(`mixed${i}`));
      const each = [[7, 7, 7], [8, 8, 8], [1, 2, 3]].map((rgb) => Array(4).fill(rgb).flat()); // biome-ignore format: short
      expect(shape).toEqual([2, 2, 3]);
      expect([...images]).toEqual((i === 0 ? each : each.toReversed()).flat());
    }
  });
});

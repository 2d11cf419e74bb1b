// Files that are nearly right: every reader gives a set or one sentence, in little time.
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadCifar10, loadCifar100, parseCifar } from "../../lib/data/cifar.ts";
import { openDecoder } from "../../lib/data/decode.ts";
import { loadImageFolder } from "../../lib/data/folder.ts";
import { readIdx } from "../../lib/data/idx.ts";
import { pixelsFor, takeInput } from "../../lib/data/image-input.ts";
import { loadImages } from "../../lib/data/images.ts";
import { loadMnist } from "../../lib/data/mnist.ts";
import { loadTable } from "../../lib/data/table.ts";
import { readTar } from "../../lib/data/tar.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { imageFolder, sharp } from "../images.ts";
import { tries } from "../tries.ts";

const { dir, image, png } = imageFolder("mutated");
const CODES = ["ERR_BAYES_FILE", "ERR_BAYES_DATA"];

/** Bytes put in, taken out, overwritten, flipped, cut, doubled; or others altogether. */
const mutated = (good: Uint8Array): fc.Arbitrary<Uint8Array> => {
  const at = fc.oneof(fc.nat(Math.min(64, good.length - 1)), fc.nat(good.length - 1)); // headers more often
  const some = fc.oneof(
    fc.uint8Array({ maxLength: 8 }),
    fc
      .constantFrom(
        "\0",
        "\xff\xff\xff\xff",
        "\x7f\xff\xff\xff",
        '"',
        "\r",
        "\n",
        ",",
        "\x1b[31m",
        "\xef\xbb\xbf",
        "-1",
        "1e999",
      )
      .map((text) => Uint8Array.from(Buffer.from(text, "latin1"))),
  );
  const edit = fc.tuple(fc.constantFrom("put", "take", "over", "flip", "cut", "twice"), at, some);
  const apply = (bytes: Uint8Array, [how, place, what]: [string, number, Uint8Array]): Uint8Array => {
    const [before, after] = [bytes.subarray(0, place), bytes.subarray(place)];
    if (how === "put") return Buffer.concat([before, what, after]);
    if (how === "take") return Buffer.concat([before, after.subarray(what.length)]);
    if (how === "over") return Buffer.concat([before, what, after.subarray(what.length)]);
    if (how === "cut") return Uint8Array.from(before);
    if (how === "twice") return Buffer.concat([bytes, after]);
    const out = Uint8Array.from(bytes);
    if (place < out.length) out[place] ^= 1 << ((what[0] ?? 0) % 8);
    return out;
  };
  return fc.oneof(
    { arbitrary: fc.array(edit, { minLength: 1, maxLength: 4 }).map((edits) => edits.reduce(apply, good)), weight: 9 },
    { arbitrary: fc.uint8Array({ maxLength: 200 }), weight: 1 },
  );
};

const idx = (dims: readonly number[], data: Uint8Array): Uint8Array => {
  const head = Buffer.alloc(4 + 4 * dims.length);
  head.set([0, 0, 8, dims.length]);
  dims.forEach((d, i) => {
    head.writeUInt32BE(d, 4 + 4 * i);
  });
  return Buffer.concat([head, data]);
};
const ramp = (n: number, most = 256) => Uint8Array.from({ length: n }, (_, i) => i % most);
const file = (name: string, bytes: Uint8Array) => {
  const path = join(dir, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, bytes);
  return path;
};

interface Case {
  readonly good: Uint8Array;
  readonly read: (bytes: Uint8Array) => unknown;
}
const images = idx([4, 3, 3], ramp(36));
const record = (labels: number) => ramp(labels + 3072, 10);
const tarOf = (name: string, data: Uint8Array) => {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write(`${data.length.toString(8).padStart(11, "0")}\0`, 124);
  header.write("        0ustar\x0000", 148);
  header.write(
    `${header
      .reduce((a, b) => a + b)
      .toString(8)
      .padStart(6, "0")}\0 `,
    148,
  );
  return Buffer.concat([header, data, Buffer.alloc(512 - (data.length % 512) + 1024)]);
};
const names = (count: number) => Buffer.from(Array.from({ length: count }, (_, i) => `name ${i}\n`).join(""));
const csv = Buffer.from('image,label,split\n"img/0.png",a,train\nimg/1.png,"b ""c""",train\nimg/2.png,a,test\n');
const jsonl = Buffer.from('{"image":"img/0.png","age":1}\n{"image":"img/1.png","age":2.5e1}\n'.repeat(3));

for (const part of ["train", "t10k"])
  for (const folder of ["mnist", "mnist-labels"]) {
    file(`${folder}/${part}-images-idx3-ubyte`, images);
    file(`${folder}/${part}-labels-idx1-ubyte`, idx([4], ramp(4)));
  }
for (const part of [1, 2, 3, 4, 5]) file(`cifar/data_batch_${part}.bin`, record(1));
file("cifar/test_batch.bin", record(1));
file("cifar100/test.bin", gzipSync(record(2)));
file("cifar100/fine_label_names.txt", gzipSync(names(100)));

/** Loads a whole set of which one file has these bytes. */
const within =
  <T>(name: string, load: (folder: string) => T) =>
  (bytes: Uint8Array): T => {
    const path = file(name, bytes);
    return load(dirname(path));
  };

const cases: Readonly<Record<string, Case>> = {
  IDX: { good: images, read: (bytes) => readIdx(file("a.idx", bytes)) },
  "packed IDX": { good: gzipSync(images), read: (bytes) => readIdx(file("b.idx", bytes)) },
  "IDX of images": { good: images, read: within("mnist/train-images-idx3-ubyte", loadMnist) },
  "IDX of labels": { good: idx([4], ramp(4)), read: within("mnist-labels/train-labels-idx1-ubyte", loadMnist) },
  "CIFAR-10": { good: record(1), read: (bytes) => parseCifar(bytes, "cifar-10", "t") },
  "packed CIFAR-100": { good: gzipSync(record(2)), read: within("cifar100/train.bin", loadCifar100) },
  "class names": { good: names(10), read: within("cifar/batches.meta.txt", loadCifar10) },
  tar: { good: tarOf("d/a.bin", ramp(100)), read: (bytes) => readTar(bytes, "t") },
  "CSV table": { good: csv, read: (bytes) => loadTable(file("t.csv", bytes)) },
  "JSON table": { good: jsonl, read: (bytes) => loadTable(file("t.jsonl", bytes)) },
};

async function check(read: (bytes: Uint8Array) => unknown, good: Uint8Array, numRuns: number): Promise<void> {
  await read(good);
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(mutated(good), async (bytes) => {
      try {
        await read(bytes);
      } catch (error) {
        refused++;
        if (!(error instanceof BayesError)) throw error;
        expect(CODES, error.message).toContain(error.code);
        expect(error.message).toMatch(/^\[[^\n]+\] [^\n]+$/);
      }
    }),
    { numRuns, seed: createHash("md5").update(good).digest().readInt32LE(0) },
  );
  expect(refused).toBeGreaterThan(numRuns / 20);
  tries("data files that are nearly right", numRuns);
}

describe("a file that is nearly right", () => {
  it.each(Object.keys(cases))("%s", async (name) => {
    if (name.endsWith("table")) {
      if (sharp === undefined) return console.log("skipped: a table of images, without the package sharp");
      for (let i = 0; i < 3; i++) await png(`img/${i}.png`, 2, 2, [i, 2, 3]);
    }
    await check(cases[name].read, cases[name].good, name.endsWith("table") ? 60 : 100);
  });

  const formats = ["png", "jpeg", "webp", "gif", "tiff", "avif"] as const;
  it.skipIf(sharp === undefined).each(formats)("%s", async (format) => {
    const good = await image(6, 5, [1, 2, 3]).toFormat(format).toBuffer();
    await png("pictures/b/0.png", 2, 2, [1, 2, 3]);
    const decoder = await openDecoder();
    const wanted = { shape: [3, 3, 3] as const, preprocess: undefined, decoder: async () => decoder };
    const read = async (bytes: Uint8Array) => {
      const path = file("pictures/a/1.png", bytes);
      await loadImageFolder(join(dir, "pictures"), { size: 3, skipCorrupt: true }).catch((error) => {
        expect(error.message).toMatch(/none in a/);
      });
      expect(await pixelsFor("t", takeInput("t", bytes), wanted)).toHaveLength(27);
      await loadImages(path, [3, 3, 3]);
    };
    await check(read, good, format === "avif" ? 15 : 40);
  });
});

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadCifar10, loadCifar100, parseCifar } from "../../lib/data/cifar.ts";
import { parseIdx, readIdx } from "../../lib/data/idx.ts";
import { loadData } from "../../lib/data/locate.ts";
import { loadMnist } from "../../lib/data/mnist.ts";
import { BayesError } from "../../lib/util/errors.ts";

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "bayescnn-formats-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function idx(dims: number[], data: Uint8Array, type = 8): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * dims.length + data.length);
  bytes.set([0, 0, type, dims.length]);
  dims.forEach((d, i) => {
    new DataView(bytes.buffer).setUint32(4 + 4 * i, d);
  });
  bytes.set(data, 4 + 4 * dims.length);
  return bytes;
}
const ramp = (n: number) => Uint8Array.from({ length: n }, (_, i) => i);

/** The parser may only return or throw a BayesError, whatever comes in. */
function onlyBayesErrors(parse: () => unknown): void {
  try {
    parse();
  } catch (error) {
    expect(error).toBeInstanceOf(BayesError);
  }
}

describe("parseIdx", () => {
  it("reads arrays of any rank up to 4, packed or not", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        (dims, gz) => {
          const data = ramp(dims.reduce((a, b) => a * b, 1));
          const bytes = idx(dims, data);
          const read = parseIdx(gz ? gzipSync(bytes) : bytes, "t");
          expect(read.dims).toEqual(dims);
          expect([...read.data]).toEqual([...data]);
        },
      ),
    );
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["an empty file", new Uint8Array(0), /at least 4 bytes, received 0 bytes/],
    ["a wrong magic number", Uint8Array.of(1, 2, 3, 4, 5), /two zero bytes, received 0x01020304/],
    ["floats", idx([1], new Uint8Array(4), 0x0d), /type 8 \(unsigned byte\), received type 13/],
    ["rank zero", Uint8Array.of(0, 0, 8, 0), /1 to 4 dimensions/],
    ["rank 255", Uint8Array.of(0, 0, 8, 255, 1, 1, 1, 1), /1 to 4 dimensions/],
    ["a cut header", idx([2, 2], new Uint8Array(0)).subarray(0, 9), /header of 12 bytes, received 9 bytes/],
    ["a zero dimension", idx([5, 0], new Uint8Array(0)), /no dimension of size zero, received \[5, 0\]/],
    ["missing values", idx([2, 3], ramp(5)), /6 values \(2 x 3\), received only 5/],
    ["trailing bytes", idx([2, 3], ramp(7)), /6 values \(2 x 3\), received trailing bytes/],
    ["a huge count", idx([0xffffffff, 0xffffffff], ramp(8)), /at most \d+ values/],
    ["a large count with few bytes", idx([1 << 20, 1 << 10], ramp(8)), /received only 8/],
  ])("refuses %s, packed or not", (_, bytes, message) => {
    expect(() => parseIdx(bytes, "file.idx")).toThrow(BayesError);
    expect(() => parseIdx(bytes, "file.idx")).toThrow(message);
    expect(() => parseIdx(bytes, "file.idx")).toThrow(/^\[file\.idx\]/);
    expect(() => parseIdx(gzipSync(bytes), "file.idx")).toThrow(BayesError);
  });

  it("stops a decompression bomb at the declared size", () => {
    const bomb = gzipSync(idx([10], new Uint8Array(64 << 20)));
    const before = process.memoryUsage().arrayBuffers;
    expect(() => parseIdx(bomb, "bomb")).toThrow(/unpacks to at most 19 bytes/);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 << 20);
  });

  it("does not believe a small packed file that declares gigabytes", () => {
    expect(() => parseIdx(gzipSync(idx([1 << 30], ramp(8))), "liar")).toThrow(/bytes that its header declares/);
  });

  it("refuses cut and damaged gzip", () => {
    const whole = gzipSync(idx([40, 40], ramp(1600)));
    for (let cut = 2; cut < whole.length; cut += 7) {
      expect(() => parseIdx(whole.subarray(0, cut), "t")).toThrow(BayesError);
    }
    const damaged = Uint8Array.from(whole);
    damaged[damaged.length - 6] ^= 0x55; // checksum
    expect(() => parseIdx(damaged, "t")).toThrow(/damaged/);
  });

  it("never fails otherwise than by a BayesError", () => {
    const header = fc
      .tuple(fc.constantFrom(0, 8), fc.constantFrom(0, 8, 9), fc.nat(5))
      .map(([a, t, r]) => [0, a % 8, t, r]);
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.tuple(header, fc.uint8Array({ maxLength: 40 })).map(([h, rest]) => Uint8Array.from([...h, ...rest])),
    );
    fc.assert(
      fc.property(hostile, (bytes) => onlyBayesErrors(() => parseIdx(bytes, "t"))),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(hostile, (bytes) => onlyBayesErrors(() => parseIdx(gzipSync(bytes), "t"))),
      { numRuns: 100 },
    );
    const gz = gzipSync(idx([30], ramp(30)));
    fc.assert(
      fc.property(fc.nat(gz.length - 1), fc.nat(255), (at, value) => {
        const bytes = Uint8Array.from(gz);
        bytes[at] = value;
        onlyBayesErrors(() => parseIdx(bytes, "t"));
      }),
      { numRuns: 300 },
    );
  });

  it("says that a file is missing or a folder", () => {
    expect(() => readIdx(join(dir, "none"))).toThrow(/cannot read .*none: no such file/);
    expect(() => readIdx(dir)).toThrow(BayesError);
  });
});

describe("loadMnist", () => {
  const files = (name: string, counts = [3, 3, 2, 2], rank3 = true) => {
    const path = join(dir, name);
    mkdirSync(path, { recursive: true });
    const images = (n: number) => idx(rank3 ? [n, 2, 2] : [n, 4], ramp(4 * n));
    writeFileSync(join(path, "train-images-idx3-ubyte"), images(counts[0]));
    writeFileSync(join(path, "train-labels-idx1-ubyte.gz"), gzipSync(idx([counts[1]], ramp(counts[1]))));
    writeFileSync(join(path, "t10k-images-idx3-ubyte.gz"), gzipSync(images(counts[2])));
    writeFileSync(join(path, "t10k-labels-idx1-ubyte"), idx([counts[3]], ramp(counts[3])));
    return path;
  };

  it("reads the four files, packed or not", () => {
    const { train, test } = loadMnist(files("m"), "fashion-mnist");
    expect(train).toMatchObject({ name: "fashion-mnist", count: 3, shape: [2, 2, 1] });
    expect([...train.images]).toEqual([...ramp(12)]);
    expect([...test.targets]).toEqual([0, 1]);
    expect(train.classes[9]).toBe("Ankle boot");
  });

  it("has as many classes as the labels tell where the set is none of those known", async () => {
    const path = files("letters", [26, 26, 2, 2]);
    const { train, test } = loadMnist(path, "letters");
    expect([train.classes.length, test.classes.length]).toEqual([26, 26]);
    expect(await loadData(path)).toEqual({ train, test });
    expect((await loadData(files("any/fashion-mnist"))).train.classes![9]).toBe("Ankle boot");
  });

  it("reads colours from a fourth dimension", () => {
    const path = files("rgb");
    for (const [name, n] of [
      ["train", 3],
      ["t10k", 2],
    ] as const) {
      rmSync(join(path, "t10k-images-idx3-ubyte.gz"), { force: true });
      writeFileSync(join(path, `${name}-images-idx3-ubyte`), idx([n, 2, 2, 3], ramp(12 * n)));
    }
    expect(loadMnist(path).train).toMatchObject({ shape: [2, 2, 3], count: 3 });
  });

  it("refuses files that do not fit together, or are missing", () => {
    expect(() => loadMnist(files("m2", [3, 2, 2, 2]))).toThrow(/3 labels, one for each image .*received 2/);
    expect(() => loadMnist(files("m3", [3, 3, 2, 2], false))).toThrow(
      /images \[count, height, width\], received \[3, 4\]/,
    );
    expect(() => loadMnist(files("m4", [12, 12, 2, 2]))).toThrow(/label 10 to be an integer from 0 to 9/);
    expect(() => loadMnist(join(dir, "none"))).toThrow(/train-images-idx3-ubyte or train-images-idx3-ubyte.gz/);
  });
});

/** n records: pixel p of plane c of image i is (i + 10 c + p) mod 256; label i. */
function cifar(n: number, labelBytes: number): Uint8Array {
  const record = labelBytes + 3072;
  const bytes = new Uint8Array(n * record);
  for (let i = 0; i < n; i++) {
    bytes[i * record + labelBytes - 1] = i;
    for (let k = 0; k < 3072; k++) bytes[i * record + labelBytes + k] = i + 10 * Math.floor(k / 1024) + (k % 1024);
  }
  return bytes;
}

describe("CIFAR", () => {
  it("turns planes into pixels", () => {
    for (const [name, labelBytes] of [
      ["cifar-10", 1],
      ["cifar-100", 2],
    ] as const) {
      const data = parseCifar(gzipSync(cifar(3, labelBytes)), name, "t");
      expect(data).toMatchObject({ count: 3, shape: [32, 32, 3] });
      expect([...data.targets]).toEqual([0, 1, 2]);
      for (const [i, y, x, c] of [
        [0, 0, 0, 0],
        [2, 31, 31, 2],
        [1, 3, 7, 1],
      ]) {
        expect(data.images[((i * 32 + y) * 32 + x) * 3 + c]).toBe((i + 10 * c + y * 32 + x) % 256);
      }
    }
  });

  it("reads a folder, with class names if they are there", () => {
    const path = join(dir, "c10");
    mkdirSync(path);
    for (let i = 1; i <= 5; i++) writeFileSync(join(path, `data_batch_${i}.bin`), cifar(2, 1));
    writeFileSync(join(path, "test_batch.bin.gz"), gzipSync(cifar(3, 1)));
    expect(loadCifar10(path).train).toMatchObject({ name: "cifar-10", count: 10 });
    expect(loadCifar10(path).test.classes[3]).toBe("3");
    writeFileSync(join(path, "batches.meta.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
    expect(loadCifar10(path).test.classes[3]).toBe("d");
    writeFileSync(join(path, "batches.meta.txt"), "a\nb\n");
    expect(() => loadCifar10(path)).toThrow(/10 names, one a line, received 2/);
  });

  it("refuses cut files, bad labels, missing files, and says how to unpack xz", () => {
    expect(() => parseCifar(cifar(2, 1).subarray(1), "cifar-10", "t")).toThrow(
      /records of 3073 bytes, received 6145 bytes/,
    );
    expect(() => parseCifar(new Uint8Array(0), "cifar-10", "t")).toThrow(BayesError);
    expect(() => parseCifar(cifar(11, 1), "cifar-10", "t")).toThrow(/labels from 0 to 9, received 10 in record 10/);
    expect(() => parseCifar(gzipSync(cifar(2, 1)).subarray(0, 90), "cifar-10", "t")).toThrow(/damaged or truncated/);
    const path = join(dir, "c100");
    mkdirSync(path);
    expect(() => loadCifar100(path)).toThrow(/the file train.bin or train.bin.gz/);
    writeFileSync(join(path, "train.bin.xz"), "x");
    expect(() => loadCifar100(path)).toThrow(/xz -dk/);
  });

  it("never fails otherwise than by a BayesError", () => {
    const whole = cifar(1, 2);
    const length = fc.oneof(fc.nat(100), fc.integer({ min: 3070, max: 3080 }), fc.constant(6148));
    fc.assert(
      fc.property(length, fc.uint8Array({ maxLength: 20 }), fc.boolean(), (n, start, gz) => {
        const bytes = new Uint8Array(n);
        bytes.set(whole.subarray(0, n));
        bytes.set(start.subarray(0, n));
        onlyBayesErrors(() => parseCifar(gz ? gzipSync(bytes) : bytes, "cifar-100", "t"));
        onlyBayesErrors(() => parseCifar(gz ? gzipSync(bytes).subarray(0, n) : bytes, "cifar-10", "t"));
      }),
      { numRuns: 200 },
    );
  });
});

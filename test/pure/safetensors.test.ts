import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import {
  decodeSafetensors,
  encodeSafetensors,
  readSafetensors,
  type SafeTensor,
  SafetensorsFile,
  writeSafetensors,
} from "../../lib/checkpoints/safetensors.ts";
import { BayesError } from "../../lib/util/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "bayescnn-safetensors-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file with this header text (padded by nothing) and data. */
function file(header: string | Uint8Array, data: ArrayLike<number> = []): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const out = new Uint8Array(8 + text.length + data.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  out.set(data, 8 + text.length);
  return out;
}

const DTYPES = {
  F32: { width: 4, of: (n: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i)) },
  F64: { width: 8, of: (n: number) => Float64Array.from({ length: n }, (_, i) => Math.cos(i)) },
  I32: { width: 4, of: (n: number) => Int32Array.from({ length: n }, (_, i) => i - 3) },
  I64: { width: 8, of: (n: number) => BigInt64Array.from({ length: n }, (_, i) => BigInt(i) - 3n) },
  U8: { width: 1, of: (n: number) => Uint8Array.from({ length: n }, (_, i) => i * 7) },
  U32: { width: 4, of: (n: number) => Uint32Array.from({ length: n }, (_, i) => 4e9 + i) },
} as const;

const arbTensor = fc
  .tuple(
    fc.constantFrom(...(Object.keys(DTYPES) as (keyof typeof DTYPES)[])),
    fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
  )
  .map(([dtype, shape]): SafeTensor => {
    const size = shape.reduce((a, b) => a * b, 1);
    return { dtype, shape, data: DTYPES[dtype].of(size) } as SafeTensor;
  });
const arbName = fc
  .oneof(fc.string({ unit: "binary" }), fc.constantFrom("7", "0", "__proto__", "constructor", "", '"', "\\", "\ud800"))
  .filter((name) => name !== "__metadata__");
const arbTensors = fc.array(fc.tuple(arbName, arbTensor), { maxLength: 6 }).map((pairs) => new Map(pairs));
const arbMetadata = fc.dictionary(fc.string(), fc.string(), { maxKeys: 4, noNullPrototype: true });

const tiny = new Map<string, SafeTensor>([
  ["flags", { dtype: "U8", shape: [3], data: Uint8Array.of(1, 2, 3) }],
  ["w", { dtype: "F32", shape: [1, 2], data: Float32Array.of(1, -2) }],
]);

describe("safetensors", () => {
  it("writes the documented bytes", () => {
    const header = '{"__metadata__":{"a":"b"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
    const bytes = encodeSafetensors(new Map([["w", { dtype: "F32", shape: [1], data: Float32Array.of(1) }]]), {
      a: "b",
    });
    const padded = header.padEnd(Math.ceil(header.length / 8) * 8, " ");
    expect(bytes).toEqual(file(padded, [0, 0, 0x80, 0x3f]));
  });

  it("gives back what was written, with and without alignment", () => {
    fc.assert(
      fc.property(arbTensors, arbMetadata, fc.integer({ min: 0, max: 9 }), (tensors, metadata, shift) => {
        const bytes = encodeSafetensors(tensors, metadata);
        expect(encodeSafetensors(tensors, metadata)).toEqual(bytes);
        expect(new DataView(bytes.buffer).getUint32(0, true) % 8).toBe(0);
        const moved = Buffer.alloc(bytes.length + shift).subarray(shift); // a Buffer: its slice() does not copy
        moved.set(bytes);
        const read = decodeSafetensors(moved);
        expect(read.metadata).toEqual(metadata);
        expect(new Set(read.tensors.keys())).toEqual(new Set(tensors.keys()));
        for (const [name, tensor] of tensors) expect(read.tensors.get(name)).toEqual(tensor);
      }),
      { numRuns: 200 },
    );
  });

  it("returns views of an aligned file and never of foreign memory", () => {
    const bytes = encodeSafetensors(tiny);
    expect(decodeSafetensors(bytes).tensors.get("w")?.data.buffer).toBe(bytes.buffer);
  });

  it("reads files, and says what is wrong with a missing one", () => {
    const path = join(folder, "tiny.safetensors");
    writeSafetensors(path, tiny, { step: "3" });
    const { tensors, metadata } = readSafetensors(path);
    expect(tensors).toEqual(new Map([...tiny].reverse()));
    expect(metadata).toEqual({ step: "3" });
    expect(readdirSync(folder)).toEqual(["tiny.safetensors"]);
    expect(() => readSafetensors(join(folder, "none"))).toThrow(/no such file/);
    expect(() => readSafetensors(folder)).toThrow(BayesError);
    expect(() => writeSafetensors(join(folder, "no", "x"), tiny)).toThrow(BayesError);
    writeFileSync(path, "short");
    expect(() => readSafetensors(path)).toThrow(/tiny\.safetensors.*5 bytes/);
  });

  it("reads one tensor of a file of 4 TiB and nothing else of it", () => {
    const path = join(folder, "large.safetensors");
    const large = 2 ** 42;
    const entries = `"large":{"dtype":"U8","shape":[${large}],"data_offsets":[0,${large}]}`;
    const header = file(`{${entries},"w":{"dtype":"F32","shape":[2],"data_offsets":[${large},${large + 8}]}}`);
    const fd = openSync(path, "w"); // sparse: nothing of it lies on the disk but its ends
    writeSync(fd, header);
    writeSync(fd, new Uint8Array(Float32Array.of(1, -2).buffer), 0, 8, header.length + large);
    closeSync(fd);
    const before = process.memoryUsage().arrayBuffers;
    const began = performance.now();
    {
      using open = new SafetensorsFile(path);
      expect(open.names).toEqual(["large", "w"]);
      expect(open.read("w")).toEqual({ dtype: "F32", shape: [2], data: Float32Array.of(1, -2) });
      expect(() => open.read("large")).toThrow(/expected memory for tensor "large"/); // more than an array may have
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20);
    expect(performance.now() - began).toBeLessThan(1000);
    truncateSync(path, header.length + large + 7);
    expect(() => readSafetensors(path)).toThrow(/"w".* a whole file: data_offsets within/);
    truncateSync(path, 2 ** 43); // looked at before any of it is read
    expect(() => readSafetensors(path)).toThrow(/bytes of data, as the header says, received 87960930/);
    rmSync(path);
  });

  it("refuses what is no file", () => {
    const path = join(folder, "pipe");
    spawnSync("mkfifo", [path]);
    expect(() => readSafetensors(path)).toThrow(/pipe\] expected a file, received a pipe$/);
    rmSync(path);
  });

  const one = (entry: string) => `{"a":${entry}}`;
  it.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(0), /received 0 bytes/],
    ["a header longer than the file", file("{}").fill(9, 0, 1), /header of 9 bytes/],
    ["a header beyond the limit", new Uint8Array(16).fill(255, 0, 8), /at most 100000000/],
    ["a header with a space first", file(" {}"), /starts with \{/],
    ["an array", file("[]"), /starts with \{/],
    ["half a header", file('{"a":'), /not valid JSON/],
    ["bad UTF-8", file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)), /UTF-8/],
    ["deep nesting", file(one("[".repeat(200_000))), /not valid JSON/],
    [
      "a name given twice",
      file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":1}'),
      /"a" stands twice/,
    ],
    [
      "a field given twice",
      file(one('{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,4]}'), [0, 0, 0, 0]),
      /twice/,
    ],
    ["an unknown field", file(one('{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}')), /no field but/],
    ["a tensor that is a number", file(one("1")), /an object with dtype/],
    ["a tensor that is null", file(one("null")), /an object with dtype/],
    ["an unknown dtype", file(one('{"dtype":"toString","shape":[0],"data_offsets":[0,0]}')), /one of F32/],
    ["no shape", file(one('{"dtype":"U8","data_offsets":[0,0]}')), /shape/],
    ["a negative dimension", file(one('{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}')), /integers >= 0/],
    ["a fractional dimension", file(one('{"dtype":"U8","shape":[0.5],"data_offsets":[0,0]}')), /integers >= 0/],
    ["a huge shape", file(one('{"dtype":"U8","shape":[9007199254740991,9],"data_offsets":[0,0]}')), /exact integer/],
    ["offsets backwards", file(one('{"dtype":"U8","shape":[1],"data_offsets":[1,0]}'), [0]), /1 bytes apart/],
    ["three offsets", file(one('{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}'), [0]), /two integers/],
    [
      "a size that does not fit",
      file(one('{"dtype":"F32","shape":[2],"data_offsets":[0,4]}'), [0, 0, 0, 0]),
      /8 bytes apart/,
    ],
    [
      "data beyond the end",
      file(one('{"dtype":"U8","shape":[2],"data_offsets":[0,2]}'), [0]),
      /within the file's 1 bytes/,
    ],
    ["a byte left over", file(one('{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'), [0, 0]), /1 bytes of data/],
    ["a hole at the start", file(one('{"dtype":"U8","shape":[1],"data_offsets":[1,2]}'), [0, 0]), /start at 0/],
    [
      "an overlap",
      file(
        '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
        [0, 0, 0],
      ),
      /start at 2/,
    ],
    ["metadata that is a list", file('{"__metadata__":["x"]}'), /object of strings/],
    ["metadata with a number", file('{"__metadata__":{"x":1}}'), /to be a string/],
  ])("refuses %s", (_, bytes, message) => {
    expect(() => decodeSafetensors(bytes, "x.safetensors")).toThrow(BayesError);
    expect(() => decodeSafetensors(bytes, "x.safetensors")).toThrow(message);
    expect(() => decodeSafetensors(bytes, "x.safetensors")).toThrow(/x\.safetensors/);
  });

  it("refuses to write what does not fit together", () => {
    const bad =
      (tensor: unknown, metadata = {}) =>
      () =>
        encodeSafetensors(new Map([["a", tensor as SafeTensor]]), metadata);
    expect(bad({ dtype: "F32", shape: [2], data: Float32Array.of(1) })).toThrow(/shape \[2\]/);
    expect(bad({ dtype: "F32", shape: [1], data: Float64Array.of(1) })).toThrow(/Float32Array/);
    expect(bad({ dtype: "F32", shape: [-1], data: Float32Array.of(1) })).toThrow(BayesError);
    expect(bad({ dtype: "U8", shape: [0], data: new Uint8Array(0) }, { a: 1 })).toThrow(/metadata "a"/);
    expect(() => encodeSafetensors(new Map([["__metadata__", tiny.get("w") as SafeTensor]]))).toThrow(BayesError);
  });

  it("survives arbitrary bytes and damaged files: a result or a BayesError, nothing else", () => {
    const survive = (bytes: Uint8Array) => {
      try {
        for (const { shape, data } of decodeSafetensors(bytes).tensors.values()) {
          expect(data.length).toBe(shape.reduce((a, b) => a * b, 1));
        }
      } catch (error) {
        if (!(error instanceof BayesError)) throw error;
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survive), { numRuns: 300 });
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.uint8Array({ maxLength: 20 }), (json, data) =>
        survive(file(json, data)),
      ),
      { numRuns: 300 },
    );
    const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(arbTensors, damage, fc.integer({ min: -9, max: 9 }), (tensors, changes, longer) => {
        const valid = encodeSafetensors(tensors, { kind: "test" });
        const bytes = new Uint8Array(Math.max(0, valid.length + longer));
        bytes.set(valid.subarray(0, bytes.length));
        for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
        survive(bytes);
      }),
      { numRuns: 1000 },
    );
  });
});

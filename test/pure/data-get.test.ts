import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { download } from "../../lib/data/download.ts";
import { getData, type RemoteFile, SOURCES, type Source } from "../../lib/data/get.ts";
import { readTar } from "../../lib/data/tar.ts";
import { BayesError } from "../../lib/util/errors.ts";

/** How the local server behaves, and what it was asked for. */
let handler: (request: IncomingMessage, response: ServerResponse) => void;
let requests: { url: string; range: string | undefined }[] = [];
let server: Server;
let base = "";
let dir = "";
let work = "";
let count = 0;

const payload = randomBytes(300_000);
const sum = (bytes: Uint8Array, algorithm: "sha256" | "md5" = "sha256") => ({
  algorithm,
  hex: createHash(algorithm).update(bytes).digest("hex"),
});

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "bayescnn-get-"));
  server = createServer((request, response) => {
    requests.push({ url: request.url!, range: request.headers.range });
    handler(request, response);
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(() => {
  requests = [];
  work = join(dir, String(count++));
  mkdirSync(work);
});

/** A server with Range; `cutAfter` bytes the connection of the first `cuts` requests is cut. */
function ranged(bytes: Uint8Array, cuts = 0, cutAfter = 100_000): typeof handler {
  let served = 0;
  return (request, response) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const head = {
      "content-length": bytes.length - start,
      "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}`,
    };
    response.writeHead(start > 0 ? 206 : 200, head);
    if (served++ < cuts)
      response.write(bytes.subarray(start, start + cutAfter), () => setTimeout(() => request.destroy(), 100));
    else response.end(bytes.subarray(start));
  };
}

describe("download", () => {
  it("writes the file and reports progress", async () => {
    handler = ranged(payload);
    const path = join(work, "f");
    const seen: number[] = [];
    await download(base, path, payload.length, [sum(payload), sum(payload, "md5")], {
      onProgress: async (n) => seen.push(n),
    });
    expect(readFileSync(path).equals(payload)).toBe(true);
    expect(seen.at(-1)).toBe(payload.length);
    expect([...seen].sort((a, b) => a - b)).toEqual(seen);
    expect(readdirSync(work)).toEqual(["f"]);
  });

  it("goes on after a cut connection, asking only for the rest", async () => {
    handler = ranged(payload, 2);
    await download(base, join(work, "f"), payload.length, [sum(payload)]);
    expect(readFileSync(join(work, "f")).equals(payload)).toBe(true);
    // A busy machine may lose the last chunk before the cut, so where it goes on is not exactly where the server stopped.
    const starts = requests.map((r) => Number(/\d+/.exec(r.range ?? "0")![0]));
    expect(starts.length).toBe(3);
    expect(starts[0] === 0 && starts[1] > 0 && starts[2] > starts[1]).toBe(true);
  });

  it("keeps what came when it gives up, and the next call goes on with it", async () => {
    handler = ranged(payload, 9);
    const path = join(work, "f");
    await expect(download(base, path, payload.length, [sum(payload)], { tries: 1 })).rejects.toThrow(
      /call again to go on/,
    );
    expect(readdirSync(work)).toEqual(["f.part"]);
    handler = ranged(payload);
    await download(base, path, payload.length, [sum(payload)], { tries: 1 });
    expect(requests.at(-1)?.range).toMatch(/^bytes=[1-9]\d*-$/);
    expect(readFileSync(path).equals(payload)).toBe(true);
  });

  it("starts anew where the server knows no Range, or continues at another place", async () => {
    writeFileSync(join(work, "f.part"), payload.subarray(0, 1000));
    handler = (_, response) => response.end(payload);
    await download(base, join(work, "f"), payload.length, [sum(payload)]);
    expect(readFileSync(join(work, "f")).equals(payload)).toBe(true);

    writeFileSync(join(work, "g.part"), payload.subarray(0, 1000));
    handler = (request, response) => {
      if (request.headers.range)
        response.writeHead(206, { "content-range": "bytes 5-299999/300000" }).end(payload.subarray(5));
      else response.end(payload);
    };
    await download(base, join(work, "g"), payload.length, [sum(payload)]);
    expect(readFileSync(join(work, "g")).equals(payload)).toBe(true);
  });

  it("removes a file with a wrong checksum, also one that was continued from wrong bytes", async () => {
    handler = ranged(payload);
    const path = join(work, "f");
    const wrong = { algorithm: "md5", hex: "0".repeat(32) } as const;
    await expect(download(base, path, payload.length, [sum(payload), wrong])).rejects.toThrow(
      /to have md5 0+, received .* was removed/,
    );
    writeFileSync(`${path}.part`, Buffer.alloc(500));
    await expect(download(base, path, payload.length, [sum(payload)])).rejects.toThrow(/to have sha256/);
    expect(readdirSync(work)).toEqual([]);
  });

  it("does not take more than it asked for", async () => {
    handler = (_, response) => response.end(Buffer.concat([payload, payload]));
    await expect(download(base, join(work, "f"), 1000, [sum(payload)])).rejects.toThrow(
      /to have 1000 bytes, received more/,
    );
    expect(readdirSync(work)).toEqual([]);
    writeFileSync(join(work, "f.part"), payload); // larger than the file: of no use
    handler = ranged(payload.subarray(0, 1000));
    await download(base, join(work, "f"), 1000, [sum(payload.subarray(0, 1000))]);
    expect(requests.at(-1)?.range).toBeUndefined();
  });

  it("tells what the server answered", async () => {
    handler = (_, response) => response.writeHead(404).end("no");
    await expect(download(`${base}x`, join(work, "f"), 10, [])).rejects.toThrow(
      /cannot get .*\/x: the server answered 404 Not Found/,
    );
    expect(requests.length).toBe(1);
    handler = (_, response) => response.writeHead(503).end("busy");
    await expect(download(base, join(work, "f"), 10, [], { tries: 2 })).rejects.toThrow(/answered 503/);
    expect(requests.length).toBe(3);
    await expect(download("ftp://x/y", join(work, "f"), 10, [])).rejects.toThrow(/an http or https address/);
    expect(readdirSync(work)).toEqual([]);
  });

  it("gives up on a server that is silent, or not there", async () => {
    handler = (_, response) => response.writeHead(200).flushHeaders();
    const path = join(work, "f");
    await expect(download(base, path, 10, [], { tries: 1, silenceMs: 100 })).rejects.toThrow(/silent for 0.1 s/);
    await expect(download("http://127.0.0.1:1/", path, 10, [], { tries: 1 })).rejects.toThrow(BayesError);
  });

  it("says that the folder is missing", async () => {
    handler = ranged(payload);
    const path = join(work, "no", "f");
    await expect(download(base, path, payload.length, [])).rejects.toThrow(
      /cannot download to .*no such file or directory/,
    );
  });
});

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, "0")}\0`;
}

/** A ustar archive of (path, content, type). */
function tar(entries: readonly (readonly [string, Uint8Array, string?])[]): Uint8Array {
  const blocks = entries.flatMap(([path, data, type = "0"]) => {
    const header = Buffer.alloc(512);
    header.write(path, 0);
    header.write(octal(0o644, 8), 100);
    header.write(octal(data.length, 12), 124);
    header.write("        ", 148);
    header.write(type, 156);
    header.write("ustar\x0000", 257);
    header.write(
      octal(
        header.reduce((a, b) => a + b, 0),
        7,
      ),
      148,
    );
    return [header, data, Buffer.alloc((512 - (data.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/** An archive of one file whose header says another size. */
function resized(size: Uint8Array): Uint8Array {
  const bytes = Buffer.from(tar([["x", Uint8Array.of(1)]]));
  bytes.set(size, 124);
  bytes.write("        ", 148);
  bytes.write(
    octal(
      bytes.subarray(0, 512).reduce((a, b) => a + b),
      7,
    ),
    148,
  );
  return bytes;
}

describe("readTar", () => {
  it("gives the regular files", () => {
    const archive = tar([
      ["d/", new Uint8Array(0), "5"],
      ["d/a", payload.subarray(0, 700)],
      ["d/b", new Uint8Array(0)],
    ]);
    const entries = readTar(archive, "t");
    expect(entries.map((e) => e.path)).toEqual(["d/a", "d/b"]);
    expect(Buffer.from(entries[0].data).equals(payload.subarray(0, 700))).toBe(true);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["a path that leads out", tar([["a/../../x", Uint8Array.of(1)]]), /paths inside the archive's folder/],
    ["an absolute path", tar([["/etc/x", Uint8Array.of(1)]]), /paths inside/],
    ["a symbolic link", tar([["x", new Uint8Array(0), "2"]]), /only regular files and folders .*"x" of type "2"/],
    ["a hard link", tar([["x", new Uint8Array(0), "1"]]), /"x" of type "1"/],
    ["a sparse file", tar([["x", new Uint8Array(0), "S"]]), /"x" of type "S"/],
    ["a long name of GNU", tar([["././@LongLink", new Uint8Array(0), "L"]]), /of type "L"/],
    [
      "a size in binary",
      resized(Uint8Array.of(0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)),
      /an octal number as size of "x"/,
    ],
    ["a negative size", resized(Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255)), /octal/],
    ["a size with a sign", resized(Buffer.from("-0000000001\0")), /an octal number as size/],
    ["a huge size", resized(Buffer.from("77777777777\0")), /8589934591 bytes of "x", received only/],
    ["a name of control characters", tar([["\x1b[2J/../x", Uint8Array.of(1)]]), /received "\\u001b\[2J/],
    ["a device", tar([["x", new Uint8Array(0), "3"]]), /only regular files/],
    ["a cut file", tar([["x", payload]]).subarray(0, 9000), /300000 bytes of "x", received only 8488/],
    ["a missing end", tar([["x", Uint8Array.of(1)]]).subarray(0, 1024), /truncated/],
    ["nothing", new Uint8Array(0), /truncated/],
    ["noise", payload.subarray(0, 2048), /octal|checksum/],
  ])("refuses %s", (_, bytes, message) => {
    expect(() => readTar(bytes, "t")).toThrow(BayesError);
    expect(() => readTar(bytes, "t")).toThrow(message);
  });

  it("never fails otherwise than by a BayesError", () => {
    const good = tar([["d/a", payload.subarray(0, 700)]]);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }),
        fc.nat(3000),
        (edits, cut) => {
          const bytes = Uint8Array.from(good);
          for (const [at, value] of edits) bytes[at] = value;
          try {
            for (const entry of readTar(bytes.subarray(0, cut), "t"))
              expect(entry.path).not.toMatch(/^\/|(^|\/)\.\.(\/|$)/);
          } catch (error) {
            expect(error).toBeInstanceOf(BayesError);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("getData", () => {
  const file = (name: string, bytes: Uint8Array): RemoteFile => ({
    name,
    bytes: bytes.length,
    checksums: [sum(bytes)],
  });
  const two: Source = {
    url: "http://none.invalid/",
    files: [file("a.gz", payload.subarray(0, 99)), file("b.gz", payload.subarray(5, 50))],
  };
  const serve = (files: Record<string, Uint8Array>): typeof handler => {
    return (request, response) => {
      const bytes = files[request.url!.slice(1)];
      if (bytes === undefined) response.writeHead(404).end();
      else ranged(bytes)(request, response);
    };
  };

  it("fetches the files from a mirror, and nothing the second time", async () => {
    handler = serve({ "m/a.gz": payload.subarray(0, 99), "m/b.gz": payload.subarray(5, 50) });
    const names = new Set<string>();
    const options = { dataDir: work, url: `${base}m`, source: two, onProgress: (name: string) => names.add(name) };
    expect(await getData("mnist", options)).toBe(join(work, "mnist"));
    expect(readdirSync(join(work, "mnist")).sort()).toEqual(["a.gz", "b.gz"]);
    expect([...names]).toEqual(["a.gz", "b.gz"]);
    await getData("mnist", options);
    expect(requests.length).toBe(2);
  });

  it("does not touch another file of that name", async () => {
    mkdirSync(join(work, "mnist"));
    writeFileSync(join(work, "mnist", "a.gz"), "mine");
    await expect(getData("mnist", { dataDir: work, url: base, source: two })).rejects.toThrow(/which is there already/);
    expect(readFileSync(join(work, "mnist", "a.gz"), "utf8")).toBe("mine");
  });

  it("takes the wanted files out of an archive and removes it", async () => {
    const archive = gzipSync(
      tar([
        ["c/readme.html", Uint8Array.of(1)],
        ["c/test.bin", payload.subarray(0, 3000)],
      ]),
    );
    handler = serve({ "c.tar.gz": archive });
    const source: Source = { url: base, files: [file("c.tar.gz", archive)], unpack: ["test.bin"] };
    const folder = await getData("cifar-100", { dataDir: work, source });
    expect(readdirSync(folder)).toEqual(["test.bin"]);
    expect(readFileSync(join(folder, "test.bin")).equals(payload.subarray(0, 3000))).toBe(true);
    await getData("cifar-100", { dataDir: work, source });
    expect(requests.length).toBe(1);
    const lacking = { ...source, unpack: ["train.bin"] };
    await expect(getData("cifar-100", { dataDir: work, source: lacking })).rejects.toThrow(
      /the file train.bin in the archive/,
    );
  });

  it("refuses unknown names, and a real download from a server that has other bytes", async () => {
    await expect(getData("imagenet", { dataDir: work })).rejects.toThrow(/one of mnist, fashion-mnist/);
    handler = ranged(Buffer.alloc(9912422));
    await expect(getData("mnist", { dataDir: work, url: base, tries: 1 })).rejects.toThrow(/to have sha256 440fcabf/);
    expect(readdirSync(join(work, "mnist"))).toEqual([]);
  });

  it("knows a size, SHA-256 and MD5 for every file", () => {
    for (const source of Object.values(SOURCES)) {
      for (const { bytes, checksums } of source.files) {
        expect(bytes).toBeGreaterThan(1000);
        expect(checksums.map((c) => [c.algorithm, /^[0-9a-f]+$/.test(c.hex) && c.hex.length])).toEqual([
          ["sha256", 64],
          ["md5", 32],
        ]);
      }
    }
    expect(existsSync(join(work, "mnist"))).toBe(false);
  });
});

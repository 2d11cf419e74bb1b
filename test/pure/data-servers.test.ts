// Servers that lie, dawdle and break off: a download ends in time with one sentence, and nothing has the file's name.

import { createHash, randomBytes } from "node:crypto";
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { download } from "../../lib/data/download.ts";
import { getData } from "../../lib/data/get.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { ownerText, self } from "../../lib/util/owner.ts";
import { tries } from "../tries.ts";

const SIZE = 40_000;
const payload = randomBytes(SIZE);
const sum = { algorithm: "sha256", hex: createHash("sha256").update(payload).digest("hex") } as const;
/** What is said to the request of that number. */
let answer: (socket: Socket, request: string, number: number) => void;
let requests = 0;
const sockets = new Set<Socket>();
let server: Server;
let base = "";
let dir = "";
let path = "";

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "bayescnn-servers-"));
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => {});
    let request = "";
    socket.on("data", (bytes) => {
      const before = request.includes("\r\n\r\n");
      request += bytes.toString("latin1");
      if (!before && request.includes("\r\n\r\n")) answer(socket, request, requests++);
    });
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((closed) => server.close(closed));
  rmSync(dir, { recursive: true, force: true });
});
let cases = 0;
beforeEach(() => {
  requests = 0;
  path = join(dir, String(cases++), "f");
  mkdirSync(join(path, ".."));
});

const head = (status: string, ...headers: string[]) =>
  `HTTP/1.1 ${status}\r\n${headers.map((line) => `${line}\r\n`).join("")}connection: close\r\n\r\n`;
const ok = head("200 OK", `content-length: ${SIZE}`);
/** Writes again and again until nobody listens. */
function endless(socket: Socket, what: string | Uint8Array, everyMs = 0): void {
  const write = () => {
    if (socket.destroyed) return;
    const room = socket.write(what);
    if (everyMs > 0) setTimeout(write, everyMs);
    else if (room) setImmediate(write);
    else socket.once("drain", write);
  };
  write();
}
const whole = (socket: Socket) => socket.end(Buffer.concat([Buffer.from(ok), payload]));
/** Time enough for a busy machine, and too little for a server that dawdles. */
const short = { tries: 1, silenceMs: 4000 } as const;
const strict = { tries: 1, silenceMs: 300, leastRate: 20_000 } as const;

const DAWDLING = [
  "never answers",
  "gives a byte now and then",
  "gives its head a byte at a time",
  "says again and again that it will answer",
];

type Case = readonly [name: string, answer: typeof answer, message: RegExp];
const to = (location: string) => (socket: Socket) => socket.end(head("302 Found", `location: ${location}`));

describe("download, from a server that", () => {
  it.each<Case>([
    ["never answers", () => {}, /the connection was silent for 0\.3 s; call again/],
    [
      "gives a byte now and then",
      (socket) => {
        socket.write(ok);
        endless(socket, "x", 40);
      },
      /the connection (gave \d+ bytes in|was silent for) 0\.3 s/,
    ],
    ["gives its head a byte at a time", (socket) => endless(socket, "H", 40), /cannot get/],
    [
      "sends headers without end",
      (socket) => {
        socket.write("HTTP/1.1 200 OK\r\n");
        endless(socket, `x-more: ${"y".repeat(1000)}\r\n`);
      },
      /header/i,
    ],
    [
      "says again and again that it will answer",
      (socket) => endless(socket, "HTTP/1.1 102 Processing\r\n\r\n", 5),
      /silent/,
    ],
    [
      "sends a body without end",
      (socket) => {
        socket.write(head("200 OK"));
        endless(socket, new Uint8Array(20_000));
      },
      /to have 40000 bytes, received more$/,
    ],
    ["announces more", (s) => s.end(head("200 OK", "content-length: 50000")), /more: the server announces 50000/],
    ["announces less", (s) => s.end(`${head("200 OK", "content-length: 3")}abc`), /fewer: the server announces 3/],
    ["announces nonsense", (s) => s.end(head("200 OK", "content-length: -7")), /cannot get|fewer/],
    ["gives less than it announced", (s) => s.end(`${ok}abc`), /cannot get .*; call again to go on/],
    ["packs it", (s) => s.end(head("200 OK", "content-encoding: gzip") + gzipSync(payload)), /in the encoding "gzip"/],
    ["redirects to itself", (socket) => to(base)(socket), /more than 5 redirects/],
    ["redirects to a file", to("file:///etc/passwd"), /a redirect to an http address, received "file:\/\/\/etc/],
    ["redirects to data", to("data:text/plain,x"), /a redirect to an http address, received "data:/],
    ["redirects to nowhere", to("http://"), /a redirect to an http address, received "http:\/\/"/],
    ["answers with a control character", (s) => s.end(head("404 no\x1b[31m\x07red")), /cannot get|answered 404/],
    ["answers 304", (s) => s.end(head("304 Not Modified")), /answered 304 Not Modified/],
    ["answers 204", (s) => s.end(head("204 No Content")), /answered 204/],
    ["answers no HTTP", (s) => s.end("SSH-2.0-OpenSSH_9\r\n"), /cannot get/],
    [
      "sends broken chunks",
      (s) => s.end(`${head("200 OK", "transfer-encoding: chunked")}zz\r\nabc\r\n-1\r\n`),
      /cannot get/,
    ],
    ["hangs up at once", (socket) => socket.resetAndDestroy(), /cannot get/],
    [
      "hangs up in between",
      (socket) => socket.write(ok + "x".repeat(1000), () => setTimeout(() => socket.resetAndDestroy(), 20)),
      /cannot get .*; call again/,
    ],
    [
      "gives a part nobody asked for",
      (s) => s.end(head("206 Partial", "content-range: bytes 5-9/40000")),
      /another place/,
    ],
    [
      "gives a part of another file",
      (s) => s.end(head("206 Partial", "content-range: bytes 0-9/10")),
      /fewer: the server announces 10/,
    ],
    ["gives a part without a place", (s) => s.end(head("206 Partial")), /continued at another place/],
    ["will not continue", (s) => s.end(head("416 Range Not Satisfiable")), /refused to continue/],
    [
      "gives other bytes",
      (s) => s.end(Buffer.concat([Buffer.from(ok), Buffer.alloc(SIZE)])),
      /to have sha256 .*removed/,
    ],
  ])(
    "%s",
    async (name, how, message) => {
      answer = how;
      const error = await download(base, path, SIZE, [sum], DAWDLING.includes(name) ? strict : short).then(
        () => undefined,
        (e: unknown) => e,
      );
      expect(error).toBeInstanceOf(BayesError);
      expect(error).toMatchObject({ code: "ERR_BAYES_FILE", message: expect.stringMatching(message) });
      expect((error as Error).message).toMatch(/^\[download\] [ -~]+$/);
      expect(existsSync(path)).toBe(false);
      expect(requests).toBeLessThan(8);
      tries("servers that mean ill", 1);
    },
    5000,
  );

  it("speaks no TLS where https is asked for", async () => {
    answer = () => {};
    await expect(download(base.replace("http:", "https:"), path, SIZE, [sum], strict)).rejects.toThrow(BayesError);
    await expect(download("http://me:secret@127.0.0.1/", path, SIZE, [sum], short)).rejects.toThrow(/without a user/);
  });

  it("redirects from https to http, or back and forth", async () => {
    const answers = (location: string) => () =>
      Promise.resolve(new Response(null, { status: 302, headers: { location } }));
    const server = vi.spyOn(globalThis, "fetch").mockImplementation(answers("http://127.0.0.1/f"));
    try {
      const fetching = () => download("https://127.0.0.1/f", path, SIZE, [sum], short);
      await expect(fetching()).rejects.toThrow(/a redirect to an https address, received "http:\/\/127/);
      expect(server).toHaveBeenCalledTimes(1);
      server.mockImplementation(answers("https://127.0.0.1/f"));
      await expect(fetching()).rejects.toThrow(/more than 5 redirects/);
    } finally {
      server.mockRestore();
    }
  });

  it("redirects a few times, to where the file is", async () => {
    answer = (socket, _, n) => (n < 5 ? to(`/hop${n}`)(socket) : whole(socket));
    await download(base, path, SIZE, [sum], short);
    expect(readFileSync(path).equals(payload)).toBe(true);
  });

  it("has another version by now: the old half is not continued", async () => {
    const asked: string[] = [];
    let first: Socket | undefined;
    answer = (socket, request, n) => {
      asked.push(request);
      if (n > 0) return whole(socket);
      first = socket;
      socket.write(`${head("200 OK", `content-length: ${SIZE}`, 'etag: "old"')}half of another file`);
    };
    const onProgress = () => first?.destroy(); // it has come
    await download(base, path, SIZE, [sum], { ...short, tries: 2, onProgress });
    expect(asked[1]).toMatch(/range: bytes=\d+-\r\n(.*\r\n)*if-range: "old"/i);
    expect(readFileSync(path).equals(payload)).toBe(true);
  });
});

describe("what is left of a download", () => {
  it("is never written through a link, a second name or into a folder", async () => {
    const mine = join(dir, "mine");
    writeFileSync(mine, "mine");
    const places: [(part: string) => void, RegExp][] = [
      [(part) => symlinkSync(mine, part), /what is left of a download, a file, received something else/],
      [(part) => symlinkSync(join(dir, "nowhere"), part), /received something else/],
      [(part) => linkSync(mine, part), /a file of several names/],
      [(part) => mkdirSync(part), /something else/],
    ];
    answer = whole;
    for (const [make, message] of places) {
      make(`${path}.part`);
      await expect(download(base, path, SIZE, [sum], short)).rejects.toThrow(message);
      expect(readFileSync(mine, "utf8")).toBe("mine");
      expect(existsSync(join(dir, "nowhere"))).toBe(false);
      expect(readdirSync(join(path, ".."))).toEqual(["f.part"]);
      rmSync(`${path}.part`, { recursive: true });
    }
  });

  it("is one download's alone: two at once do not mix", async () => {
    answer = (socket) => {
      socket.write(ok);
      for (let at = 0; at < 4; at++)
        setTimeout(() => socket.write(payload.subarray((at * SIZE) / 4, ((at + 1) * SIZE) / 4)), 20 * at);
    };
    const one = () => download(base, path, SIZE, [sum], { tries: 1 });
    await Promise.all([one(), one(), one()]);
    expect(readFileSync(path).equals(payload)).toBe(true);
    expect(readdirSync(join(path, ".."))).toEqual(["f"]);
  });

  it("is gone on with when its process is gone, and left alone while it runs", async () => {
    const running = `${path}.${ownerText(self())}0123abcd.part`;
    const gone = ownerText({ ...self(), pid: 999_999_999, thread: 999_999_999 });
    writeFileSync(running, "of a process that runs");
    writeFileSync(`${path}.${gone}0123abcd.part`, payload.subarray(0, 30_000));
    answer = (socket, request) => {
      expect(request).toMatch(/range: bytes=30000-/i);
      socket.end(
        Buffer.concat([
          Buffer.from(head("206 Partial", `content-range: bytes 30000-39999/${SIZE}`)),
          payload.subarray(30_000),
        ]),
      );
    };
    await download(base, path, SIZE, [sum], short);
    expect(readFileSync(path).equals(payload)).toBe(true);
    expect(readdirSync(join(path, ".."))).toEqual(["f", basename(running)]);
  });
});

describe("getData", () => {
  it("takes no name that leads out of its folder, nor options that there are not", async () => {
    answer = whole;
    const source = (name: string) => ({ url: base, files: [{ name, bytes: SIZE, checksums: [sum] }] });
    for (const name of ["../x", "/tmp/x", "a/b", "..", ".", "", "a\\b", "a\0b"])
      await expect(getData("mnist", { dataDir: dir, source: source(name) })).rejects.toThrow(BayesError);
    await expect(getData("mnist", { dataDir: dir, tires: 3 } as never)).rejects.toThrow(/options among/);
    await expect(getData("mnist", { dataDir: dir, tries: Number.NaN })).rejects.toThrow(/tries to be an integer/);
    const sums = { url: base, files: [{ name: "x", bytes: SIZE, checksums: [{ algorithm: "crc", hex: "" }] }] };
    await expect(getData("mnist", { dataDir: dir, source: sums as never })).rejects.toThrow(/checksums of x as a list/);
    await expect(getData("mnist", { dataDir: dir, source: {} as never })).rejects.toThrow(/source.files as a list/);
    expect(requests).toBe(0);
  });
});

// What is no ordinary file, in every place where one is expected: never opened, never waited for, one sentence.
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { loadCifar10, loadCifar100 } from "../../lib/data/cifar.ts";
import { loadImageFolder } from "../../lib/data/folder.ts";
import { getData } from "../../lib/data/get.ts";
import { readIdx } from "../../lib/data/idx.ts";
import { loadImages } from "../../lib/data/images.ts";
import { LeftOut } from "../../lib/data/left-out.ts";
import { contentOf, imagesBelow } from "../../lib/data/listing.ts";
import { loadMnist } from "../../lib/data/mnist.ts";
import { loadTable } from "../../lib/data/table.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { headOf, readRegular, readRegularAsync, statRegular } from "../../lib/util/regular.ts";
import { onlyAsync } from "../hostile.ts";
import { imageFolder, sharp } from "../images.ts";
import { tries } from "../tries.ts";

const { dir, png, place } = imageFolder("special");
const socket = createServer();
beforeAll(() => new Promise<void>((ready) => socket.listen(join(dir, "socket"), ready)));
afterAll(() => new Promise((closed) => socket.close(closed)));
let cases = 0;
let work = "";
beforeEach(() => {
  work = join(dir, `case-${cases++}`);
  mkdirSync(work);
});

/** Makes one at a path. */
const special: Readonly<Record<string, (path: string) => void>> = {
  "a pipe": (path) => void execFileSync("mkfifo", [path]),
  "a link to a pipe": (path) => {
    execFileSync("mkfifo", [`${path}.pipe`]);
    symlinkSync(`${path}.pipe`, path);
  },
  "an endless device": (path) => symlinkSync("/dev/zero", path),
  "a socket": (path) => symlinkSync(join(dir, "socket"), path),
  "a folder": (path) => void mkdirSync(path),
  "a link to itself": (path) => symlinkSync(path, path),
  "a link to nowhere": (path) => symlinkSync("nowhere", path),
  "a file of /proc": (path) => symlinkSync("/proc/self/maps", path),
  "a file with a hole of 3 GB": (path) => {
    writeFileSync(path, "");
    truncateSync(path, 3e9);
  },
};

/** Everything that reads a file by its path, the special one having that of the file. */
const readers: Readonly<Record<string, { file: string; read: () => unknown }>> = {
  readIdx: { file: "a.idx", read: () => readIdx(join(work, "a.idx")) },
  loadMnist: { file: "train-images-idx3-ubyte", read: () => loadMnist(work) },
  loadCifar10: { file: "data_batch_1.bin", read: () => loadCifar10(work) },
  "loadCifar100, class names": { file: "fine_label_names.txt", read: () => loadCifar100(work) },
  loadTable: { file: "a.csv", read: () => loadTable(join(work, "a.csv")) },
  getData: {
    file: "mnist/a.gz",
    read: () => {
      const source = { url: "http://127.0.0.1:1/", files: [{ name: "a.gz", bytes: 5, checksums: [] }] };
      return getData("mnist", { dataDir: work, source, tries: 1 });
    },
  },
};

describe.skipIf(process.platform === "win32")("is refused", () => {
  it.each(Object.keys(special))("%s", async (kind) => {
    for (const [name, { file, read }] of Object.entries(readers)) {
      const path = join(work, file);
      mkdirSync(join(path, ".."), { recursive: true });
      if (kind === "a file of /proc" && !existsSync("/proc/self/maps")) return;
      special[kind](path);
      const error = await Promise.resolve()
        .then(read)
        .then(
          () => undefined,
          (e: unknown) => e,
        );
      expect(error, name).toBeInstanceOf(BayesError);
      expect(error, name).toMatchObject({ code: "ERR_BAYES_FILE", message: expect.stringMatching(/^\[.+\] [^\n]+$/) });
      if (/pipe|device|socket/.test(kind) && /readIdx|Table|getData/.test(name))
        expect((error as Error).message).toMatch(/received a (pipe|socket|character device)$/);
      rmSync(path, { recursive: true });
    }
    tries("pipes, devices and the like in the place of a data file", Object.keys(readers).length);
  });

  const noFolder = Object.keys(special).filter((kind) => kind !== "a folder");
  it.skipIf(sharp === undefined).each(noFolder)("among images: %s", async (kind) => {
    await png(`good-${cases}/x/1.png`, 2, 2, [1, 2, 3]);
    const folder = join(dir, `good-${cases}`);
    special[kind](join(folder, "x", "2.png"));
    const path = join(folder, "x", "2.png");
    const loaded = await loadImages([join(folder, "x", "1.png"), path], [2, 2, 3]);
    expect(loaded.failed).toEqual([{ file: path, reason: expect.stringMatching(/^\S[^\n]+$/) }]);
    expect(await onlyAsync(() => loadImageFolder(folder))).toBe(
      kind.includes("/proc") || kind.includes("hole") ? "refused" : "worked", // the others are left out of a folder
    );
  });
});

describe("readRegular", () => {
  it("gives the whole file, and refuses one that is too large or changes", async () => {
    const path = join(work, "f");
    writeFileSync(path, "0123456789");
    symlinkSync(path, `${path}.link`);
    for (const file of [path, `${path}.link`]) {
      expect(Buffer.from(readRegular(file)).toString()).toBe("0123456789");
      expect(Buffer.from(await readRegularAsync(file, { most: 10 })).toString()).toBe("0123456789");
      expect(statRegular(file).size).toBe(10);
      expect(headOf(file, 4)).toHaveLength(4);
    }
    expect(() => readRegular(path, { most: 9, what: "a list", where: "here" })).toThrow(
      "[here] expected a list of at most 9 bytes, received 10",
    );
    await expect(readRegularAsync(path, { most: 9 })).rejects.toThrow(/a file of at most 9 bytes, received 10/);
    writeFileSync(path, "");
    expect(readRegular(path)).toHaveLength(0);
    // It grows and shrinks while it is read: never other than a sentence or a whole that once was.
    for (let i = 0; i < 200; i++) {
      const reading = readRegularAsync(path).then(
        ({ length }) => expect(length % 1000).toBe(0),
        (error) => expect(error).toMatchObject({ code: "ERR_BAYES_FILE" }),
      );
      if (i % 5 === 4) truncateSync(path);
      else appendFileSync(path, new Uint8Array(1000));
      await reading;
    }
  });
});

describe.skipIf(process.platform === "win32")("a folder's images", () => {
  const touch = (path: string) => writeFileSync(place(path), "x");
  const list = (folder: string) => {
    const left = new LeftOut();
    return { images: imagesBelow(folder, left).map((path) => path.slice(folder.length + 1)), kinds: left.kinds };
  };

  it("are those of each folder once, however many links lead there", () => {
    for (let i = 0; i < 40; i++) {
      mkdirSync(join(work, "all", String(i)), { recursive: true });
      for (const link of ["a", "b"]) symlinkSync(join("..", String(i + 1)), join(work, "all", String(i), link));
    }
    mkdirSync(join(work, "all", "40"));
    writeFileSync(join(work, "all", "40", "1.png"), "x");
    const { images, kinds } = list(join(work, "all", "0"));
    expect(images).toEqual([`${"a/".repeat(40)}1.png`]);
    expect(kinds).toBe("40 repeated folders");
  });

  it("are not looked for in circles, and end in a sentence where a path gets too long", () => {
    mkdirSync(join(work, "c/d"), { recursive: true });
    writeFileSync(join(work, "c/1.png"), "x");
    symlinkSync("..", join(work, "c/d/up"));
    symlinkSync("loop", join(work, "c/loop"));
    expect(list(join(work, "c"))).toEqual({ images: ["1.png"], kinds: "1 circular link, 1 dangling link" });
    // A path longer than the system takes, made from within.
    const deep = 'mkdir -p deep && cd deep && for i in $(seq 30); do mkdir "$0" && cd "$0"; done && touch 1.png';
    execFileSync("bash", ["-c", deep, "d".repeat(200)], { cwd: work });
    expect(() => list(join(work, "deep"))).toThrow(BayesError);
    execFileSync("rm", ["-rf", join(work, "deep")]);
  });

  it("with names that are not UTF-8 are left out, and named", () => {
    touch(`latin-${cases}/1.png`);
    const folder = join(dir, `latin-${cases}`);
    try {
      writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xe9]), Buffer.from(".png")]), "x");
    } catch {
      return console.log("skipped: a name that is not UTF-8, which this file system does not take");
    }
    touch(`latin-${cases}/\ufffd.png`); // a name that is
    const left = new LeftOut();
    expect(contentOf(folder, left).files).toEqual(["1.png", "\ufffd.png"]);
    expect(left.kinds).toBe("1 undecodable name");
  });
});

// What is written where there is something else than a file, and what is left of processes that were killed.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { checkTarget, ensureDir, removeEmpty, writeFileAtomic } from "../../lib/util/atomic.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { lifeOf, type Owner, ownerText, parseOwner, self } from "../../lib/util/owner.ts";
import { sweep, temporaryName } from "../../lib/util/temporary.ts";

const root = mkdtempSync(join(tmpdir(), "bayescnn-special-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let dir = "";
let runs = 0;
beforeEach(() => {
  dir = join(root, String(runs++));
  mkdirSync(dir);
});
const at = (name: string) => join(dir, name);
const fifo = (name: string) => {
  expect(spawnSync("mkfifo", [at(name)]).status).toBe(0);
  return at(name);
};
/** A device node of our own: only root may make one. */
const device = (name: string, ...what: string[]) => {
  if (spawnSync("mknod", [at(name), ...what]).status === 0) return at(name);
  console.log("skipped: device nodes (no permission to make one)");
  return undefined;
};
const refused = (path: string, message: RegExp) => {
  for (const attempt of [() => checkTarget(path), () => writeFileAtomic(path, "x")]) {
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(expect.objectContaining({ name: "BayesError", code: "ERR_BAYES_FILE" }));
  }
};

describe("a link", () => {
  it("is followed, over several ones, and stays", () => {
    mkdirSync(at("far"));
    writeFileSync(at("far/real"), "old");
    symlinkSync("far/real", at("near"));
    symlinkSync("near", at("link"));
    writeFileAtomic(at("link"), "new");
    expect(readFileSync(at("far/real"), "utf8")).toBe("new");
    expect(readlinkSync(at("link"))).toBe("near");
    expect(readdirSync(at("far"))).toEqual(["real"]);
    expect(readdirSync(dir).sort()).toEqual(["far", "link", "near"]);
  });

  it("to nowhere makes its file where there is a folder for it, and is refused else", () => {
    symlinkSync("new", at("link"));
    writeFileAtomic(at("link"), "x");
    expect(readFileSync(at("new"), "utf8")).toBe("x");
    symlinkSync("none/new", at("lost"));
    refused(at("lost"), /cannot write .*lost: no such file/);
    expect(lstatSync(at("lost")).isSymbolicLink()).toBe(true);
  });

  it("in a circle is refused", () => {
    symlinkSync("b", at("a"));
    symlinkSync("a", at("b"));
    refused(at("a"), /cannot write .*links lead in a circle/);
  });
});

describe("what is no file", () => {
  it("a pipe that nobody reads is an error at once, one that is read gets the bytes", () => {
    const path = fifo("pipe");
    expect(() => writeFileAtomic(path, "x")).toThrow(/cannot write .*pipe: nobody reads from it/);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    writeFileAtomic(path, [Buffer.from("ab"), Buffer.from("c")]);
    const got = Buffer.alloc(9);
    expect(readSync(reader, got)).toBe(3);
    expect(got.toString("latin1", 0, 3)).toBe("abc");
    closeSync(reader);
    expect(statSync(path).isFIFO()).toBe(true);
    expect(readdirSync(dir)).toEqual(["pipe"]);
  });

  it("a character device is written into and stays; a full one is told", () => {
    const path = device("null", "c", "1", "3");
    if (!path) return;
    symlinkSync("null", at("link"));
    writeFileAtomic(path, "x");
    writeFileAtomic(at("link"), "x");
    expect(statSync(path).isCharacterDevice()).toBe(true);
    expect(() => writeFileAtomic(device("full", "c", "1", "7")!, "x")).toThrow(/the disk is full/);
    expect(readdirSync(dir).sort()).toEqual(["full", "link", "null"]);
  });

  it("a descriptor is written into where it stands, whatever is behind it", () => {
    const fd = openSync(at("file"), "w");
    writeSync(fd, "before ");
    symlinkSync(`/proc/self/fd/${fd}`, at("out"));
    if (!existsSync(at("out"))) return console.log("skipped: descriptors by name (no /proc)");
    writeFileAtomic(at("out"), "and ");
    writeFileAtomic(`/proc/${process.pid}/fd/${fd}`, "after");
    closeSync(fd);
    expect(readFileSync(at("file"), "utf8")).toBe("before and after");
    expect(() => writeFileAtomic(at("out"), "x")).toThrow(/cannot write .*it is not open/);
    expect(readlinkSync(at("out"))).toBe(`/proc/self/fd/${fd}`);
  });

  it("a directory, a socket and a block device are refused", async () => {
    mkdirSync(at("folder"));
    refused(at("folder"), /expected a file to write, received .*folder, which is a directory/);
    refused(`${at("new")}/`, /the name of a file to write, received .*a directory/);
    const server = createServer();
    await new Promise<void>((ready) => server.listen(at("socket"), ready));
    refused(at("socket"), /which is a socket/);
    server.close();
    const block = device("block", "b", "7", "199");
    if (block) refused(block, /which is a block device/);
  });
});

describe("a file", () => {
  it("keeps its permissions, and its other names the old content", () => {
    writeFileSync(at("a"), "old");
    chmodSync(at("a"), 0o640);
    linkSync(at("a"), at("b"));
    writeFileAtomic(at("a"), "new");
    expect(statSync(at("a")).mode & 0o7777).toBe(0o640);
    expect(readFileSync(at("b"), "utf8")).toBe("old");
  });

  it("that is read-only is not replaced, by root neither", () => {
    writeFileSync(at("a"), "mine");
    chmodSync(at("a"), 0o444);
    refused(at("a"), /expected a file that may be written, received .*which is read-only|no permission/);
    expect(readFileSync(at("a"), "utf8")).toBe("mine");
  });
});

describe("folders", () => {
  it("that were made are named, and taken back as far as they are empty", () => {
    const made = ensureDir(at("a/b/c"));
    expect(made).toEqual([at("a"), at("a/b"), at("a/b/c")]);
    expect(ensureDir(at("a/b/c"))).toEqual([]);
    writeFileSync(at("a/mine"), "");
    removeEmpty(made);
    expect(readdirSync(at("a"))).toEqual(["mine"]);
  });

  it("are not made where something is in the way, nor are their parents", () => {
    symlinkSync("none", at("link"));
    expect(() => ensureDir(at("link"))).toThrow(/link is a link to nowhere/);
    writeFileSync(at("file"), "");
    expect(() => ensureDir(at("file/a/b"))).toThrow(BayesError);
    expect(() => ensureDir(join(dir, "new", "n".repeat(300)))).toThrow(/name is too long/);
    expect(readdirSync(dir).sort()).toEqual(["file", "link"]);
  });
});

describe("an owner", () => {
  const gone: Owner = { ...self(), pid: 0, thread: 0 };
  const { pid } = spawnSync("true");
  const dead: Owner = { ...gone, pid: pid!, thread: pid! };

  it("comes back from its text", () => {
    expect(parseOwner(`${ownerText(self())}00`)).toEqual(self());
    for (const text of ["", "1", "1.2", `x${ownerText(self())}`, ownerText(self()).slice(0, -1)])
      expect(parseOwner(text)).toBeUndefined();
  });

  it("is alive, dead, or out of sight", () => {
    const me = self();
    expect(lifeOf(me)).toBe("alive");
    expect(lifeOf(dead)).toBe("dead");
    expect(lifeOf({ ...me, boot: "00000000" })).toBe("dead"); // before the machine started anew
    expect(lifeOf({ ...me, boot: "00000000", machine: "00000000" })).toBe("unknown");
    expect(lifeOf({ ...me, space: "00000000" })).toBe("unknown"); // another container
    if (me.started === 0) return console.log("skipped: numbers that are used again (no /proc)");
    expect(lifeOf({ ...me, started: me.started + 1 })).toBe("dead"); // the number has gone to another process
    expect(lifeOf({ ...me, thread: pid! })).toBe("dead"); // a worker that has ended
  });

  it("that is dead leaves nothing: the next write clears it away, and nothing else", () => {
    const named = (owner: Owner, name = "x") => at(`.${name}.${ownerText(owner)}01234567.tmp`);
    const others = [
      named({ ...self(), boot: "00000000", machine: "00000000" }), // of another machine
      at(temporaryName("y")), // being written
      at(`.x.${dead.pid}.0123456789ab.tmp`), // of another program
      at(`x.${ownerText(dead)}01234567.tmp`),
    ];
    for (const path of [named(dead), named(dead, "a.b\nc"), ...others]) writeFileSync(path, "half");
    mkdirSync(named(dead, "folder"));
    symlinkSync("nowhere", named(dead, "link"));
    writeFileAtomic(at("new"), "x");
    const left = [...others, named(dead, "folder"), named(dead, "link"), at("new")];
    expect(readdirSync(dir).map(at).sort()).toEqual(left.sort());
  });

  it("is not looked for again and again in a large folder", () => {
    for (let i = 0; i < 3000; i++) writeFileSync(at(`${i}`), "");
    sweep(dir);
    const began = performance.now();
    for (let i = 0; i < 1000; i++) sweep(dir);
    expect(performance.now() - began).toBeLessThan(200); // looking 1000 times takes a second and more
  });
});

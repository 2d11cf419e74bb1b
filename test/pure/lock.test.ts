// The lock of a run folder: it counts as long as its thread runs, wherever that is.
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { checkFree, type HeldLock, isLock, LOCK, RunLock } from "../../lib/train/lock.ts";
import { type Owner, ownerText, self } from "../../lib/util/owner.ts";
import { temporaryName } from "../../lib/util/temporary.ts";

const root = mkdtempSync(join(tmpdir(), "bayescnn-lock-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let dir = "";
let runs = 0;
beforeEach(() => {
  dir = join(root, String(runs++));
});
const file = () => join(dir, LOCK);
const release = (lock: HeldLock) => lock[Symbol.dispose]();
const { pid } = spawnSync("true");
const dead: Owner = { ...self(), pid: pid!, thread: pid! };
const elsewhere: Owner = { ...self(), machine: "00000000", boot: "00000000" };
const textOf = (owner: Owner, more: object = {}) =>
  JSON.stringify({ owner: ownerText(owner), host: "other\u001b[31m", since: "2026-01-01T00:00:00.000Z", ...more });
/** A lock as somebody left it so many seconds ago. */
const left = (text: string, seconds = 0) => {
  mkdirSync(dir, { recursive: true });
  writeFileSync(file(), text);
  const then = Date.now() / 1000 - seconds;
  utimesSync(file(), then, then);
};
const busy = (attempt: () => unknown, message: RegExp) => {
  expect(attempt).toThrow(message);
  expect(attempt).toThrow(expect.objectContaining({ name: "BayesError", code: "ERR_BAYES_BUSY" }));
};

describe("a lock", () => {
  it("is there while it is held, says who holds it, and takes back the folders that it made", () => {
    const path = join(dir, "a/b");
    const lock = RunLock.take(path);
    expect(readdirSync(path)).toEqual([LOCK]);
    expect(isLock(LOCK)).toBe(true);
    for (const attempt of [() => RunLock.take(path), () => checkFree(path)])
      busy(attempt, new RegExp(`received ${path}, which process ${process.pid} \\(this one\\) has held since 20..-`));
    lock.check();
    release(lock);
    expect(existsSync(dir)).toBe(false);
    checkFree(path);
  });

  it("leaves a folder that was there, or holds something, or cannot be locked for another reason", () => {
    mkdirSync(dir);
    release(RunLock.take(dir));
    expect(readdirSync(dir)).toEqual([]);
    const lock = RunLock.take(join(dir, "new"));
    writeFileSync(join(dir, "new/mine"), "");
    release(lock);
    expect(readdirSync(join(dir, "new"))).toEqual(["mine"]);
    spawnSync("mkfifo", [file()]);
    expect(() => RunLock.take(dir)).toThrow(/lock\] expected a file, received a pipe$/);
    expect(readdirSync(dir).sort()).toEqual([LOCK, "new"]);
  });

  it("is one, whatever the folder is called", () => {
    mkdirSync(dir);
    symlinkSync(dir, `${dir}-link`);
    using _ = RunLock.take(dir);
    busy(() => RunLock.take(`${dir}-link`), /which process/);
    busy(() => RunLock.take(`${dir}/../${runs - 1}`), /which process/);
  });

  it("is lent to the next part of a command, and to no third", () => {
    const lock = RunLock.take(dir, { lend: true });
    const part = RunLock.take(dir);
    busy(() => RunLock.take(dir), /this one/);
    release(part);
    expect(existsSync(file())).toBe(true);
    release(RunLock.take(dir));
    lock.check();
    release(lock);
    expect(existsSync(dir)).toBe(false);
  });
});

describe("a lock that somebody left", () => {
  const overtaken: [string, () => void][] = [
    ["a process that was killed", () => left(textOf(dead))],
    ["a process whose number another one has now", () => left(textOf({ ...self(), started: self().started + 1 }))],
    ["a machine that has started anew", () => left(textOf({ ...self(), boot: "00000000" }))],
    ["a worker that has ended", () => left(textOf({ ...self(), thread: dead.pid }, { worker: 3 }))],
    ["a machine out of sight that has been silent for long", () => left(textOf(elsewhere), 301)],
    ["a container out of sight that has been silent for long", () => left(textOf({ ...self(), space: "0" }), 301)],
    ["somebody who gave it free", () => left("{}\n")],
    ["somebody who was killed while writing it", () => left('{"owner', 3)],
    ["nobody knows whom", () => left("null", 3)],
    ["somebody whose clock was years ahead", () => left("", -1e8)],
    ["somebody who wrote too much", () => left("\0".repeat(5000), 3)],
  ];
  it.each(overtaken)("%s, does not count", (_, leave) => {
    leave();
    checkFree(dir);
    writeFileSync(join(dir, temporaryName(LOCK)), "");
    const lock = RunLock.take(dir);
    lock.check();
    expect(JSON.parse(readFileSync(file(), "utf8")).owner).toBe(ownerText(self()));
    release(lock);
    expect(readdirSync(dir).filter(isLock)).toEqual([]);
  });

  it("but a link to nowhere is told, not waited for", () => {
    mkdirSync(dir, { recursive: true });
    symlinkSync("nowhere", file());
    expect(() => RunLock.take(dir)).toThrow(/\.lock\] expected a file, received a link$/);
    rmSync(file());
  });

  it("on another machine counts as long as it gives signs of life", () => {
    left(textOf(elsewhere), 200);
    for (const attempt of [() => RunLock.take(dir), () => checkFree(dir)])
      busy(attempt, /process \d+ on other\?\?31m, which cannot be seen .* 5 minutes after .* which was \d+ s ago/);
    left(textOf({ ...self(), space: "00000000" }));
    busy(() => RunLock.take(dir), /cannot be seen from here/);
    expect(readdirSync(dir)).toEqual([LOCK]);
  });

  it("in a worker of this process names it", () => {
    left(textOf(self(), { worker: 5 }));
    busy(
      () => RunLock.take(dir),
      new RegExp(`process ${process.pid} \\(this one\\), worker 5, has held since 2026-01-01`),
    );
  });

  it("and that others are about to take over is waited for, also where those have died", async () => {
    left(textOf(dead));
    const { createHash } = await import("node:crypto");
    const claim = join(dir, `${LOCK}.${createHash("sha256").update(textOf(dead)).digest("hex").slice(0, 16)}`);
    writeFileSync(claim, textOf({ ...dead, started: 1 })); // the first to try was killed meanwhile
    release(RunLock.take(dir));
    expect(readdirSync(dir)).toEqual([]);
    left(textOf(dead));
    writeFileSync(claim, textOf(self(), { worker: 9 })); // somebody is about it, and stays so
    busy(() => RunLock.take(dir), /another process is just locking/);
    expect(readFileSync(file(), "utf8")).toBe(textOf(dead));
  }, 20_000);
});

describe("a folder that is taken away from its run", () => {
  const lost = (lock: HeldLock, message: RegExp) => {
    expect(lock.ours()).toBe(false);
    expect(() => lock.check()).toThrow(message);
    expect(() => lock.check()).toThrow(expect.objectContaining({ code: "ERR_BAYES_FILE" }));
  };

  it("by removing it is noticed", () => {
    const lock = RunLock.take(dir);
    rmSync(dir, { recursive: true });
    lost(lock, /expected .* to stay in its place during the run, received none: it was removed or renamed/);
    mkdirSync(dir);
    lost(lock, /received another one/);
    release(lock);
    expect(existsSync(dir)).toBe(true); // it is somebody else's
  });

  it("by renaming it is noticed, and the run in it can be gone on with at once", () => {
    const lock = RunLock.take(dir);
    renameSync(dir, `${dir}-old`);
    const other = RunLock.take(dir);
    lost(lock, /received another one: it was replaced/);
    busy(() => RunLock.take(`${dir}-old`), /this one/);
    release(lock);
    other.check();
    release(RunLock.take(`${dir}-old`));
    release(other);
    expect(existsSync(dir)).toBe(false);
    expect(readdirSync(`${dir}-old`)).toEqual([]);
  });

  it("by taking over its lock is noticed", () => {
    const lock = RunLock.take(dir);
    const { ino } = statSync(file());
    rmSync(file());
    const other = RunLock.take(dir);
    expect(statSync(file()).ino).not.toBe(ino);
    lost(lock, /its lock was removed or taken over/);
    release(lock);
    other.check();
    release(other);
  });
});

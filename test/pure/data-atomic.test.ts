import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ensureDir, fileError, writeFileAtomic } from "../../lib/util/atomic.ts";
import { BayesError } from "../../lib/util/errors.ts";

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "bayescnn-atomic-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("writeFileAtomic", () => {
  it("writes text, bytes and pieces, and replaces what was there", () => {
    const path = join(dir, "a.txt");
    writeFileAtomic(path, "héllo");
    expect(readFileSync(path, "utf8")).toBe("héllo");
    writeFileAtomic(path, Uint8Array.of(1, 2, 3));
    expect([...readFileSync(path)]).toEqual([1, 2, 3]);
    writeFileAtomic(path, [Uint8Array.of(9), new Uint8Array(0), Uint8Array.of(8, 7)]);
    expect([...readFileSync(path)]).toEqual([9, 8, 7]);
    expect(readdirSync(dir)).toEqual(["a.txt"]);
  });

  it("takes a name of the greatest legal length", () => {
    const path = join(dir, "n".repeat(255));
    writeFileAtomic(path, "x");
    expect(readFileSync(path, "utf8")).toBe("x");
    rmSync(path);
  });

  it("says that the folder is missing", () => {
    expect(() => writeFileAtomic(join(dir, "no", "such", "file"), "x")).toThrow(
      /cannot write .*no such file or dir.*ENOENT/,
    );
  });

  it("leaves the target and no temporary file behind when the rename fails", () => {
    const target = join(dir, "folder");
    mkdirSync(join(target, "child"), { recursive: true });
    expect(() => writeFileAtomic(target, "x")).toThrow(BayesError);
    expect(readdirSync(dir).filter((name) => name.endsWith(".tmp"))).toEqual([]);
    expect(readdirSync(target)).toEqual(["child"]);
  });

  it("leaves the target as it was when a piece cannot be written", () => {
    const path = join(dir, "kept.txt");
    writeFileAtomic(path, "old");
    expect(() => writeFileAtomic(path, [Uint8Array.of(1), "not bytes" as unknown as Uint8Array, null!])).toThrow();
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(dir).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it("says in words that the disk is full or that there is no permission", () => {
    const full = fileError(Object.assign(new Error("x"), { code: "ENOSPC" }), "write", "/a/b");
    expect(full).toBeInstanceOf(BayesError);
    expect((full as Error).message).toContain("cannot write /a/b: the disk is full");
    const other = new TypeError("not ours");
    expect(fileError(other, "write", "/a/b")).toBe(other);
  });

  it.skipIf(process.getuid?.() === 0)("fails in a folder without write permission", () => {
    const locked = join(dir, "locked");
    mkdirSync(locked);
    chmodSync(locked, 0o500);
    expect(() => writeFileAtomic(join(locked, "x"), "x")).toThrow(/no permission/);
    chmodSync(locked, 0o700);
  });
});

describe("ensureDir", () => {
  it("makes nested folders, twice, and refuses where a file is in the way", () => {
    const path = join(dir, "p", "q");
    ensureDir(path);
    ensureDir(path);
    writeFileSync(join(path, "file"), "");
    expect(() => ensureDir(join(path, "file"))).toThrow(BayesError);
    expect(() => ensureDir(join(path, "file", "x"))).toThrow(/not a directory/);
  });
});

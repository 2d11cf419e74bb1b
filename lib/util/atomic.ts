import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { BayesError, shorten } from "../errors.ts";

/** Turns a file-system error into one sentence for the user; anything else is returned as it came. */
export function fileError(error: unknown, action: string, path: string): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (typeof code !== "string" || error instanceof BayesError) return error;
  const reason = REASONS[code] ?? shorten((error as Error).message, 200);
  return new BayesError(`[${action}] cannot ${action} ${path}: ${reason} (${code})`, {
    code: "ERR_BAYES_FILE",
    cause: error,
  });
}

const REASONS: Record<string, string> = {
  ENOENT: "no such file or directory",
  ENOTDIR: "a part of the path is not a directory",
  EISDIR: "it is a directory",
  EEXIST: "something that is not a directory has that name",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EACCES: "no permission",
  EPERM: "no permission",
  EROFS: "the file system is read-only",
  EMFILE: "too many open files",
  ENAMETOOLONG: "the name is too long",
};

/**
 * Writes a whole file or nothing: the bytes go to a temporary name in the same folder, are flushed to the disk, and are
 * then renamed onto `path`. A reader sees the old file or the new one, also after a power cut or a kill.
 *
 * @param path file to create or replace; its folder must exist
 * @param data text (written as UTF-8), bytes, or pieces of bytes written one after the other
 * @throws BayesError for a missing folder, a full disk, no permission; the temporary file is gone and `path` is as it was
 */
export function writeFileAtomic(path: string, data: string | Uint8Array | readonly Uint8Array[]): void {
  const target = resolve(path);
  const folder = dirname(target);
  const pieces = typeof data === "string" ? [Buffer.from(data)] : Array.isArray(data) ? data : [data];
  // Hidden and short, so that a long (but legal) target name does not make an illegal temporary one.
  const temporary = join(
    folder,
    `.${basename(target).slice(0, 40)}.${process.pid}.${randomBytes(6).toString("hex")}.tmp`,
  );
  let fd = -1;
  try {
    fd = openSync(temporary, "wx", 0o666);
    for (const piece of pieces) writeAll(fd, piece);
    fsyncSync(fd);
    closeSync(fd);
    fd = -1;
    renameSync(temporary, target);
  } catch (error) {
    if (fd >= 0) closeQuietly(fd);
    rmSync(temporary, { force: true });
    throw fileError(error, "write", path);
  }
  syncFolder(folder);
}

/**
 * Makes a folder, with its parents; does nothing if it is there.
 * @throws BayesError where a file is in the way, or without permission
 */
export function ensureDir(path: string): void {
  try {
    makeFolders(resolve(path));
    if (!statSync(path).isDirectory())
      throw new BayesError(`[make directory] ${path} is not a directory`, { code: "ERR_BAYES_FILE" });
  } catch (error) {
    throw fileError(error, "make directory", path);
  }
}

/** Not mkdir's own `recursive`: Node 20 never returns from it where the kernel refuses with ENOENT, as in /proc. */
function makeFolders(path: string): void {
  try {
    makeFolder(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || dirname(path) === path) throw error;
    makeFolders(dirname(path));
    makeFolder(path);
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** write(2) may write less than asked (near a full disk, above 2 GiB): go on until all is written. */
function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.byteLength; ) at += writeSync(fd, bytes, at, Math.min(bytes.byteLength - at, 1 << 30));
}

/** Makes the rename itself durable. Some file systems refuse to sync a folder; the file is whole all the same. */
function syncFolder(folder: string): void {
  let fd = -1;
  try {
    fd = openSync(folder, "r");
    fsyncSync(fd);
  } catch {
    // nothing to undo: only the durability of the name is unknown
  } finally {
    if (fd >= 0) closeQuietly(fd);
  }
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // the descriptor is gone either way
  }
}

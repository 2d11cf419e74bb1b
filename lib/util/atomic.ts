/**
 * Files are written whole or not at all: to a temporary name beside the target (owner.ts says whose, so that what a kill left can be cleared
 * away), flushed, renamed. What is no regular file, as /dev/stdout, is written into and stays what it is.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { BayesError, shorten } from "./errors.ts";
import { type Target, targetOf } from "./target.ts";
import { sweep, temporaryName } from "./temporary.ts";

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
  EFBIG: "the file would be larger than allowed",
  EACCES: "no permission",
  EPERM: "no permission",
  EROFS: "the file system is read-only",
  EMFILE: "too many open files",
  ENAMETOOLONG: "the name is too long",
  ELOOP: "its links lead in a circle",
  ENXIO: "nobody reads from it",
  EPIPE: "nobody reads from it any more",
  EBADF: "it is not open",
  EIO: "the device reports an error",
  EBUSY: "it is in use, as a mounted file is",
};

/**
 * Writes a whole file or nothing: the bytes go to a temporary name in the same folder, are flushed to the disk, and are
 * then renamed onto `path`. A reader sees the old file or the new one, also after a power cut or a kill; what a kill leaves
 * unfinished, the next write into the folder clears away.
 *
 * Links are followed. A file keeps its permissions; other names of it (hard links) keep the old content. What is no regular
 * file (a pipe, a character device, a descriptor such as /dev/stdout) stays what it is: the bytes are written into it.
 *
 * @param path file to create or replace; its folder must exist
 * @param data text (written as UTF-8), bytes, or pieces of bytes written one after the other
 * @throws BayesError for a missing folder, a full disk, no permission, a read-only file, a pipe that nobody reads, a
 *   directory, socket or block device; the temporary file is gone and `path` is as it was
 */
export function writeFileAtomic(path: string, data: string | Uint8Array | Iterable<Uint8Array>): void {
  const pieces = typeof data === "string" ? [Buffer.from(data)] : ArrayBuffer.isView(data) ? [data] : data;
  const file = new AtomicFile(path);
  try {
    for (const bytes of pieces) file.write(bytes);
    file.finish();
  } finally {
    file.discard();
  }
}

/** A file whose pieces come one after the other, as {@link writeFileAtomic} writes it: whole, or not at all. */
export class AtomicFile {
  readonly #path: string;
  readonly #target: Target;
  #temporary = "";
  #fd = -1;

  /** @throws BayesError as {@link writeFileAtomic} */
  constructor(path: string) {
    this.#path = path;
    try {
      this.#target = targetOf(path);
      this.#open();
    } catch (error) {
      this.discard();
      throw fileError(error, "write", path);
    }
  }

  #open(): void {
    const target = this.#target;
    if (target.kind === "descriptor") this.#fd = target.fd;
    else if (target.kind === "stream") this.#fd = openInto(target.path);
    else {
      const folder = dirname(target.path);
      sweep(folder);
      this.#temporary = join(folder, temporaryName(basename(target.path)));
      this.#fd = openSync(this.#temporary, "wx", 0o666);
      const old = target.stat;
      if (!old) return;
      quietly(() => fchownSync(this.#fd, old.uid, old.gid)); // only root may
      fchmodSync(this.#fd, old.mode & 0o777);
    }
  }

  write(bytes: Uint8Array): void {
    try {
      writeAll(this.#fd, bytes);
    } catch (error) {
      throw fileError(error, "write", this.#path);
    }
  }

  /** It is whole: gives it its name. */
  finish(): void {
    if (this.#target.kind !== "file") {
      this.discard();
      return;
    }
    try {
      fsyncSync(this.#fd);
      closeSync(this.#fd);
      this.#fd = -1;
      renameSync(this.#temporary, this.#target.path);
      this.#temporary = "";
    } catch (error) {
      throw fileError(error, "write", this.#path);
    }
    syncFolder(dirname(this.#target.path));
  }

  /** Gives up what is not finished; the path is as it was. Does nothing to a finished one. */
  discard(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0 && this.#target?.kind !== "descriptor") quietly(() => closeSync(fd));
    if (this.#temporary) rmSync(this.#temporary, { force: true });
    this.#temporary = "";
  }
}

/** Throws what {@link writeFileAtomic} would throw for such a path, before there is anything to write. */
export function checkTarget(path: string): void {
  try {
    targetOf(path);
  } catch (error) {
    throw fileError(error, "write", path);
  }
}

/** Not waiting for whoever might read some day: a pipe without a reader is an error. */
function openInto(path: string): number {
  const { O_WRONLY, O_APPEND, O_NONBLOCK = 0, O_NOCTTY = 0 } = constants;
  return openSync(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY);
}

/** How long a pipe may be full before its reader counts as gone. */
const PATIENCE_MS = 10_000;

/** write(2) may write less than asked (near a full disk, above 2 GiB, into a pipe): go on until all is written. */
function writeAll(fd: number, bytes: Uint8Array): void {
  let waited = 0;
  for (let at = 0; at < bytes.byteLength; ) {
    try {
      at += writeSync(fd, bytes, at, Math.min(bytes.byteLength - at, 1 << 30));
      waited = 0;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      if (waited >= PATIENCE_MS) throw Object.assign(new Error("nobody reads"), { code: "EPIPE" });
      waited += 5;
      pause(5);
    }
  }
}

/** Throws a BayesError where {@link ensureDir} would for what is there already; makes nothing. */
export function checkDir(path: string): void {
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === false)
      throw new BayesError(`[make directory] ${path} is not a directory`, { code: "ERR_BAYES_FILE" });
  } catch (error) {
    throw fileError(error, "make directory", path);
  }
}

/**
 * Makes a folder, with its parents; does nothing if it is there.
 * @returns the folders made, the outermost first, for {@link removeEmpty}
 * @throws BayesError where a file or a link to nowhere is in the way, or without permission
 */
export function ensureDir(path: string): string[] {
  const made: string[] = [];
  try {
    makeFolders(resolve(path), made);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat?.isDirectory())
      throw new BayesError(`[make directory] ${path} is ${stat ? "not a directory" : "a link to nowhere"}`, {
        code: "ERR_BAYES_FILE",
      });
  } catch (error) {
    removeEmpty(made);
    throw fileError(error, "make directory", path);
  }
  return made;
}

/** Takes back folders that {@link ensureDir} made, as far as nothing lies in them. */
export function removeEmpty(made: readonly string[]): void {
  for (const folder of [...made].reverse()) quietly(() => rmdirSync(folder));
}

/** Not mkdir's own `recursive`: Node 20 never returns from it where the kernel refuses with ENOENT, as in /proc. */
function makeFolders(path: string, made: string[]): void {
  try {
    makeFolder(path, made);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || dirname(path) === path) throw error;
    makeFolders(dirname(path), made);
    makeFolder(path, made);
  }
}

function makeFolder(path: string, made: string[]): void {
  try {
    mkdirSync(path);
    made.push(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** Makes the rename itself durable. Some file systems refuse to sync a folder; the file is whole all the same. */
function syncFolder(folder: string): void {
  let fd = -1;
  quietly(() => {
    fd = openSync(folder, "r");
    fsyncSync(fd);
  });
  if (fd >= 0) quietly(() => closeSync(fd));
}

/** For what makes nothing worse where it fails. */
export function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // nothing to undo
  }
}

/** Waits, and lets nothing else happen meanwhile. */
export const pause = (ms: number): unknown => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

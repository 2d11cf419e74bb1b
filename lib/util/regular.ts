/** Files from outside: only regular ones are opened, and they are read to the size that they say they have. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { fileError } from "./atomic.ts";
import { BayesError, failFile } from "./errors.ts";
import { checkMemory } from "./memory.ts";

/** No file is read whole that is larger than this (2 GiB - 1), which is what one read can give. */
export const MAX_BYTES = 0x7fffffff;

export interface ReadOptions {
  /** bytes that the file may have; default {@link MAX_BYTES} */
  readonly most?: number;
  /** what is expected, as a phrase; default "a file" */
  readonly what?: string;
  /** what a message is about; default the path */
  readonly where?: string;
}

/** Should a pipe take the file's place after it was looked at, opening it does not wait for a writer. */
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** What is at a path, links being followed; undefined where there is nothing to be seen, for whatever reason. */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined; // below a file, a circle of links, a name too long: nothing is there
  }
}

/** What a thing of the file system is called in a sentence. */
export function kindOf(stat: Stats): string {
  if (stat.isFile()) return "a file";
  if (stat.isDirectory()) return "a directory";
  if (stat.isFIFO()) return "a pipe";
  if (stat.isSocket()) return "a socket";
  if (stat.isCharacterDevice()) return "a character device";
  return stat.isBlockDevice() ? "a block device" : "a link";
}

/**
 * What is at a path, links being followed.
 * @throws BayesError (ERR_BAYES_FILE) unless it is a regular file
 */
export function statRegular(path: string, what = "a file", where = path): Stats {
  try {
    return checked(statSync(path), { what, where });
  } catch (error) {
    throw fileError(error, "read", path);
  }
}

/**
 * Opens a regular file to be read. Close `fd` when done.
 * @throws BayesError (ERR_BAYES_FILE) for anything else, which may never end, or what may not be read
 */
export function openRegular(path: string, options: ReadOptions = {}): { readonly fd: number; readonly stat: Stats } {
  const about = { where: path, most: Infinity, ...options };
  let fd = -1;
  try {
    checked(statSync(path), about);
    fd = openSync(path, FLAGS);
    return { fd, stat: checked(fstatSync(fd), about) };
  } catch (error) {
    if (fd >= 0) closeSync(fd);
    throw fileError(error, "read", path);
  }
}

/**
 * The whole file.
 * @throws BayesError (ERR_BAYES_FILE) for what is no regular file (it is never opened: it may never end), one that has more
 *   than `most` bytes, or gives others than its size says, as files of /proc do and one that is being written
 */
export function readRegular(path: string, options: ReadOptions = {}): Uint8Array<ArrayBuffer> {
  const about = { where: path, ...options };
  const { fd, stat } = openRegular(path, { most: MAX_BYTES, ...options });
  try {
    const bytes = room(stat, about);
    let at = 0;
    for (let n = 1; n > 0 && at < bytes.length; at += n) n = readSync(fd, bytes, at, bytes.length - at, at);
    return whole(bytes, at, readSync(fd, new Uint8Array(1), 0, 1, at) > 0, about);
  } catch (error) {
    throw fileError(error, "read", path);
  } finally {
    closeSync(fd);
  }
}

/** {@link readRegular}, while other work goes on. */
export async function readRegularAsync(path: string, options: ReadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
  const about = { where: path, ...options };
  try {
    checked(statSync(path), about);
    const file = await open(path, FLAGS);
    try {
      const bytes = room(checked(await file.stat(), about), about);
      let at = 0;
      for (let n = 1; n > 0 && at < bytes.length; at += n)
        n = (await file.read(bytes, at, bytes.length - at, at)).bytesRead;
      return whole(bytes, at, (await file.read(new Uint8Array(1), 0, 1, at)).bytesRead > 0, about);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError(error, "read", path);
  }
}

/** The first bytes of a regular file; none where there is no such file or it may not be read. */
export function headOf(path: string, most: number): Uint8Array {
  let fd = -1;
  try {
    if (!statSync(path).isFile()) return new Uint8Array(0);
    fd = openSync(path, FLAGS);
    const bytes = new Uint8Array(most);
    return fstatSync(fd).isFile() ? bytes.subarray(0, readSync(fd, bytes, 0, most, 0)) : new Uint8Array(0);
  } catch {
    return new Uint8Array(0);
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

type About = ReadOptions & { readonly where: string };

function checked(stat: Stats, { where, what = "a file", most = MAX_BYTES }: About): Stats {
  if (!stat.isFile())
    throw new BayesError(`[${where}] expected ${what}, received ${kindOf(stat)}`, { code: "ERR_BAYES_FILE" });
  if (stat.size > most) failFile(where, `${what} of at most ${most} bytes`, stat.size);
  return stat;
}

function room({ size }: Stats, { where }: About): Uint8Array<ArrayBuffer> {
  checkMemory(where, size, "the file is read whole");
  return new Uint8Array(size);
}

function whole<B extends Uint8Array>(bytes: B, read: number, more: boolean, { where }: About): B {
  if (read === bytes.length && !more) return bytes;
  const why = more ? "more: it grows, or its size is not told" : `only ${read}: it was cut while it was read`;
  return failFile(where, `the ${bytes.length} bytes that the file's size tells`, why);
}

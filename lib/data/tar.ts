import { BayesError, failFile as fail, show, words } from "../util/errors.ts";

/** One regular file of a tar archive. */
export interface TarEntry {
  readonly path: string;
  readonly data: Uint8Array;
}

const BLOCK = 512;

/**
 * The regular files of a tar archive in memory (ustar, and GNU or pax archives whose names fit the ustar header).
 * Nothing is written: the caller decides what to do with the names, and no name can lead out of a folder.
 * @throws BayesError for a wrong checksum, a truncated file, an absolute path or one with "..", or a link or device
 */
export function readTar(bytes: Uint8Array, where: string): TarEntry[] {
  const entries: TarEntry[] = [];
  for (let at = 0; at + BLOCK <= bytes.length; ) {
    const header = bytes.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) return entries; // end of archive
    checkSum(header, where);
    const path = entryPath(header);
    const size = octal(header.subarray(124, 136), `size of ${show(path)}`, where);
    const start = at + BLOCK;
    if (start + size > bytes.length)
      fail(where, `${size} bytes of ${show(path)}`, words(`only ${bytes.length - start}`));
    const type = String.fromCharCode(header[156]);
    if (type === "0" || type === "\0") {
      checkPath(path, where);
      entries.push({ path, data: bytes.subarray(start, start + size) });
    } else if (!"5gx".includes(type)) {
      // Folders are made when needed and pax headers only repeat what we read; all else has no place in a data set.
      fail(
        where,
        "only regular files and folders in the archive",
        words(`${show(path)} of type ${JSON.stringify(type)}`),
      );
    }
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  return fail(where, "a tar archive that ends with an empty block", words("a truncated one"));
}

/** The header's bytes, its own checksum field read as spaces, must add up to that field. */
function checkSum(header: Uint8Array, where: string): void {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 32 : header[i];
  if (octal(header.subarray(148, 156), "checksum", where) !== sum)
    fail(where, "a tar header with its checksum", words("another"));
}

function entryPath(header: Uint8Array): string {
  const name = text(header.subarray(0, 100));
  const ustar = text(header.subarray(257, 262)) === "ustar" && header[262] === 0;
  const prefix = ustar ? text(header.subarray(345, 500)) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

function checkPath(path: string, where: string): void {
  if (path === "" || path.startsWith("/") || path.includes("\\") || path.split("/").includes("..")) {
    throw new BayesError(`[${where}] expected paths inside the archive's folder, received ${show(path)}`, {
      code: "ERR_BAYES_FILE",
    });
  }
}

function octal(field: Uint8Array, what: string, where: string): number {
  const digits = text(field).trim();
  if (!/^[0-7]+$/.test(digits)) fail(where, `an octal number as ${what}`, digits);
  return Number.parseInt(digits, 8);
}

/** The field up to its first zero byte. */
function text(field: Uint8Array): string {
  const end = field.indexOf(0);
  return new TextDecoder("latin1").decode(end < 0 ? field : field.subarray(0, end));
}

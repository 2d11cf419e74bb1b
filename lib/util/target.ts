/** What lies at a path that is to be written or read, before anything is opened. */
import { accessSync, constants, lstatSync, readlinkSync, realpathSync, type Stats } from "node:fs";
import { basename, dirname, join, resolve, sep } from "node:path";
import { BayesError } from "./errors.ts";
import { kindOf } from "./regular.ts";

/** Where the bytes for a path go. */
export type Target =
  /** A regular file (or none yet), to be replaced. */
  | { readonly kind: "file"; readonly path: string; readonly stat: Stats | undefined }
  /** Something to be opened and written into. */
  | { readonly kind: "stream"; readonly path: string }
  /** An open descriptor of this process. */
  | { readonly kind: "descriptor"; readonly fd: number };

const LINKS = 40; // as many as Linux follows

/**
 * Follows the links of a path to what is to be written.
 * @throws BayesError where that is a directory, a socket, a block device or a read-only file; errors of the file system as they come
 */
export function targetOf(path: string): Target {
  const refuse = (expected: string, received: string): never => {
    throw new BayesError(`[write] expected ${expected}, received ${path}, which is ${received}`, {
      code: "ERR_BAYES_FILE",
    });
  };
  if (path.endsWith("/") || path.endsWith(sep)) refuse("the name of a file to write", "that of a directory");
  let at = resolve(path);
  for (let links = 0; links < LINKS; links++) {
    const folder = realpathSync(dirname(at));
    at = join(folder, basename(at));
    // /dev/stdout and its kin: what the descriptor leads to may have no name, and a file behind it is not to be replaced
    const descriptor = /^\/proc\/(\d+)(?:\/task\/\d+)?\/fd\/(\d+)$/.exec(at);
    if (descriptor)
      return Number(descriptor[1]) === process.pid
        ? { kind: "descriptor", fd: Number(descriptor[2]) }
        : { kind: "stream", path: at };
    const stat = lstatSync(at, { throwIfNoEntry: false });
    if (stat?.isSymbolicLink()) {
      at = resolve(folder, readlinkSync(at));
      continue;
    }
    if (stat?.isFIFO() || stat?.isCharacterDevice()) return { kind: "stream", path: at };
    if (stat && !stat.isFile()) refuse("a file to write", kindOf(stat));
    // a rename needs no permission of the file itself, and root needs none at all; who took it away meant it
    if (stat && (stat.mode & 0o222) === 0) refuse("a file that may be written", "read-only");
    if (stat) accessSync(at, constants.W_OK);
    return { kind: "file", path: at, stat };
  }
  throw Object.assign(new Error("too many links"), { code: "ELOOP" });
}

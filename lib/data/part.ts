import { createHash, randomBytes } from "node:crypto";
import { constants, lstatSync, readdirSync, renameSync, rmSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileError } from "../util/atomic.ts";
import { failFile, words } from "../util/errors.ts";
import { lifeOf, ownerText, parseOwner, self } from "../util/owner.ts";

const { O_RDWR, O_CREAT, O_EXCL } = constants;
const O_NOFOLLOW = constants.O_NOFOLLOW ?? 0;

/**
 * What has come of a download so far. While it runs it has a name of its own, so that two downloads of one file do not mix;
 * what is left when it breaks off is kept as FILE.part. A download that was killed leaves its own name, which the next one
 * takes over. Links are never followed.
 */
export class Part {
  readonly #path: string;
  readonly #own: string;
  readonly #file: FileHandle;
  #size: number;

  private constructor(path: string, own: string, file: FileHandle, size: number) {
    this.#path = path;
    this.#own = own;
    this.#file = file;
    this.#size = size;
  }

  /** @throws BayesError where FILE.part is something else than a file of ours, or the folder cannot be written to */
  static async open(path: string): Promise<Part> {
    const own = `${path}.${ownerText(self())}${randomBytes(4).toString("hex")}.part`;
    try {
      const found = [`${path}.part`, ...abandoned(path)].some((old) => take(old, own));
      const file = await open(own, O_RDWR | O_NOFOLLOW | (found ? 0 : O_CREAT | O_EXCL), 0o666);
      return new Part(path, own, file, (await file.stat()).size);
    } catch (error) {
      throw fileError(error, "download to", `${path}.part`);
    }
  }

  /** bytes that are there */
  get size(): number {
    return this.#size;
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, at, bytes.length - at, this.#size);
      at += bytesWritten;
      this.#size += bytesWritten;
    }
  }

  /** Forgets what has come. */
  async restart(): Promise<void> {
    await this.#file.truncate(0);
    this.#size = 0;
  }

  /** Hash of what has come, in hex. */
  async hash(algorithm: "sha256" | "md5"): Promise<string> {
    const hash = createHash(algorithm);
    for await (const chunk of this.#file.createReadStream({ start: 0, autoClose: false })) hash.update(chunk as Buffer);
    return hash.digest("hex");
  }

  /** It is whole: gives it its name. */
  async finish(): Promise<void> {
    try {
      await this.#file.sync();
      await this.#file.close();
      renameSync(this.#own, this.#path);
    } catch (error) {
      throw fileError(error, "write", this.#path);
    }
  }

  /** It is not whole: the next download goes on with it. */
  async keep(): Promise<void> {
    await this.#file.close().catch(() => {}); // it may be closed already
    try {
      if (this.#size === 0) rmSync(this.#own, { force: true });
      else renameSync(this.#own, `${this.#path}.part`);
    } catch {
      // it keeps its own name, and will be found by that
    }
  }
}

/** Gives what an earlier download left the name of this one. False where there is nothing. */
function take(old: string, own: string): boolean {
  const found = lstatSync(old, { throwIfNoEntry: false });
  if (found === undefined) return false;
  if (!found.isFile() || found.nlink !== 1)
    failFile(
      old,
      "what is left of a download, a file",
      words(found.isFile() ? "a file of several names" : "something else"),
    );
  try {
    renameSync(old, own);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false; // another one was faster
    throw error;
  }
}

/** What downloads of this file have left whose process is gone. */
function abandoned(path: string): string[] {
  const [folder, name] = [dirname(path), basename(path)];
  return readdirSync(folder).flatMap((entry) => {
    const owner = entry.startsWith(`${name}.`) && entry.endsWith(".part") && parseOwner(entry.slice(name.length + 1));
    const old = join(folder, entry);
    return owner && lifeOf(owner) === "dead" && lstatSync(old, { throwIfNoEntry: false })?.isFile() ? [old] : [];
  });
}

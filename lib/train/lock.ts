/**
 * The lock of a run folder: a file `.lock` that says which thread works there, and that counts as long as the thread runs.
 * Nothing has to be cleaned up after a kill, a power cut or `worker.terminate()` (a worker's counts as long as its process
 * where there is no /proc).
 */
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { isMainThread, threadId } from "node:worker_threads";
import { ensureDir, fileError, pause, quietly, removeEmpty } from "../util/atomic.ts";
import { BayesError, failFile, words } from "../util/errors.ts";
import { lifeOf, ownerText, parseOwner, self } from "../util/owner.ts";
import { headOf, kindOf, statOf } from "../util/regular.ts";
import { temporaryName } from "../util/temporary.ts";

export const LOCK = ".lock";
/** How often a holder gives a sign of life, for those who cannot look whether it runs: other machines and containers. */
const SIGN_MS = 15_000;
/** Without one for so long, a holder that cannot be seen counts as dead. */
const SILENCE_MS = 300_000;
/** How long a lock whose text is not whole may be that of somebody who is just writing it. */
const WRITING_MS = 2_000;
const WRITING = "another process is just locking";

/** A lock as it was read. */
interface Found {
  readonly text: string;
  readonly modified: number;
}

/** A lock, or what a command has lent of its own. */
export type HeldLock = Disposable & Pick<RunLock, "path" | "check" | "ours">;

/** The locks of this thread by real path. */
const held = new Map<string, RunLock>();

/** A folder that nobody else writes a run into. Release it, or let `using` do so. */
export class RunLock implements Disposable {
  /** The folder, as it was named. */
  readonly path: string;
  readonly #lend: boolean;
  readonly #real: string;
  readonly #file: string;
  readonly #made: readonly string[];
  readonly #fd: number;
  readonly #timer: NodeJS.Timeout;
  #lent = false;
  #released = false;

  private constructor(path: string, real: string, made: readonly string[], lend: boolean) {
    this.path = path;
    this.#real = real;
    this.#made = made;
    this.#lend = lend;
    this.#file = join(resolve(path), LOCK);
    const text = `${JSON.stringify({
      owner: ownerText(self()),
      ...(isMainThread ? {} : { worker: threadId }),
      host: hostname(),
      since: new Date().toISOString(),
      id: randomBytes(8).toString("hex"),
    })}\n`;
    try {
      acquire(join(real, LOCK), text, path);
      this.#fd = openSync(join(real, LOCK), "r+");
      clearClaims(real);
    } catch (error) {
      removeEmpty(made);
      throw fileError(error, "lock", path);
    }
    // the same bytes again: the file's time is then that of the machine that keeps the file
    this.#timer = setInterval(() => quietly(() => writeSync(this.#fd, text, 0)), SIGN_MS).unref();
    held.set(real, this);
  }

  /**
   * Takes the lock of a folder, which is made if it is missing.
   * @param lend whether the next one of this thread who asks gets it too: a command that lets `fit` work in its folder
   * @throws BayesError "ERR_BAYES_BUSY" that says who holds it
   */
  static take(path: string, { lend = false } = {}): HeldLock {
    const made = ensureDir(path);
    const real = realpathSync(path);
    return (lend ? undefined : held.get(real)?.borrowed(path)) ?? new RunLock(path, real, made, lend);
  }

  /** The lock for another part of the same command; undefined where it is not lent, or no more. */
  borrowed(path: string): HeldLock | undefined {
    if (!this.#lend || this.#lent || !this.ours()) return undefined;
    this.#lent = true;
    return {
      path,
      check: () => this.check(),
      ours: () => this.ours(),
      [Symbol.dispose]: () => {
        this.#lent = false;
      },
    };
  }

  /** Whether the folder at the path is still the one, and still locked by this. */
  ours(): boolean {
    try {
      const [there, mine] = [statSync(this.#file), fstatSync(this.#fd)];
      return there.ino === mine.ino && there.dev === mine.dev;
    } catch {
      return false;
    }
  }

  /** Throws a BayesError unless {@link ours}: before anything is written. */
  check(): void {
    if (this.ours()) return;
    throw new BayesError(
      `[run folder] expected ${this.path} to stay in its place during the run, received ${this.#there()}; nothing more was written there`,
      { code: "ERR_BAYES_FILE" },
    );
  }

  #there(): string {
    if (!statOf(dirname(this.#file))) return "none: it was removed or renamed";
    return "another one: it was replaced, or its lock was removed or taken over";
  }

  /** Gives the folder free; where nothing lies in it and it was made for the lock, it goes. */
  [Symbol.dispose](): void {
    if (this.#released) return;
    this.#released = true;
    clearInterval(this.#timer);
    if (held.get(this.#real) === this) held.delete(this.#real);
    if (this.ours()) {
      quietly(() => rmSync(this.#file));
      removeEmpty(this.#made);
    } else
      quietly(() => {
        ftruncateSync(this.#fd); // the folder may have been moved away, and is not locked any more wherever it is
        writeSync(this.#fd, "{}\n", 0);
      });
    quietly(() => closeSync(this.#fd));
  }
}

/**
 * Makes the lock file, or takes the place of one whose holder is dead. Of several who find the same dead lock one wins: they
 * first take a claim, a lock of its own whose name is made from the dead lock's text, so that nobody who read an old
 * lock can replace a newer one.
 */
function acquire(file: string, text: string, path: string): void {
  const own = join(dirname(file), temporaryName(basename(file)));
  writeFileSync(own, text, { flag: "wx" });
  try {
    const now = statSync(own).mtimeMs; // by the clock of the machine that keeps the files
    for (let tries = 0; ; tries++) {
      if (placed(own, file, text)) return;
      const found = read(file);
      if (!found && tries <= 25) continue; // gone again
      if (!found) throw busy(path, WRITING);
      const holder = holderOf(found, now);
      if (holder !== undefined || tries > 25) throw busy(path, holder ?? WRITING);
      if (takeOver(file, found, own, text, path)) return;
      pause(20);
    }
  } finally {
    rmSync(own, { force: true });
  }
}

/** Whether the file was not there and now is: a second name of `own`, so that nobody sees half of it. */
function placed(own: string, file: string, text: string): boolean {
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(code ?? "")) throw error;
  }
  // a file system without second names
  try {
    writeFileSync(file, text, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function takeOver(file: string, dead: Found, own: string, text: string, path: string): boolean {
  const claim = `${file.slice(0, file.lastIndexOf(LOCK))}${LOCK}.${createHash("sha256").update(dead.text).digest("hex").slice(0, 16)}`;
  if (claim === file) return false;
  try {
    acquire(claim, text, path);
  } catch (error) {
    if (error instanceof BayesError) return false; // another one is about it: look again who holds the lock
    throw error;
  }
  try {
    if (read(file)?.text !== dead.text) return false;
    renameSync(own, file);
    return true;
  } finally {
    rmSync(claim, { force: true });
  }
}

/** Claims on locks that are gone: the lock is this thread's now, so nobody's claim counts. */
function clearClaims(folder: string): void {
  for (const name of readdirSync(folder))
    if (isLock(name) && name !== LOCK) rmSync(join(folder, name), { force: true });
}

function read(file: string): Found | undefined {
  try {
    const stat = lstatSync(file);
    if (!stat.isFile()) failFile(file, "a file", words(kindOf(stat)));
    return { text: new TextDecoder().decode(headOf(file, 4096)), modified: stat.mtimeMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Who holds a lock, in words; undefined where it counts no more. */
function holderOf({ text, modified }: Found, now: number): string | undefined {
  let said: { owner?: unknown; worker?: unknown; host?: unknown; since?: unknown } | null;
  try {
    said = JSON.parse(text);
  } catch {
    return Math.abs(now - modified) < WRITING_MS ? WRITING : undefined; // a clock may have been wrong
  }
  const owner = parseOwner(String(said?.owner));
  if (!owner) return undefined; // given free
  const life = lifeOf(owner);
  const silent = Math.abs(now - modified);
  if (life === "dead" || (life === "unknown" && silent > SILENCE_MS)) return undefined;
  const worker = typeof said?.worker === "number" ? `, worker ${said.worker},` : "";
  const process = `process ${owner.pid}${owner.pid === self().pid && life === "alive" ? " (this one)" : ""}${worker}`;
  const since = `has held since ${plain(said?.since, 24)}`;
  if (life === "alive") return `${process} ${since}`;
  return `${process} on ${plain(said?.host, 64)}, which cannot be seen from here, ${since}; it counts as dead ${SILENCE_MS / 60_000} minutes after its last sign of life, which was ${Math.max(0, Math.round(silent / 1000))} s ago`;
}

/** What a lock says, for a message. */
const plain = (value: unknown, most: number): string =>
  String(value)
    .replace(/[^\w.:-]/g, "?")
    .slice(0, most);

const busy = (path: string, holder: string): BayesError =>
  new BayesError(`[run folder] expected a folder that nobody works in, received ${path}, which ${holder}`, {
    code: "ERR_BAYES_BUSY",
  });

/** Whether a name is that of a lock, or of a claim on one. */
export const isLock = (name: string): boolean => /^\.lock(\.[0-9a-f]{16})?$/.test(name);

/** Throws a BayesError when a folder is somebody's; changes nothing. */
export function checkFree(path: string): void {
  const file = join(path, LOCK);
  const found = read(file);
  const holder = found && holderOf(found, Date.now());
  if (holder !== undefined) throw busy(path, holder);
}

/**
 * Standard output and standard error. Neither a reader that goes away (`| head`) nor a full disk ends a command in the
 * middle: what can no longer be written is dropped, the command does its work, and the exit code says what happened.
 */
import { fstatSync, writeSync } from "node:fs";
import { fileError } from "../../util/atomic.ts";

type Name = "stdout" | "stderr";

class Standard {
  /** Whether what is printed is what the command is for; false where that lies in files, as of `train`. */
  product = true;
  readonly #fault: { [K in Name]?: "gone" | "full" } = {};
  #direct: { [K in Name]?: number } = {};
  #pending = 0;
  #idle: () => void = () => {};

  /** Looks after the streams of this process, of which nobody else may then be relied on to write. */
  takeOver(): void {
    for (const [name, fd] of [["stdout", 1], ["stderr", 2]] as const) {
      process[name].on("error", (error) => this.#failed(name, error));
      if (isFile(fd)) this.#direct[name] = fd;
    }
  } // biome-ignore format: two streams

  write(name: Name, text: string): void {
    if (this.#fault[name]) return;
    const fd = this.#direct[name];
    if (fd !== undefined) {
      try {
        writeWhole(fd, Buffer.from(text));
      } catch (error) {
        this.#failed(name, error as NodeJS.ErrnoException);
      }
      return;
    }
    this.#pending++;
    process[name].write(text, (error) => {
      if (error) this.#failed(name, error);
      if (--this.#pending === 0) this.#idle();
    });
  }

  /** Waits until all is written or cannot be; at most so many milliseconds. */
  async flush(most = Infinity): Promise<void> {
    if (this.#pending === 0) return;
    await new Promise<void>((done) => {
      this.#idle = done;
      if (most < Infinity) setTimeout(done, most);
    });
  }

  /** The exit code of a command that would end with `code`, now that it is known what has become of its output. */
  exitCode(code: number): number {
    const { stdout } = this.#fault;
    if (code !== 0 || !stdout) return code;
    if (stdout === "full") return 1;
    return this.product ? 141 : 0; // as if by SIGPIPE, 128 + 13; or all is done, and nobody wanted to read of it
  }

  #failed(name: Name, error: NodeJS.ErrnoException): void {
    if (this.#fault[name]) return;
    const { code = "" } = error;
    const gone = GONE.includes(code) || (code === "EIO" && process[name].isTTY);
    this.#fault[name] = gone ? "gone" : "full";
    if (name === "stderr" || gone) return; // nobody to tell, or nobody who wants to know
    const { message } = fileError(error, "write", "standard output") as Error;
    this.write(
      "stderr",
      `bayescnn: ${message.replace("[write] ", "")}; what follows is lost${this.product ? "" : ", the work goes on"}\n`,
    );
  }
}

/** The reader has left. A terminal that was hung up says EIO. */
const GONE = ["EPIPE", "ECONNRESET", "ENOTCONN", "ESHUTDOWN"];

/** Node.js writes to these once, and says nothing of what the disk had no room for. */
function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile();
  } catch {
    return false;
  }
}

function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

/** Those of this process. */
export const standard = new Standard();

import { readFileSync, readlinkSync } from "node:fs";
import { isatty } from "node:tty";
import { orAborted } from "../../util/abort.ts";
import { pause } from "../../util/atomic.ts";
import { standard } from "./standard.ts";

const NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
type SignalName = keyof typeof NUMBERS;

/** Thrown when a signal ended a command that has said all there is to say. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  readonly exitCode: number;

  constructor(signal: SignalName) {
    super(`stopped by ${signal}`);
    this.exitCode = 128 + NUMBERS[signal];
  }
}

/** SIGINT (Ctrl-C), SIGTERM and SIGHUP as an AbortSignal; a second one ends the process at once. */
export class Interruption {
  readonly #abort = new AbortController();
  readonly #saves: boolean;
  readonly #handlers = new Map<SignalName, () => void>();
  #waiting = 0;

  /** @param saves whether to say that something is saved first */
  constructor(saves: boolean) {
    this.#saves = saves;
    for (const name of Object.keys(NUMBERS) as SignalName[]) {
      const handler = name === "SIGHUP" && hangupIgnored() ? () => {} : () => this.#received(name);
      process.on(name, handler);
      this.#handlers.set(name, handler);
    }
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  readonly until = async <T>(work: Promise<T>): Promise<T> => {
    this.#waiting++;
    try {
      return await orAborted(work, this.signal);
    } finally {
      this.#waiting--;
    }
  };

  /** Throws if a signal has come, also one that came while nothing could hear it. */
  async heard(): Promise<void> {
    await new Promise(setImmediate);
    this.signal.throwIfAborted();
  }

  release(): void {
    for (const [name, handler] of this.#handlers) process.off(name, handler);
  }

  #received(name: SignalName): void {
    const reason = new Interrupted(name);
    if (this.signal.aborted) endProcess(reason.exitCode);
    if (this.#saves && this.#waiting === 0)
      standard.write("stderr", `\nstopping after ${name}; a second one ends it at once\n`);
    this.#abort.abort(reason);
  }
}

const onTerminal = [0, 1, 2].some((fd) => isatty(fd));

/** Ends the process now, whatever is under way. */
export function endProcess(code: number): never {
  if (code === 128 + NUMBERS.SIGHUP && onTerminal) {
    // Node.js crashes when it exits and puts back the settings of a terminal that is gone: the signal itself ends it as well
    process.removeAllListeners("SIGHUP");
    process.kill(process.pid, "SIGHUP");
    pause(1000);
  }
  process.exit(code);
}

/**
 * Whether this was started to outlive its terminal. Node.js makes every signal that its parent had ignored deadly again,
 * so what nohup does is known by its other marks: a standard input that cannot be read, output in nohup.out, or a parent
 * that ignores the signal itself.
 */
function hangupIgnored(): boolean {
  try {
    const ignored = /^SigIgn:.*[13579bdf]$/m.test(readFileSync(`/proc/${process.ppid}/status`, "utf8"));
    const unreadable =
      /^flags:\s*\d*1$/m.test(readFileSync("/proc/self/fdinfo/0", "utf8")) && linked(0) === "/dev/null";
    return ignored || unreadable || [1, 2].some((fd) => linked(fd).endsWith("/nohup.out"));
  } catch {
    return false; // not Linux
  }
}

const linked = (fd: number): string => readlinkSync(`/proc/self/fd/${fd}`);

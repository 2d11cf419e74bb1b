/** Which thread of which process has made a file, and whether it still runs: for locks and for what a kill leaves behind. */
import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

export interface Owner {
  /** Hash of the machine's name and number. */
  readonly machine: string;
  /** Hash of what changes whenever the machine starts. */
  readonly boot: string;
  /** Hash of the namespace in which the numbers of processes hold: a container has its own. */
  readonly space: string;
  readonly pid: number;
  /** Number that the system gave the thread; a worker's dies with it. */
  readonly thread: number;
  /** When the thread began, in the system's ticks: numbers of threads are used again. 0 where it is not known. */
  readonly started: number;
}

const hash = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 8);

/** What a file of the system says, or link of it; empty where there is none (another system than Linux). */
function told(path: string, read: (path: string) => string = (file) => readFileSync(file, "latin1")): string {
  try {
    return read(path).trim();
  } catch {
    return "";
  }
}

let known: Owner | undefined;

/** The thread that asks. */
export function self(): Owner {
  if (known) return known;
  const machine = `${hostname()} ${told("/etc/machine-id")}`;
  const { pid } = process;
  const thread = Number(told("/proc/thread-self", (link) => readlinkSync(link)).split("/")[2] ?? pid);
  known = {
    machine: hash(machine),
    boot: hash(told("/proc/sys/kernel/random/boot_id") || machine),
    space: hash(told("/proc/self/ns/pid", (link) => readlinkSync(link))),
    pid,
    thread,
    started: startOf(pid, thread) ?? 0,
  };
  return known;
}

/** When a thread that runs began; undefined where there is none, it is a zombie, or this is no Linux. */
function startOf(pid: number, thread: number): number | undefined {
  const text = told(`/proc/${pid}/task/${thread}/stat`);
  const [state, ...fields] = text.slice(text.lastIndexOf(")") + 2).split(" "); // a name in ( ) may hold anything
  return text === "" || state === "Z" || state === "X" ? undefined : Number(fields[18]);
}

/** "unknown": it runs, or ran, on another machine or in another container, where nobody can look from here. */
export function lifeOf(owner: Owner): "alive" | "dead" | "unknown" {
  const here = self();
  if (owner.boot !== here.boot) return owner.machine === here.machine ? "dead" : "unknown";
  if (owner.space !== here.space) return "unknown";
  const started = startOf(owner.pid, owner.thread);
  if (started !== undefined) return started === owner.started ? "alive" : "dead";
  try {
    process.kill(owner.pid, 0); // tells whether there is such a process, and does nothing to it
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH" ? "dead" : "alive"; // another user's, which may be hidden
  }
  return here.started === 0 ? "alive" : "dead"; // the process is seen, the thread is not
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");
const WIDTHS = [8, 8, 8, 8, 12] as const;

/** The owner as the text PID.HEX, which a file's name can hold. */
export const ownerText = ({ machine, boot, space, pid, thread, started }: Owner): string =>
  `${pid}.${machine}${boot}${space}${hex(thread, WIDTHS[3])}${hex(started, WIDTHS[4])}`;

/** The owner that a text begins with; undefined for any other text. */
export function parseOwner(text: string): Owner | undefined {
  const found = /^(\d{1,10})\.([0-9a-f]{44})/.exec(text);
  if (!found) return undefined;
  let at = 0;
  const [machine, boot, space, thread, started] = WIDTHS.map((width) => found[2].slice(at, (at += width)));
  return {
    machine,
    boot,
    space,
    pid: Number(found[1]),
    thread: Number.parseInt(thread, 16),
    started: Number.parseInt(started, 16),
  };
}

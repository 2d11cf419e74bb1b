/**
 * Progress of long work on standard error: a bar with throughput and time left on a terminal, a plain line now and then
 * anywhere else (a log file, CI). Standard output stays free for results.
 */
import cliProgress from "cli-progress";
import picocolors from "picocolors";
import { checkNumber } from "./errors.ts";
import { visible } from "./text.ts";

/** A running progress display. */
export interface Progress {
  /** Says that `done` of the total are finished; `extras` are shown behind it, as "loss 0.12". */
  update(done: number, extras?: Record<string, string | number>): void;
  /** Draws the last state and ends the display. Safe to call twice. */
  stop(): void;
}

export interface ProgressOptions {
  /** what is counted, shown in the throughput; "steps" unless told */
  unit?: string;
  /** show nothing at all, as --json asks */
  silent?: boolean;
  /** where to draw; standard error unless told */
  stream?: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
}

/** Off a terminal a line is printed after this long, or after this share of the work, whichever comes first. */
const LINE_MS = 5_000;
const LINE_SHARE = 0.1;
const BAR_CHARS = 24;

/**
 * Starts a progress display.
 * @param label short name of the work, such as "train"
 * @param total how much there is to do, in units
 */
export function progress(label: string, total: number, options: ProgressOptions = {}): Progress {
  checkNumber("progress", "total", total, 0);
  const { unit = "steps", silent = false, stream = process.stderr } = options;
  if (silent) return { update() {}, stop() {} };
  const started = performance.now();
  const state = { done: 0, extras: "" };
  const describe = (): string => {
    const seconds = (performance.now() - started) / 1000;
    const rate = seconds > 0 ? state.done / seconds : 0;
    const left = rate > 0 ? duration((total - state.done) / rate) : "?";
    const ending = state.done >= total ? `took ${duration(seconds)}` : `${left} left`;
    return `${state.done}/${total} ${unit}  ${compact(rate)}/s  ${ending}${state.extras}`;
  };
  const percent = () => Math.floor(total > 0 ? (100 * state.done) / total : 100);
  const name = visible(label);
  const display = stream.isTTY ? bar(name, total, stream, percent, describe) : lines(name, stream, percent, describe);
  stream.on("error", ignored); // a log that cannot be written ends no work
  let open = true;
  return {
    update(done, extras = {}) {
      if (!open) return;
      state.done = Math.min(Math.max(0, done), total);
      state.extras = Object.entries(extras).reduce((text, [name, v]) => `${text}  ${visible(name)} ${shown(v)}`, "");
      display.update(state.done);
    },
    stop() {
      if (!open) return;
      open = false;
      display.stop();
      stream.write("", () => setImmediate(() => stream.off("error", ignored)));
    },
  };
}

const ignored = (): void => {};

type Stream = NonNullable<ProgressOptions["stream"]>;

function bar(label: string, total: number, stream: Stream, percent: () => number, describe: () => string) {
  const colour = picocolors.createColors(!process.env.NO_COLOR && process.env.TERM !== "dumb");
  const display = new cliProgress.SingleBar({
    stream,
    // Ctrl-C belongs to the training loop, which saves first.
    gracefulExit: false,
    fps: 10,
    linewrap: null,
    emptyOnZero: false,
    format: () => {
      const full = Math.round((percent() / 100) * BAR_CHARS);
      const drawn = colour.cyan("━".repeat(full)) + colour.dim("─".repeat(BAR_CHARS - full));
      const head = `${label} `;
      const tail = ` ${String(percent()).padStart(3)}%  ${describe()}`;
      // A line that wraps cannot be redrawn in place.
      const room = Math.max(0, (stream.columns ?? 80) - 1 - head.length - BAR_CHARS);
      return colour.bold(head) + drawn + (tail.length > room ? tail.slice(0, room) : tail);
    },
  });
  display.start(total, 0);
  return { update: (done: number) => display.update(done), stop: () => display.stop() };
}

function lines(label: string, stream: Stream, percent: () => number, describe: () => string) {
  let time = performance.now();
  let share = 0;
  let pending = false;
  const print = () => {
    stream.write(`${label} ${percent()}%  ${describe()}\n`);
    time = performance.now();
    share = percent();
    pending = false;
  };
  return {
    update() {
      pending = true;
      if (performance.now() - time >= LINE_MS || percent() - share >= 100 * LINE_SHARE) print();
    },
    stop() {
      if (pending) print();
    },
  };
}

/** Four significant digits for a number; text without line breaks. */
function shown(value: string | number): string {
  return typeof value === "number" ? String(Number(value.toPrecision(4))) : visible(value.replace(/\s+/g, " "));
}

function compact(rate: number): string {
  if (rate >= 1e6) return `${(rate / 1e6).toFixed(1)}M`;
  if (rate >= 1e4) return `${(rate / 1e3).toFixed(1)}k`;
  return rate >= 100 ? rate.toFixed(0) : rate.toPrecision(3);
}

/** Seconds as "4s", "2m 05s" or "1h 02m". */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s}s`;
  const pad = (n: number) => String(n).padStart(2, "0");
  if (s < 3600) return `${Math.floor(s / 60)}m ${pad(s % 60)}s`;
  return `${Math.floor(s / 3600)}h ${pad(Math.floor((s % 3600) / 60))}m`;
}

import { createColors } from "picocolors";
import { columns, visible, visibleJson } from "../../util/text.ts";
import { standard } from "./standard.ts";

/** A part of a line: text, or text in a style. */
export type Piece = string | readonly [style: "bold" | "dim" | "cyan", text: string];

/**
 * Where a command's results go: sentences for people, or JSON lines for programs. Whatever text is given, no control
 * character of it is written: names come from outside. Progress and errors are not here.
 */
export interface Output {
  readonly json: boolean;
  /** A JSON line {"event": name, ...fields}; nothing for people. */
  event(name: string, fields?: Readonly<Record<string, unknown>>): void;
  /** A bare JSON line; nothing for people. */
  record(fields: Readonly<Record<string, unknown>>): void;
  /** One line of text; nothing with --json. */
  line(...pieces: readonly Piece[]): void;
  /** A sentence that must not be missed: a line of text, or the event "note". */
  note(sentence: string): void;
}

/** @param lines also gets every JSON line, whether or not they are printed */
export function output(json: boolean, lines: string[] = []): Output {
  const record = (fields: Readonly<Record<string, unknown>>) => {
    const line = visibleJson(fields);
    lines.push(line);
    if (json) standard.write("stdout", `${line}\n`);
  };
  const line: Output["line"] = (...pieces) => {
    if (json) return;
    const c = colours();
    const drawn = pieces.map((piece) => (typeof piece === "string" ? visible(piece) : c[piece[0]](visible(piece[1]))));
    standard.write("stdout", `${drawn.join("")}\n`);
  };
  const event: Output["event"] = (event, fields = {}) => record({ event, ...fields });
  return {
    json,
    record,
    event,
    line,
    note(text) {
      event("note", { text });
      line(`note: ${text}`);
    },
  };
}

/** Prints lines. */
export function lines(out: Output, ...texts: readonly string[]): void {
  for (const text of texts) out.line(text);
}

/** Says on standard error what went wrong, in one line. */
export function complain(sentence: string): void {
  standard.write("stderr", `bayescnn: ${visible(sentence)}\n`);
}

/** Colours on a terminal only, and never with NO_COLOR (https://no-color.org). */
const colours = () =>
  createColors(!process.env.NO_COLOR && process.env.TERM !== "dumb" && process.stdout.isTTY === true);

/** Columns padded to the same width; numbers (all cells of a column right of the first) to the right if asked. */
export function table(rows: readonly (readonly string[])[], align: "left" | "right" = "right"): string[] {
  const cells = rows.map((row) => row.map((cell) => visible(cell)));
  const widths: number[] = [];
  for (const row of cells) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, columns(cell));
  return cells.map((row) =>
    row
      .map((cell, i) => {
        const room = " ".repeat(widths[i] - columns(cell));
        return i === 0 || align === "left" ? cell + room : room + cell;
      })
      .join("  ")
      .trimEnd(),
  );
}

export const percent = (x: number, digits = 2): string => `${(100 * x).toFixed(digits)} %`;
export const fixed = (x: number, digits = 4): string => x.toFixed(digits);
export const count = (n: number): string => n.toLocaleString("en-US");

/** "1.5 MiB" */
export function bytes(n: number): string {
  const units = ["B", "KiB", "MiB", "GiB"];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return `${i === 0 ? n : Number(n.toPrecision(3))} ${units[i]}`;
}

import { createColors } from "picocolors";

/** Where a command's results go: sentences for people, or JSON lines for programs. Progress and errors are not here. */
export interface Output {
  readonly json: boolean;
  /** A JSON line {"event": name, ...fields}; nothing for people. */
  event(name: string, fields?: Readonly<Record<string, unknown>>): void;
  /** A bare JSON line; nothing for people. */
  record(fields: Readonly<Record<string, unknown>>): void;
  /** A line of text; nothing with --json. */
  line(text?: string): void;
  /** A sentence that must not be missed: a line of text, or the event "note". */
  note(sentence: string): void;
}

/** @param lines also gets every JSON line, whether or not they are printed */
export function output(json: boolean, lines: string[] = []): Output {
  const record = (fields: Readonly<Record<string, unknown>>) => {
    const line = JSON.stringify(fields);
    lines.push(line);
    if (json) process.stdout.write(`${line}\n`);
  };
  const line = (text = ""): void => {
    if (!json) process.stdout.write(`${text}\n`);
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

/** Colours on a terminal only, and never with NO_COLOR (https://no-color.org). */
export const colours = () =>
  createColors(!process.env.NO_COLOR && process.env.TERM !== "dumb" && process.stdout.isTTY === true);

/** Columns padded to the same width; numbers (all cells of a column right of the first) to the right if asked. */
export function table(rows: readonly (readonly string[])[], align: "left" | "right" = "right"): string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, i) => (i === 0 || align === "left" ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
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

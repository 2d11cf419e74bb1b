// What the documents contain: fenced blocks of README.md, docs/ and the comments in lib/, and command lines.
//
// A block is a program of its own. What a fragment needs besides stands above it in a comment that no reader sees,
//     <!-- setup: import { loadData } from "bayescnn"; const { train } = await loadData("mnist"); -->
// and a block that cannot run says why, which the test prints:
//     <!-- not run: needs a graphics card -->
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

export const root = resolve(import.meta.dirname, "../..");

export interface Block {
  /** "docs/guide.md:12", where the code begins. */
  readonly place: string;
  readonly language: string;
  readonly code: string;
  readonly setup: string;
  readonly notRun: string | undefined;
}

const list = (folder: string, end: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((f) => f.endsWith(end) && !f.startsWith("api/")) // docs/api is typedoc's
    .map((f) => join(folder, f))
    .sort();

/** README.md and everything in docs/. */
export const documents = (): string[] => ["README.md", ...list("docs", ".md")];
export const sources = (): string[] => list("lib", ".ts");
export const read = (file: string): string => readFileSync(join(root, file), "utf8");

/** The fenced blocks of a text in Markdown. */
export function blocksOf(file: string, text: string): Block[] {
  const lines = text.split("\n");
  const found: Block[] = [];
  for (let i = 0; i < lines.length; i++) {
    const open = /^(\s*)(`{3,}|~{3,})\s*([\w+-]*)/.exec(lines[i]);
    if (!open) continue;
    const from = i + 1;
    do i++;
    while (i < lines.length && lines[i].trim() !== open[2]);
    const code = lines.slice(from, i).map((line) => line.replace(open[1], ""));
    const above = lines.slice(0, from - 1).join("\n");
    const [, kind, said] = /<!--\s*(setup|not run):((?:(?!-->).)*)-->\s*$/s.exec(above) ?? [];
    found.push({
      place: `${file}:${from + 1}`,
      language: open[3],
      code: code.join("\n"),
      setup: kind === "setup" ? said.trim() : "",
      notRun: kind === "not run" ? said.trim() : undefined,
    });
  }
  return found;
}

/** A TypeScript file with all but the texts of its documentation comments blanked, line for line. */
export function commentsOf(text: string): string {
  let inside = false;
  return text
    .split("\n")
    .map((line) => {
      const begins = /^\s*\/\*\*/.test(line);
      const shown = begins || inside ? line.replace(/^\s*\/?\*+ ?/, "").replace(/\s*\*\/.*$/, "") : "";
      inside = (begins || inside) && !line.includes("*/");
      return shown;
    })
    .join("\n");
}

/** Every block of the documents and of the comments in lib/ that is a program. */
export function programs(): Block[] {
  const all = [
    ...documents().flatMap((file) => blocksOf(file, read(file))),
    ...sources().flatMap((file) => blocksOf(file, commentsOf(read(file)))),
  ];
  return all.filter((block) => /^(ts|js|mjs|typescript|javascript)$/.test(block.language));
}

export interface CommandLine {
  readonly place: string;
  /** As typed, from the program's name on: "bayescnn info --model lenet5". */
  readonly text: string;
}

/** The command lines of one program in a document: in blocks for a shell, indented blocks, and `spans`. */
export function commandLines(file: string, text: string, program: string): CommandLine[] {
  const found: CommandLine[] = [];
  const add = (line: number, said: string) => {
    for (const part of said.replace(/\s#.*$/, "").split(/&&|\|\||[;|]/)) {
      const words = part.trim().replace(/^\$ /, "").replace(/^npx /, "");
      if (words.startsWith(`${program} `)) found.push({ place: `${file}:${line}`, text: words.replace(/[[\]]/g, "") });
    }
  };
  let fence: string | undefined;
  for (const [i, line] of text
    .replace(/\\\n\s*/g, " ")
    .split("\n")
    .entries()) {
    const mark = /^\s*(`{3,}|~{3,})\s*(\w*)/.exec(line);
    if (mark) fence = fence === undefined ? mark[2] : undefined;
    else if (fence !== undefined ? /^(sh|bash|shell|console)?$/.test(fence) : /^( {4}|\t)/.test(line)) add(i + 1, line);
    else for (const [, span] of line.matchAll(/`([^`]+)`/g)) add(i + 1, span);
  }
  return found;
}

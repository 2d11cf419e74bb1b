import { basename } from "node:path";
import { visible } from "../util/text.ts";

/** Text safe to put between tags or into a quoted attribute, with nothing hidden in it. */
export function escapeHtml(text: unknown, lines = false): string {
  return visible(text, lines).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** A path from the root of a disk (or from a home folder), alone or within a sentence; a web address is none. */
const PATH = /(^|[\s("'`=,;:[])((?:file:\/\/)?(?:~?\/|[A-Za-z]:[\\/]|\\\\)[^\s"'`),;\]]+)/g;

/** The text with its absolute paths cut to their last part: where things lie on a disk is nobody else's business. */
export function withoutPaths(text: string): string {
  // a text that is nothing but a path may have spaces in it
  if (/^(?:file:\/\/|~?\/|[A-Za-z]:[\\/]|\\\\)[^\n]*$/.test(text) && !/[.:,] /.test(text)) return last(text);
  return text.replace(PATH, (all, before: string, path: string) => {
    if (before === ":" && path.startsWith("//")) return all; // https://…
    const end = /[.:!?]+$/.exec(path)?.[0] ?? "";
    return before + last(end ? path.slice(0, -end.length) : path) + end;
  });
}

const last = (path: string): string => basename(path.replaceAll("\\", "/").replace(/\/+$/, "")) || "…";

/** The same for every text within a value. Names that a user gave to classes are no paths, whatever they look like. */
export function deepWithoutPaths<T>(value: T): T {
  if (typeof value === "string") return withoutPaths(value) as T;
  if (typeof value === "bigint") return String(value) as T;
  if (Array.isArray(value)) return value.map(deepWithoutPaths) as T;
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      withoutPaths(key),
      ["classes", "labels", "names"].includes(key) ? inner : deepWithoutPaths(inner),
    ]),
  ) as T;
}

import { readdirSync, realpathSync } from "node:fs";
import { join, sep } from "node:path";
import { fileError } from "../util/atomic.ts";
import { headOf, statOf } from "../util/regular.ts";
import { HEAD_BYTES, isImage } from "./format.ts";
import type { LeftOut } from "./left-out.ts";

/** What a folder holds that people meant to put there, each sorted in an order that does not depend on the locale. */
export interface Content {
  readonly folders: readonly string[];
  readonly files: readonly string[];
}

/** Folders that systems and their tools leave behind, as good as hidden. */
const SYSTEM = new Set(["__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information"]);

/**
 * The names in a folder. Hidden ones, links to nowhere, and what is neither file nor folder go to `left`; nothing is
 * opened.
 */
export function contentOf(dir: string, left: LeftOut): Content {
  const folders: string[] = [];
  const files: string[] = [];
  const strange = new Set<string>();
  try {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name);
      const kind = entry.isSymbolicLink() ? statOf(path) : entry;
      // What is not UTF-8 is read as U+FFFD, and the file is not to be found under that name (or it is another one).
      const odd = entry.name.includes("\ufffd");
      if (odd && (strange.has(entry.name) || statOf(path) === undefined)) left.add(path, "undecodable name");
      else if (entry.name.startsWith(".") || SYSTEM.has(entry.name)) left.add(path, "hidden file");
      else if (kind === undefined) left.add(path, "dangling link");
      else if (kind.isDirectory()) folders.push(entry.name);
      else if (kind.isFile()) files.push(entry.name);
      else left.add(path, "special file");
      if (odd) strange.add(entry.name);
    }
  } catch (error) {
    throw fileError(error, "read", dir);
  }
  return { folders: folders.sort(byCharacters), files: files.sort(byCharacters) };
}

/**
 * All images in a folder and in those within, other files going to `left`. A folder that several links lead to is read
 * once: a few dozen folders with two links each to the next one have more paths than anybody can walk.
 */
export function imagesBelow(dir: string, left: LeftOut): string[] {
  const root = realPath(dir);
  return below(dir, left, [root], new Set([root]));
}

function below(dir: string, left: LeftOut, above: readonly string[], seen: Set<string>): string[] {
  const { folders, files } = contentOf(dir, left);
  const images = imagesAmong(dir, files, left);
  for (const folder of folders.map((name) => join(dir, name))) {
    const real = realPath(folder);
    if (above.some((outer) => outer === real || outer.startsWith(join(real, sep)))) {
      left.add(folder, "circular link");
      continue;
    }
    if (seen.has(real)) {
      left.add(folder, "repeated folder");
      continue;
    }
    seen.add(real);
    const before = left.emptyFolders.length;
    const within = below(folder, left, [...above, real], seen);
    if (within.length === 0) left.emptyFolders.splice(before, Infinity, folder);
    for (const image of within) images.push(image);
  }
  return images;
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    throw fileError(error, "read", path);
  }
}

/** The images among files of one folder, the others going to `left`. */
export function imagesAmong(dir: string, files: readonly string[], left: LeftOut): string[] {
  const images: string[] = [];
  for (const name of files) {
    const path = join(dir, name);
    const told = isImage(name, () => headOf(path, HEAD_BYTES));
    if (told === undefined) left.add(path);
    else images.push(path);
    if (told === "by content") left.byContent.push(path);
  }
  return images;
}

function byCharacters(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

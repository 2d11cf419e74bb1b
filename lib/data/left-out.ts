import { basename, dirname, extname, relative, resolve } from "node:path";

/** Files that a reader leaves out, by kind, so that it can say so once and in one sentence. */
export class LeftOut {
  readonly #kinds = new Map<string, string[]>();
  /** folders in which there was nothing to read */
  readonly emptyFolders: string[] = [];
  /** files that are read although their names do not say that they are images */
  readonly byContent: string[] = [];

  /** @param kind a noun, such as "hidden file"; default: the file's extension */
  add(path: string, kind = extname(path).toLowerCase() || "extensionless file"): void {
    const paths = this.#kinds.get(kind);
    if (paths === undefined) this.#kinds.set(kind, [path]);
    else paths.push(path);
  }

  addAll(other: LeftOut): void {
    for (const [kind, paths] of other.#kinds) for (const path of paths) this.add(path, kind);
    for (const path of other.emptyFolders) this.emptyFolders.push(path);
    for (const path of other.byContent) this.byContent.push(path);
  }

  /** "13 .bmp, 2 hidden files", the most frequent first; empty if there are none. */
  get kinds(): string {
    return this.#sorted
      .map(([kind, { length }]) => (kind.startsWith(".") ? `${length} ${kind}` : count(length, kind)))
      .join(", ");
  }

  /** Sentences for people, with paths from the folder above `root`. */
  notes(root: string): string[] {
    const notes: string[] = [];
    const all = this.#sorted.flatMap(([, paths]) => paths);
    // One file of each kind first: it shows best what is meant.
    const shown = [...new Set([...this.#sorted.map(([, paths]) => paths[0]), ...all])];
    if (all.length > 0) notes.push(`left out ${count(all.length, "file")}: ${this.kinds} (${some(shown, root)})`);
    if (this.emptyFolders.length > 0)
      notes.push(`no images in ${count(this.emptyFolders.length, "folder")}: ${some(this.emptyFolders, root)}`);
    if (this.byContent.length > 0)
      notes.push(
        `took for images by their content: ${count(this.byContent.length, "file")} (${some(this.byContent, root)})`,
      );
    return notes;
  }

  get #sorted(): [string, string[]][] {
    return [...this.#kinds].sort((a, b) => b[1].length - a[1].length || (a[0] < b[0] ? -1 : 1));
  }
}

export function count(n: number, what: string): string {
  return `${n.toLocaleString("en-US")} ${what}${n === 1 ? "" : "s"}`;
}

/** The first paths, as seen from the folder above `root`. */
export function some(paths: readonly string[], root: string, most = 3): string {
  const shown = paths.slice(0, most).map((path) => shortPath(path, root));
  return [...shown, ...(paths.length > most ? ["…"] : [])].join(", ");
}

/** A path from the folder above `root`, if it lies below. */
export function shortPath(path: string, root: string): string {
  const short = relative(dirname(resolve(root)), path);
  return short.startsWith("..") || short === "" ? path : short;
}

export function folderName(dir: string): string {
  return basename(resolve(dir)) || "data";
}

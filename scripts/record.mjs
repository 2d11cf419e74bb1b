// What a build was made from and what it made, so that a build with nothing to do is known without starting a compiler.
// Contents are compared, not times: a copied or checked-out folder has other times and the same files.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Path below root and hash of every file named, and of every file below a folder named; what is absent has no entry. */
export function hashes(root, names) {
  const found = {};
  for (const name of names) {
    const stat = statSync(join(root, name), { throwIfNoEntry: false });
    if (stat?.isDirectory()) {
      const below = readdirSync(join(root, name)).sort();
      Object.assign(
        found,
        hashes(
          root,
          below.map((f) => `${name}/${f}`),
        ),
      );
    } else if (stat)
      found[name] = createHash("sha1")
        .update(readFileSync(join(root, name)))
        .digest("hex");
  }
  return found;
}

/** The names whose values differ, come or gone. */
export function differing(a, b) {
  return Object.keys({ ...a, ...b }).filter((name) => a[name] !== b[name]);
}

/** {sources, results} of the last build that went well; empty ones when there was none. */
export function readRecord(path) {
  try {
    const { sources, results } = JSON.parse(readFileSync(path, "utf8"));
    return { sources: { ...sources }, results: { ...results } };
  } catch {
    return { sources: {}, results: {} };
  }
}

export function writeRecord(path, record) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, JSON.stringify(record, null, 1));
}

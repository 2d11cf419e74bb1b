/** Names of files that are not finished yet, and what becomes of those whose process was killed. */
import { randomBytes } from "node:crypto";
import { lstatSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { lifeOf, ownerText, parseOwner, self } from "./owner.ts";

/** A new hidden name, short enough where `name` is as long as names may be, that says who makes the file. */
export const temporaryName = (name: string): string =>
  `.${name.slice(0, 40)}.${ownerText(self())}${randomBytes(4).toString("hex")}.tmp`;

const PATTERN = /^\..*?\.(\d{1,10}\.[0-9a-f]{52})\.tmp$/s;

export const isTemporary = (name: string): boolean => PATTERN.test(name);

/** When a folder may be looked through again. */
const next = new Map<string, number>();

/**
 * Removes what killed processes of this machine have left unfinished in a folder. Looking takes at most a hundredth of the
 * time, however large the folder is and however much is written there; what cannot be removed stays.
 */
export function sweep(folder: string): void {
  const began = performance.now();
  if (began < (next.get(folder) ?? 0)) return;
  try {
    for (const name of readdirSync(folder)) {
      const owner = parseOwner(PATTERN.exec(name)?.[1] ?? "");
      if (!owner || lifeOf(owner) !== "dead") continue;
      const path = join(folder, name);
      if (lstatSync(path).isFile()) rmSync(path, { force: true });
    }
  } catch {
    // the write that follows says what is wrong
  }
  const now = performance.now();
  if (next.size >= 1000) next.clear();
  next.set(folder, now + 100 * (now - began));
}

// How often a promise was tried: what docs/reliability.md tells in numbers.
import { appendFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { expect } from "vitest";

/**
 * Counts `n` more tries of `what`, a short plural in plain words ("worker terminations"), for the test file that calls. To be
 * called at the end of a test, when all of them have gone well. Without a folder in BAYESCNN_TRIES it does nothing;
 * scripts/reliability.mjs adds up what that folder has got and writes it into the page.
 */
export function tries(what: string, n: number): void {
  const folder = process.env.BAYESCNN_TRIES;
  const path = expect.getState().testPath;
  if (!folder || !path) return;
  const test = relative(process.cwd(), path).split(sep).join("/");
  appendFileSync(join(folder, `${process.pid}.jsonl`), `${JSON.stringify({ what, test, tries: n })}\n`);
}

import { expect, it } from "vitest";
import type { Block } from "./blocks.ts";
import { isPlain, run } from "./run.ts";

/** One test for each program of the documents: it runs, or the document says why it does not. */
export function runs(blocks: readonly Block[]): void {
  for (const block of blocks) {
    const kind = isPlain(block.code) ? "JavaScript" : "TypeScript";
    if (block.notRun !== undefined) it.skip(`${block.place} (not run: ${block.notRun})`, () => {});
    else it(`${block.place} runs (${kind})`, async () => expect(await run(block)).toBeUndefined());
  }
}

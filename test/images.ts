/** Image files for the tests of readers, in a folder of their own that goes when the tests have run. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll } from "vitest";

export const sharp = await import("sharp").then(
  (module) => module.default,
  () => undefined,
);
if (sharp === undefined) console.log("skipped: reading images, because the optional package sharp is not installed");

export function imageFolder(name: string) {
  const dir = mkdtempSync(join(tmpdir(), `bayescnn-${name}-`));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  /** An image of one colour: grey, grey and alpha, red green blue, or these with alpha. */
  const image = (height: number, width: number, colour: readonly number[]) => {
    const channels = colour.length as 1 | 2 | 3 | 4;
    const raw = Uint8Array.from({ length: height * width * channels }, (_, i) => colour[i % channels]);
    const made = sharp!(raw, { raw: { width, height, channels } });
    return channels < 3 ? made.toColourspace("b-w") : made;
  };
  const place = (path: string) => {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    return join(dir, path);
  };
  return {
    dir,
    image,
    /** An absolute path below the folder, with the folders above it made. */
    place,
    async png(path: string, height: number, width: number, colour: readonly number[]): Promise<void> {
      await image(height, width, colour).png().toFile(place(path));
    },
  };
}

// Pictures of many pixels: what they take is what the largest takes, however many there are.
import { execFile } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { imageFolder, sharp } from "../images.ts";

const linux = process.platform === "linux";
if (!linux) console.log("skipped: the peak of a process's memory, which is measured on Linux");
const { dir, place } = imageFolder("pictures");

async function peak(folder: string, how: string): Promise<number> {
  const args = [join(import.meta.dirname, "pictures-child.mjs"), join(dir, folder), how];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return (JSON.parse(stdout) as { peak: number }).peak;
}

it.skipIf(!linux || sharp === undefined).each(["jpeg", "gif"] as const)(
  "six large pictures (%s) take the memory of two",
  async (format) => {
    const made = sharp!({
      create: { width: 10_000, height: 9_999, channels: 3, background: "#090807" },
      limitInputPixels: false,
    });
    const options = { jpeg: { progressive: true }, gif: { effort: 1 } }[format];
    const first = place(`${format}-2/a/0`);
    await made.toFormat(format, options).toFile(first);
    copyFileSync(first, place(`${format}-2/b/0`));
    for (let i = 0; i < 6; i++) copyFileSync(first, place(`${format}-6/${i % 2 ? "a" : "b"}/${i}`));
    const two = await peak(`${format}-2`, "resident");
    const six = { resident: await peak(`${format}-6`, "resident"), stream: await peak(`${format}-6`, "stream") };
    console.log({ format, two, ...six });
    for (const all of Object.values(six)) expect(all).toBeLessThan(two + 150); // MiB; one alone takes 300 to 400
  },
  600_000,
);

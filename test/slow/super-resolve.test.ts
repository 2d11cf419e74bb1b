// A photo of 24 megapixels, enlarged: rows are written as they come, so it takes the memory of the photo and of a strip.
import { execFile } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { saveModel } from "../../lib/checkpoints/open.ts";
import { superResolutionModel } from "../../lib/pictures/model.ts";
import { imageFolder, sharp } from "../images.ts";

const linux = process.platform === "linux";
if (!linux) console.log("skipped: the peak of a process's memory, which is measured on Linux");
const { dir, place } = imageFolder("large");

it.skipIf(!linux || sharp === undefined)(
  "6000x4000 pixels become 12000x8000 in less than 1 GiB",
  async () => {
    const noise = { type: "gaussian", mean: 128, sigma: 30 } as const;
    const made = sharp!({ create: { width: 6000, height: 4000, channels: 3, background: "grey", noise } });
    await made.jpeg({ quality: 90 }).toFile(place("photo.jpg"));
    using model = superResolutionModel({ scale: 2, patch: 8 });
    saveModel(model, join(dir, "x2.safetensors"));
    const [photo, large, weights] = ["photo.jpg", "large.png", "x2.safetensors"].map((name) => join(dir, name));
    const child = join(import.meta.dirname, "super-resolve-child.mjs");
    const { stdout } = await promisify(execFile)(process.execPath, [child, photo, large, "--model", weights]);
    const peak = Number(stdout.trim().split("\n").at(-1));
    console.log({ peakMiB: Math.round(peak), bytes: statSync(large).size });
    const { width, height } = await sharp!(large, { limitInputPixels: false }).metadata();
    expect([width, height]).toEqual([12_000, 8000]);
    expect(peak).toBeLessThan(1024);
  },
  1_800_000,
);

// What a streamed set is for: memory that does not grow with it, and the same run.
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";

const linux = existsSync("/proc/self/status");
if (!linux) console.log("skipped: the peak of a process's memory, which only Linux tells");
const root = mkdtempSync(join(tmpdir(), "bayescnn-stream-"));
afterAll(() => rmSync(root, { recursive: true }));

async function child(kind: string, count: number) {
  const args = [join(import.meta.dirname, "stream-child.mjs"), kind, String(count), join(root, `${kind}-${count}`)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as { checkpoint: string; peak: number; bytes: number };
}

it.skipIf(!linux)(
  "a streamed run is the run in memory without the memory of the images, however many they are",
  async () => {
    const resident = await child("resident", 16384);
    const streamed = await child("streamed", 16384);
    const fewer = await child("streamed", 4096);
    console.log({ resident: resident.peak / 2 ** 20, streamed: streamed.peak / 2 ** 20, fewer: fewer.peak / 2 ** 20 });
    expect(streamed.checkpoint).toBe(resident.checkpoint);
    const { bytes } = resident; // of the training images: in memory they lie in an array and in the store
    expect(resident.peak).toBeGreaterThan(2 * bytes);
    expect(streamed.peak).toBeLessThan(resident.peak - bytes);
    expect(streamed.peak - fewer.peak).toBeLessThan((bytes - fewer.bytes) / 2);
  },
  600_000,
);

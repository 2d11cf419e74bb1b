// Random programs (programs.mjs) in child processes, so that a crash has the name of its program.
import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Elsewhere } from "../boundary/run.ts";

function child(
  args: readonly string[],
  { root = join(import.meta.dirname, "../.."), prefix = [], env = {} }: Elsewhere = {},
) {
  const [start, ...rest] = [...prefix, process.execPath, join(root, "test/fuzz/programs.mjs"), ...args];
  const process_ = spawn(start, rest, { env: { ...process.env, ...env } });
  const text = { out: "", err: "" };
  process_.stdout.on("data", (part) => (text.out += part));
  process_.stderr.on("data", (part) => (text.err += part));
  return new Promise<{ ok: boolean; how: string; out: string; err: string }>((resolve, reject) => {
    process_.on("error", reject);
    process_.on("close", (status, signal) =>
      resolve({ ok: status === 0 && !/Sanitizer/.test(text.err), how: String(signal ?? status), ...text }),
    );
  });
}

/** A list with which the process dies as well, its end left out and choices put to the first one: the best of so many tries. */
async function simpler(list: readonly number[], where: Elsewhere, tries = 60): Promise<readonly number[]> {
  let best = list;
  const dies = async (some: readonly number[]): Promise<boolean> => {
    if (tries-- <= 0 || (await child([JSON.stringify(some)], where)).ok) return false;
    best = some;
    return true;
  };
  for (let size = best.length >> 1; size >= 1; size >>= 1)
    while (size < best.length && (await dies(best.slice(0, -size))));
  for (let size = best.length >> 1; size >= 1; size >>= 1)
    for (let at = 0; at < best.length; at += size)
      if (best.slice(at, at + size).some((choice) => choice > 0))
        await dies(best.map((choice, i) => (i >= at && i < at + size ? 0 : choice)));
  return best;
}

export interface Batch {
  readonly tally: Readonly<Record<"ran" | "fault" | "refused", number>>;
  /** How often each kind of step was part of a program. */
  readonly taken: Readonly<Record<string, number>>;
}

/** Tries `count` programs from a seed. Rejects with the command that repeats the one that failed. */
export async function batch(seed: number, count: number, where: Elsewhere = {}): Promise<Batch> {
  const { ok, how, out, err } = await child([String(seed), String(count)], where);
  const lines = out.trim().split("\n");
  if (ok) return JSON.parse(lines.at(-1)!) as Batch;
  const died = how !== "1"; // else fast-check has shrunk it, and says so
  const last = lines.findLast((line) => line.startsWith("["));
  const list = died && last ? JSON.stringify(await simpler(JSON.parse(last), where)) : last;
  throw new Error(
    `programs from seed ${seed} ended with ${how}; ${died ? "" : "see the counterexample below, or "}node test/fuzz/programs.mjs '${list}'\n${err.slice(0, 8000)}`,
  );
}

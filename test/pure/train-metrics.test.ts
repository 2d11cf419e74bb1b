import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { MetricsLog } from "../../lib/train/metrics.ts";

const root = mkdtempSync(join(tmpdir(), "bayescnn-metrics-"));
afterAll(() => rmSync(root, { recursive: true }));
const path = join(root, "metrics.jsonl");
const read = () => readFileSync(path, "utf8");
const line = (step: number) => `${JSON.stringify({ step, loss: step / 3 })}\n`;
const open = (steps: number) => {
  const log = new MetricsLog(path, steps);
  return {
    log,
    write: (...numbers: number[]) => log.write(numbers.map((step) => ({ step, loss: step / 3 }))),
  };
};

describe("the metrics file", () => {
  it("starts empty, grows by lines, and goes on after those of the steps that count", () => {
    writeFileSync(path, "an older run\n");
    const first = open(0);
    first.write(0, 1);
    first.write(2, 3);
    first.log.sync();
    first.log.close();
    expect(read()).toBe(line(0) + line(1) + line(2) + line(3));
    const second = open(2);
    second.write(2);
    second.log.close();
    expect(read()).toBe(line(0) + line(1) + line(2));
  });

  it("starts anew where it is missing", () => {
    rmSync(path);
    const { log, write } = open(5);
    write(5);
    log.close();
    expect(read()).toBe(line(5));
  });

  it("cut off anywhere keeps whole lines of earlier steps only", () => {
    const whole = Array.from({ length: 12 }, (_, step) => line(step)).join("");
    fc.assert(
      fc.property(fc.nat(whole.length), fc.integer({ min: 1, max: 14 }), (cut, steps) => {
        writeFileSync(path, whole.slice(0, cut));
        open(steps).log.close();
        // a line that lacks nothing but its end is whole
        const ends = whole[cut] === "\n" ? 1 : 0;
        const kept = whole.slice(0, cut).split("\n").length - 1 + ends;
        expect(read()).toBe(Array.from({ length: Math.min(kept, steps) }, (_, step) => line(step)).join(""));
      }),
    );
  });

  /** What stays of these lines on resuming after so many steps, and what is said of it. */
  const resumed = (lines: readonly (string | Uint8Array)[], steps = 1e6) => {
    writeFileSync(path, Buffer.concat(lines.map((text) => Buffer.from(text as string))));
    const said: string[] = [];
    new MetricsLog(path, steps, (sentence) => said.push(sentence)).close();
    return { kept: read(), said };
  };
  const steps = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => line(from + i));
  const epoch = (step: number) => `${JSON.stringify({ event: "epoch", step, wall: {} })}\n`;

  it.each<[string, string | Uint8Array]>([
    ["half a line", '{"step":3,"lo\n'],
    ["a zero", '{"step":3,\0"loss":1}\n'],
    ["other bytes than UTF-8", Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d, 10)],
    ["an empty line", "\n"],
    ["another value", "null\n"],
    ["a line without a step", '{"loss":1}\n'],
    ["a step that is no number", '{"step":"3"}\n'],
    ["half a step", '{"step":2.5}\n'],
    ["two megabytes without an end", `${"x".repeat(2 << 20)}\n`],
    ["a step that was", line(1)],
    ["a step far ahead", line(90)],
    ["a step beyond all steps", line(9_999_999)],
  ])("loses %s alone, and says so", (_, damage) => {
    const { kept, said } = resumed([...steps(0, 3), damage, ...steps(3, 6), epoch(5), ...steps(6, 9)]);
    expect(kept).toBe([...steps(0, 6), epoch(5), ...steps(6, 9)].join(""));
    expect(said).toEqual([`${path}: 1 damaged or repeated line was dropped (line 4); the others are kept`]);
  });

  it("loses the lines of another run that wrote between them, and names the first few", () => {
    const { kept, said } = resumed([...steps(0, 4), ...steps(0, 4), ...steps(0, 4), ...steps(4, 7)]);
    expect(kept).toBe(steps(0, 7).join(""));
    expect(said).toEqual([
      `${path}: 8 damaged or repeated lines were dropped (lines 5, 6, 7, 8, 9, …); the others are kept`,
    ]);
  });

  it("says nothing of lines that the checkpoint does not know, nor of one cut off by a kill", () => {
    expect(resumed([...steps(0, 3), epoch(2), ...steps(3, 5), line(5).slice(0, 9)], 3)).toEqual({
      kept: [...steps(0, 3), epoch(2)].join(""),
      said: [],
    });
    expect(resumed([...steps(7, 9), ...steps(12, 14)], 20).said).toEqual([]); // it began late, and has a hole
  });

  it("keeps every whole line, wherever bytes are damaged", () => {
    const whole = Array.from({ length: 40 }, (_, step) => line(step));
    const damage = fc.uniqueArray(fc.nat(39), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(damage, fc.constantFrom("\0", "[", "\u00ff", ","), (hit, byte) => {
        const { kept, said } = resumed(whole.map((text, i) => (hit.includes(i) ? `${byte}${text.slice(1)}` : text)));
        expect(kept).toBe(whole.filter((_, i) => !hit.includes(i)).join(""));
        expect(said[0]).toContain(`${hit.length} damaged`);
      }),
      { numRuns: 50 },
    );
  });

  it("goes through a long file in pieces", () => {
    writeFileSync(path, "");
    for (let from = 0; from < 1e5; from += 1e4) appendFileSync(path, steps(from, from + 1e4).join(""));
    const before = process.memoryUsage().arrayBuffers;
    new MetricsLog(path, 99_999).close();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 << 20);
    expect(read()).toBe(steps(0, 99_999).join(""));
  });

  it("is a file: a folder, a pipe or a link is refused and left alone", () => {
    const place = join(root, "place");
    const outside = join(root, "outside");
    writeFileSync(outside, line(0));
    for (const [make, what] of [
      [() => mkdirSync(place), /cannot write .*place: it is a directory/],
      [() => spawnSync("mkfifo", [place]), /expected a file for the metrics, received .*place, which is a pipe/],
      [() => symlinkSync(outside, place), /received .*place, which is a link/],
    ] as const) {
      make();
      for (const steps of [0, 3]) expect(() => new MetricsLog(place, steps)).toThrow(what);
      expect(readFileSync(outside, "utf8")).toBe(line(0));
      rmSync(place, { recursive: true });
    }
    expect(readdirSync(root).sort()).toEqual(["metrics.jsonl", "outside"]);
  });

  it("names the file that cannot be written", () => {
    expect(() => new MetricsLog(join(root, "missing/metrics.jsonl"), 0)).toThrow(/cannot write .*missing/);
    expect(() => new MetricsLog(root, 3)).toThrow(/cannot write .*it is a directory/);
  });
});

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
        const kept = whole.slice(0, cut).split("\n").length - 1;
        expect(read()).toBe(Array.from({ length: Math.min(kept, steps) }, (_, step) => line(step)).join(""));
      }),
    );
  });

  it("names the file that cannot be written", () => {
    expect(() => new MetricsLog(join(root, "missing/metrics.jsonl"), 0)).toThrow(/cannot write .*missing/);
    expect(() => new MetricsLog(root, 3)).toThrow(/cannot write .*it is a directory/);
  });
});

import { Writable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { duration, progress } from "../../lib/util/progress.ts";

/** A stream that keeps what is written to it. */
class Capture extends Writable {
  text = "";
  columns = 100;
  isTTY = false;
  override _write(chunk: Buffer, _encoding: string, done: () => void) {
    this.text += chunk.toString();
    done();
  }
}

function terminal(): Capture {
  const stream = new Capture();
  stream.isTTY = true;
  return stream;
}

/** The part of a piece of text after the escape sequence it begins with. */
function visible(piece: string, index: number): string {
  return index === 0 ? piece : piece.replace(/^[0-9;?]*[A-Za-z]/, "");
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance", "Date", "setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

describe("progress off a terminal", () => {
  it("prints a plain line at every tenth of the work", () => {
    const stream = new Capture();
    const bar = progress("train", 1000, { stream });
    for (let i = 1; i <= 1000; i++) {
      vi.advanceTimersByTime(2);
      bar.update(i, { loss: 0.123456, beta: "0.1" });
    }
    bar.stop();
    const lines = stream.text.trimEnd().split("\n");
    expect(lines).toHaveLength(10);
    expect(lines[0]).toBe("train 10%  100/1000 steps  500/s  2s left  loss 0.1235  beta 0.1");
    expect(lines[9]).toBe("train 100%  1000/1000 steps  500/s  took 2s  loss 0.1235  beta 0.1");
    expect(stream.text).not.toContain("\u001b");
  });

  it("prints every five seconds when the work is slow, and the last state on stop", () => {
    const stream = new Capture();
    const bar = progress("train", 1_000_000, { stream, unit: "images" });
    for (let i = 1; i <= 12; i++) {
      vi.advanceTimersByTime(1000);
      bar.update(i);
    }
    expect(stream.text.trimEnd().split("\n")).toHaveLength(2);
    bar.stop();
    bar.stop();
    bar.update(13);
    const lines = stream.text.trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    expect(lines[2]).toBe("train 0%  12/1000000 images  1.00/s  277h 46m left");
  });

  it("prints nothing when there was no update", () => {
    const stream = new Capture();
    progress("train", 0, { stream }).stop();
    expect(stream.text).toBe("");
  });
});

describe("progress on a terminal", () => {
  it("draws a bar with throughput, time left and extras in one line that is never wider than the window", () => {
    const stream = terminal();
    const bar = progress("train", 200, { stream });
    vi.advanceTimersByTime(4000);
    bar.update(50, { loss: 1.5 });
    vi.advanceTimersByTime(200);
    expect(stream.text).toMatch(/train .*━{6}.*─{18}.* 25% {2}50\/200 steps {2}12\.5\/s {2}12s left {2}loss 1\.5/);
    bar.update(100, { note: "x".repeat(500) });
    bar.stop();
    // Every frame starts by moving the cursor to the first column; colours and other sequences take no room.
    const text = stream.text.replaceAll("\u001b7", "").replaceAll("\u001b8", ""); // save and restore the cursor
    const frames = text.split("\u001b[1G").map((frame) => frame.split("\u001b[").map(visible).join(""));
    expect(frames.length).toBeGreaterThan(2);
    expect(Math.max(...frames.map((frame) => frame.trimEnd().length))).toBe(99);
    const plain = frames.join("");
    expect(plain).toContain("50%  100/200 steps");
    expect(plain).not.toContain("x".repeat(100));
  });

  it("has colours, and none under NO_COLOR", () => {
    const draw = () => {
      const stream = terminal();
      const bar = progress("train", 2, { stream });
      bar.update(1);
      vi.advanceTimersByTime(500);
      bar.stop();
      return stream.text;
    };
    vi.stubEnv("NO_COLOR", "");
    vi.stubEnv("TERM", "xterm");
    expect(draw()).toContain("\u001b[36m");
    vi.stubEnv("NO_COLOR", "1");
    expect(draw()).not.toContain("\u001b[36m");
  });
});

describe("progress", () => {
  it("is silent when asked, on either kind of stream", () => {
    for (const stream of [new Capture(), terminal()]) {
      const bar = progress("train", 10, { stream, silent: true });
      bar.update(10);
      bar.stop();
      expect(stream.text).toBe("");
    }
  });

  it("keeps a count outside the total inside it, and refuses a total that is no number", () => {
    const stream = new Capture();
    const bar = progress("train", 10, { stream });
    vi.advanceTimersByTime(1000);
    bar.update(99);
    expect(stream.text).toContain("100%  10/10 steps");
    expect(() => progress("train", Number.NaN)).toThrow(/\[progress\] expected total to be a finite number/);
  });

  it("writes durations", () => {
    expect([0, 59.6, 65, 3600, 3720].map(duration)).toEqual(["0s", "1m 00s", "1m 05s", "1h 00m", "1h 02m"]);
  });
});

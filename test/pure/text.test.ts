// Text from outside, wherever it is shown: nothing of it may command a terminal or deceive whoever reads it.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { output, table } from "../../lib/cli/shared/output.ts";
import { BayesError, fail, show, words } from "../../lib/util/errors.ts";
import { progress } from "../../lib/util/progress.ts";
import { columns, fitting, visible, visibleJson } from "../../lib/util/text.ts";

/** What must never reach a terminal: controls, marks that turn or hide text, line separators, halves of surrogates. */
const HIDDEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const hostile = fc
  .array(
    fc.constantFrom("\u001b[2J", "\u001b]0;x\u0007", "\u009b2J", "\r", "\n", "\t", "\0", "\u007f", "\u202e", "\u2066", "\u2028", "\u200b", "\ud800", "\udc00", "\u{e0041}", "a", "é", "数", "👍", "x".repeat(90)),
    { maxLength: 8 },
  )
  .map((parts) => parts.join("")); // biome-ignore format: one line

function written(action: () => void): string {
  let text = "";
  const { write } = process.stdout;
  process.stdout.write = ((chunk: string) => {
    text += chunk;
    return true;
  }) as typeof write;
  try {
    action();
  } finally {
    process.stdout.write = write;
  }
  return text;
}

describe("text from outside", () => {
  it("is escaped in lines, styled pieces, notes and tables: one line each", () => {
    fc.assert(
      fc.property(hostile, (name) => {
        const out = output(false);
        const text = written(() => {
          out.line(name, ["bold", name]);
          out.note(name);
          for (const row of table([["a", name, "1"], [name, "b", "22"]])) out.line(row); // biome-ignore format: one line
        });
        const lines = text.split("\n");
        expect(lines).toHaveLength(5);
        for (const line of lines) expect(line).not.toMatch(HIDDEN);
      }),
    );
  });

  it("is escaped in JSON lines too, and reads back as it was", () => {
    fc.assert(
      fc.property(hostile, (name) => {
        const kept: string[] = [];
        const text = written(() => output(true, kept).event(name, { [name]: name }));
        expect(text.slice(0, -1)).not.toMatch(HIDDEN);
        expect(JSON.parse(text)).toEqual({ event: name, [name]: name });
        expect(`${kept[0]}\n`).toBe(text);
      }),
    );
    expect(visibleJson("\u202e\u{e0041}")).toBe('"\\u202e\\udb40\\udc41"');
  });

  it("is escaped in errors, whoever quotes it", () => {
    fc.assert(
      fc.property(hostile, (name) => {
        expect(new BayesError(`[read] cannot read ${name}`).message).not.toMatch(HIDDEN);
        expect(() => fail(name, name, name)).toThrow(expect.objectContaining({ message: expect.not.stringMatching(HIDDEN) }));
        expect(() => fail("x", "y", words(name))).toThrow(expect.objectContaining({ message: expect.not.stringMatching(HIDDEN) }));
      }),
    ); // biome-ignore format: two lines
    expect(new BayesError("a\u001b[2Jb").message).toBe("a\\u001b[2Jb");
  });

  it("is escaped in progress lines", () => {
    let text = "";
    const stream = { write: (part: string) => (text += part), on() {}, off() {} };
    const bar = progress("\u001b[2Jname", 1, { stream: stream as never });
    bar.update(1, { "\u001b]0;a\u0007": "\u202eb\u001b[31m" });
    bar.stop();
    expect(text).toContain("\\u001b[2Jname 100%");
    expect(text.replaceAll("\n", "")).not.toMatch(HIDDEN);
  });

  it("keeps what people write", () => {
    expect(visible("zéro 数 👍 👩‍👧 فارسی‌ها")).toBe("zéro 数 👍 👩‍👧 فارسی‌ها");
    expect(visible("a\nb", true)).toBe("a\nb");
    expect(visible("a\nb")).toBe("a\\u000ab");
  });
});

describe("columns of a terminal", () => {
  it("are counted as they are drawn", () => {
    expect(["abc", "é", "e\u0301", "数字", "ｱＡ", "한", "👍", "👩‍👧", "🇫🇷", "❤️", "ü", ""].map(columns)).toEqual([
      3, 1, 1, 4, 3, 2, 2, 2, 2, 2, 1, 0,
    ]);
    expect(table([["数", "1"], ["ab", "22"]])).toEqual(["数   1", "ab  22"]); // biome-ignore format: one line
  });

  it("of a long text lose their middle, wide characters whole", () => {
    expect(fitting("a".repeat(60))).toBe("a".repeat(60));
    expect(fitting(`${"a".repeat(500)}z`, 9)).toBe("aaaa…aaaz");
    expect(fitting("数".repeat(50), 9)).toBe("数数…数数");
    expect(fitting(`e${"\u0301".repeat(5000)}`, 9)).toBe("…");
    fc.assert(
      fc.property(hostile, fc.integer({ min: 3, max: 80 }), (text, most) => {
        expect(columns(fitting(text, most))).toBeLessThanOrEqual(most);
        expect(fitting(text, most)).not.toMatch(HIDDEN);
      }),
    );
  });
});

it("words are shown without quotation marks, texts with them", () => {
  expect(() => fail("a", "b", words("none"))).toThrow("[a] expected b, received none");
  expect(() => fail("a", "b", "none")).toThrow('[a] expected b, received "none"');
  expect(show(words("x".repeat(500)))).toHaveLength(160);
});

/**
 * Text from outside (file names, class names, messages of other libraries) as it may be shown anywhere: characters that
 * show nothing, or turn or hide the text around them, become escapes that can be seen (\u001b). These are controls (a
 * terminal obeys them), bidirectional and zero-width marks, line separators and halves of surrogate pairs. Joiners belong
 * to many scripts and stay. Line breaks are escaped too, unless they are asked for.
 */
export function visible(text: unknown, lines = false): string {
  return String(text).replace(HIDDEN, (c) =>
    lines && c === "\n" ? c : `\\u${c.codePointAt(0)!.toString(16).padStart(4, "0")}`,
  );
}

const HIDDEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** A value as one line of JSON in which the same characters are escaped, as JSON does it: it reads back as the same value. */
export function visibleJson(value: unknown): string {
  const units = (c: string) => c.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return JSON.stringify(value).replace(HIDDEN, (c) => units(c).join(""));
}

/** How many columns of a terminal the text takes: none for what is drawn onto its neighbour, two for wide characters. */
export function columns(text: string): number {
  let sum = 0;
  for (const { segment } of graphemes.segment(text)) sum += WIDE.test(segment) ? 2 : NONE.test(segment) ? 0 : 1;
  return sum;
}

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
const WIDE =
  /^(?![\uff61-\uffdc])[\p{Emoji_Presentation}\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Bopomofo}\p{Script=Yi}\u3000-\u303e\u30fb\u30fc\uff01-\uff60\uffe0-\uffe6]|\ufe0f/u;
const NONE = /^[\p{M}\u200c\u200d]+$/u;

/** The text, visible and in at most `most` columns: of a longer one the middle is left out. */
export function fitting(text: unknown, most = 60): string {
  const all = visible(text);
  if (all.length <= most && columns(all) <= most) return all;
  // what is cut off below cannot be seen, whatever it is: no need to measure it
  const parts = [...graphemes.segment(all.length > 8 * most ? all.slice(0, 4 * most) + all.slice(-4 * most) : all)];
  const take = (list: Iterable<{ segment: string }>, room: number): string[] => {
    const taken: string[] = [];
    for (const { segment } of list) {
      room -= Math.max(columns(segment), Math.ceil(segment.length / 16)); // a pile of accents has no columns
      if (room < 0) break;
      taken.push(segment);
    }
    return taken;
  };
  const head = take(parts, Math.ceil((most - 1) / 2));
  const tail = take([...parts].reverse(), Math.floor((most - 1) / 2)).reverse();
  return `${head.join("")}…${tail.join("")}`;
}

import { BayesError, failFile as fail, words } from "../util/errors.ts";
import { quoted } from "./classes.ts";

/** Fields of one record, by column, and the line on which it begins. */
export interface TableRow {
  readonly line: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Fields that a table may have in all: each is an object of its own in memory. */
export const MOST_FIELDS = 1 << 23;
const MOST_COLUMNS = 1 << 14;

/**
 * Reads comma-separated values (RFC 4180): a header, then one record a line; fields in quotes may hold commas, line
 * breaks and doubled quotes. Separated by semicolons or tabs is read too, as the header tells. Empty lines are passed over.
 * @throws BayesError that names the line: fields missing or too many, a quote that is never closed or stands within a field
 */
export function parseCsv(text: string, where: string): TableRow[] {
  const head = text
    .trimStart()
    .split(/[\r\n]/, 1)[0]
    .slice(0, 1 << 20);
  const separator = [",", ";", "\t"].reduce((a, b) => (head.split(b).length > head.split(a).length ? b : a));
  const records = recordsOf(text.replace(/^\ufeff/, ""), separator, where);
  const header = records.next().value;
  if (!header) return fail(where, "a table with a header", words("an empty file"));
  const columns = header.fields.map((name) => name.trim());
  if (columns.length > MOST_COLUMNS) fail(where, `at most ${MOST_COLUMNS} columns`, columns.length);
  const seen = new Set<string>();
  for (const name of columns) {
    if (name === "" || seen.has(name)) fail(where, "columns with a name of their own each", name);
    seen.add(name);
  }
  const rows: TableRow[] = [];
  for (const { line, fields } of records) {
    if (fields.length !== columns.length) {
      const missing = fields.length < columns.length ? `, without ${quoted(columns.slice(fields.length))}` : "";
      throw new BayesError(
        `[${where}] expected ${columns.length} fields in line ${line}, received ${fields.length}${missing}`,
        { code: "ERR_BAYES_FILE" },
      );
    }
    if ((rows.length + 1) * columns.length > MOST_FIELDS)
      fail(where, `at most ${MOST_FIELDS} fields in all`, words("more"));
    rows.push({ line, fields: Object.fromEntries(columns.map((name, i) => [name, fields[i]])) });
  }
  return rows;
}

interface FieldList {
  readonly line: number;
  readonly fields: string[];
}

function* recordsOf(text: string, separator: string, where: string): Generator<FieldList, undefined> {
  const ends = new RegExp(`["${separator}\\r\\n]`, "g");
  let at = 0;
  let line = 1;
  const wrong = (received: string) =>
    fail(where, `quotes around whole fields, doubled within them, in line ${line}`, words(received));
  /** The field that begins at `at`, which goes to what ends it. */
  const field = (): string => {
    if (text[at] !== '"') {
      ends.lastIndex = at;
      const end = ends.exec(text)?.index ?? text.length;
      const plain = text.slice(at, end);
      at = end;
      return plain;
    }
    let end = text.indexOf('"', at + 1);
    while (end >= 0 && text[end + 1] === '"') end = text.indexOf('"', end + 2);
    if (end < 0) return wrong("a quote that is not closed");
    const inner = text.slice(at + 1, end);
    at = end + 1;
    return inner;
  };
  while (at < text.length) {
    const begun = line;
    const fields: string[] = [];
    let inQuotes = false;
    for (let more = true; more; ) {
      inQuotes = text[at] === '"';
      const raw = field();
      const next = text[at];
      more = next === separator;
      if (!more && next !== undefined && next !== "\r" && next !== "\n") wrong("others");
      if (fields.length >= MOST_FIELDS) fail(where, `at most ${MOST_FIELDS} fields in all`, words("more"));
      fields.push(inQuotes ? raw.replaceAll('""', '"') : raw);
      if (inQuotes) line += (raw.match(/\r\n|\n|\r/g) ?? []).length;
      at += next === "\r" && text[at + 1] === "\n" ? 2 : 1;
    }
    line++;
    if (fields.length > 1 || fields[0] !== "" || inQuotes) yield { line: begun, fields };
  }
}

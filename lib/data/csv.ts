import { BayesError, failFile as fail, words } from "../errors.ts";

/** Fields of one record, by column, and the line on which it begins. */
export interface TableRow {
  readonly line: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

/**
 * Reads comma-separated values (RFC 4180): a header, then one record a line; fields in quotes may hold commas, line
 * breaks and doubled quotes. Separated by semicolons or tabs is read too, as the header tells. Empty lines are passed over.
 * @throws BayesError that names the line: fields missing or too many, a quote that is never closed or stands within a field
 */
export function parseCsv(text: string, where: string): TableRow[] {
  const head = text.trimStart().split("\n", 1)[0];
  const separator = [",", ";", "\t"].reduce((a, b) => (head.split(b).length > head.split(a).length ? b : a));
  const [header, ...records] = recordsOf(text.replace(/^\ufeff/, ""), separator, where);
  if (header === undefined) fail(where, "a table with a header", words("an empty file"));
  const columns = header.fields.map((name) => name.trim());
  const twice = columns.find((name, i) => name === "" || columns.indexOf(name) !== i);
  if (twice !== undefined) fail(where, "columns with a name of their own each", twice);
  return records.map(({ line, fields }) => {
    if (fields.length !== columns.length) {
      const missing = fields.length < columns.length ? `, without ${columns.slice(fields.length).join(", ")}` : "";
      throw new BayesError(
        `[${where}] expected ${columns.length} fields in line ${line}, received ${fields.length}${missing}`,
        { code: "ERR_BAYES_FILE" },
      );
    }
    return { line, fields: Object.fromEntries(columns.map((name, i) => [name, fields[i]])) };
  });
}

function recordsOf(text: string, separator: string, where: string): { line: number; fields: string[] }[] {
  const records: { line: number; fields: string[] }[] = [];
  // A field in quotes, or one without any; then what ends it.
  const field = new RegExp(`(?:"((?:[^"]|"")*)"|([^"${separator}\\r\\n]*))(${separator}|\\r?\\n|\\r|$)`, "y");
  let line = 1;
  let fields: string[] = [];
  let begun = 1;
  while (field.lastIndex < text.length || fields.length > 0) {
    const at = field.lastIndex;
    const match = field.exec(text);
    if (match === null) {
      const open = text[at] === '"' && !/^"(?:[^"]|"")*"/.test(text.slice(at));
      return fail(
        where,
        `quotes around whole fields, doubled within them, in line ${line}`,
        words(open ? "a quote that is not closed" : "others"),
      );
    }
    const [whole, quoted, plain, end] = match;
    fields.push(quoted?.replaceAll('""', '"') ?? plain);
    line += whole.split(/\r\n|\n|\r/).length - 1;
    if (end === separator) continue;
    if (fields.length > 1 || fields[0] !== "" || quoted !== undefined) records.push({ line: begun, fields });
    fields = [];
    begun = line;
  }
  return records;
}

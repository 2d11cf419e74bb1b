import { basename, dirname, resolve } from "node:path";
import {
  BayesError,
  checkOptions,
  checkPath,
  failFile as fail,
  fail as failArgument,
  show,
  words,
} from "../util/errors.ts";
import { readRegular } from "../util/regular.ts";
import { absentClasses, caseNotes, checkTrainingClasses, mismatch, quoted, sortedClasses } from "./classes.ts";
import { MOST_FIELDS, parseCsv, type TableRow } from "./csv.ts";
import {
  type AnyDataset,
  type ClassParts,
  type Dataset,
  hasClasses,
  subset,
  type TargetParts,
  type TrainTest,
  withNotes,
} from "./dataset.ts";
import { type ReadOptions, readImages, STREAM_OPTIONS, type StreamOptions } from "./images.ts";
import { type Part, partOf, whole } from "./layouts.ts";

/** Which columns of a table mean what. */
export interface TableOptions extends ReadOptions {
  /** Column of the image files' paths, relative to the table's folder. Default "image". */
  readonly image?: string;
  /** Column of class names. Default "label", if there is such a column and no `targets` are given. */
  readonly label?: string;
  /** Columns of numbers to be predicted. Default: without a label, all that are neither `image` nor `split`. */
  readonly targets?: readonly string[];
  /** Column that says train, valid (or val, validation) or test. Default "split", if there is such a column. */
  readonly split?: string;
}

/**
 * Reads images with what is to be predicted of them from a table: CSV with a header, or one JSON object a line.
 *
 *     image,label,split            image,age,weight
 *     cats/1.jpg,cat,train         1.png,3.5,4.2
 *     dogs/7.jpg,dog,test          2.png,11,6.25
 *
 * A column of labels gives a set of classes, in the order of their names; columns of numbers give float32 targets, their
 * names in `targetNames`. The parts are those of the split column; without a test part the validation part is it, and
 * without both a fifth is held out, as of a folder.
 * @throws BayesError that names the line of a wrong entry; for images, as {@link loadImageFolder}; for classes of which the
 *   training part has no example
 */
export async function loadTable(file: string, options?: TableOptions): Promise<TrainTest<Dataset>>;
export async function loadTable(file: string, options: TableOptions & StreamOptions): Promise<TrainTest<AnyDataset>>;
export async function loadTable(file: string, options: TableOptions = {}): Promise<TrainTest<AnyDataset>> {
  const kinds = { ...STREAM_OPTIONS, image: "string", label: "string", targets: "object", split: "string" };
  checkOptions("table", options, kinds);
  const rows = readRows(checkPath("table", file));
  if (rows.length === 0) fail(file, "at least one row below the header", words("none"));
  const columns = columnsOf(file, rows, options);
  const folder = dirname(resolve(file));
  const files = rows.map((row) => resolve(folder, textIn(file, row, columns.image)));
  const parts = rows.map((row) => partIn(file, row, columns.split));
  if (!parts.includes("train")) fail(file, "rows to train on", words("none"));
  const targets =
    columns.label === undefined ? numbersOf(file, rows, columns.targets) : labelsOf(file, rows, parts, columns.label);

  const name = basename(file).replace(/\.[^.]+$/, "");
  const read = await readImages(file, files, (kept) => ({ name, ...targets(kept) }), options);
  const { kept } = read;
  const unused = Object.keys(rows[0].fields).filter((name) => !columns.known.includes(name));
  const all = withNotes(read.data, [
    ...(unused.length > 0 ? [`columns that are not used: ${quoted(unused)}`] : []),
    ...caseNotes(read.data.classes ?? []),
    ...read.notes,
  ]);
  const take = (part: Part) => {
    const rows = [...kept.keys()].filter((i) => parts[kept[i]] === part);
    return rows.length === 0 ? undefined : subset(all, rows);
  };
  const train = take("train") ?? fail(file, "images to train on that can be decoded", words("none"));
  checkTrainingClasses(file, train);
  const absent = hasClasses(train) ? absentClasses(train) : [];
  if (absent.length > 0) fail(file, "images that can be decoded of every class", words(`none of ${absent.join(", ")}`));
  return whole({ train, valid: take("valid"), test: take("test") });
}

/** A table is text in memory, and so is each of its fields. */
const MOST_BYTES = 1 << 28;
const MOST_LINE = 1 << 20;
/** What stands for a list or an object within a row: it is of no use here, and may be large. */
const NESTED: unknown = Object.freeze({});

function readRows(file: string): TableRow[] {
  const bytes = readRegular(file, { most: MOST_BYTES, what: "a table" });
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return fail(file, "a table as text (UTF-8)", words("other bytes"));
  }
  if (!/^\s*\{/.test(text)) return parseCsv(text, file);
  const rows: TableRow[] = [];
  let fields = 0;
  for (let at = 0, line = 1, end = 0; at < text.length; at = end + 1, line++) {
    end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    if (end - at > MOST_LINE) fail(file, `at most ${MOST_LINE} characters in line ${line}`, end - at);
    const content = text.slice(at, end).trim();
    if (content === "") continue;
    const row = rowOf(content) ?? fail(file, `a JSON object in line ${line}`, content);
    fields += Math.max(1, row.length);
    if (fields > MOST_FIELDS) fail(file, `at most ${MOST_FIELDS} fields in all`, words("more"));
    rows.push({ line, fields: Object.fromEntries(row) });
  }
  return rows;
}

function rowOf(content: string): [string, unknown][] | undefined {
  try {
    const fields: unknown = JSON.parse(content);
    if (typeof fields !== "object" || fields === null || Array.isArray(fields)) return undefined;
    return Object.entries(fields).map(([name, value]) => [name, typeof value === "object" && value ? NESTED : value]);
  } catch {
    return undefined;
  }
}

/** A row's own field: no column has the name of what every object inherits unless the table says so. */
const fieldOf = ({ fields }: TableRow, column: string): unknown =>
  Object.hasOwn(fields, column) ? fields[column] : undefined;

interface Columns {
  readonly image: string;
  readonly label?: string;
  readonly targets: readonly string[];
  readonly split?: string;
  readonly known: readonly string[];
}

/** @throws BayesError unless all columns that are asked for are in the table, and some are left to predict */
function columnsOf(file: string, rows: readonly TableRow[], options: TableOptions): Columns {
  const names = Object.keys(rows[0].fields);
  const { image = "image", targets: asked } = options;
  const label = options.label ?? (asked === undefined && names.includes("label") ? "label" : undefined);
  const split = options.split ?? (names.includes("split") ? "split" : undefined);
  if (label !== undefined && asked !== undefined) failArgument(file, "either a label or targets", words("both"));
  if (asked !== undefined && (!Array.isArray(asked) || asked.length === 0))
    failArgument(file, "targets as a list of columns", asked);
  const rest = names.filter((name) => name !== image && name !== split);
  const targets = label === undefined ? (asked ?? rest) : [];
  const known = [image, ...targets, ...[label, split].filter((name) => name !== undefined)];
  const missing = known.filter((name) => !names.includes(name));
  if (missing.length > 0)
    throw new BayesError(
      `[${file}] expected columns ${known.join(", ")}, received ${quoted(names)}, without ${missing.join(", ")}`,
      { code: "ERR_BAYES_FILE" },
    );
  if (label === undefined && targets.length === 0) fail(file, "a column label, or columns of numbers", names);
  return { image, label, targets, split, known };
}

function partIn(file: string, row: TableRow, column: string | undefined): Part {
  if (column === undefined) return "train";
  const value = fieldOf(row, column);
  const part = typeof value === "string" ? partOf(value.trim()) : undefined;
  return part ?? fail(file, `${column} in line ${row.line} as train, valid or test`, value);
}

function textIn(file: string, row: TableRow, column: string): string {
  const value = fieldOf(row, column);
  // Beyond 2^53 two integers may be one number.
  const exact = typeof value === "number" && (Number.isSafeInteger(value) || !Number.isInteger(value));
  const text = exact ? String(value) : value;
  if (typeof text === "string" && text.trim() !== "" && !text.includes("\0")) return text.trim();
  return fail(file, `a text as ${column} in line ${row.line}`, value);
}

function numberIn(file: string, row: TableRow, column: string): number {
  const value = fieldOf(row, column);
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof number === "number" && Number.isFinite(Math.fround(number))) return number;
  throw new BayesError(
    `[${file}] expected a number as ${column} in line ${row.line}, received ${show(value)}; the option targets names the columns to predict`,
    { code: "ERR_BAYES_FILE" },
  );
}

/** What makeDataset wants of the rows that are kept. */
type Targets = (
  kept: readonly number[],
) => Pick<ClassParts, "labels" | "classes"> | Pick<TargetParts, "targets" | "targetShape" | "targetNames">;

function numbersOf(file: string, rows: readonly TableRow[], targetNames: readonly string[]): Targets {
  const numbers = rows.map((row) => targetNames.map((name) => numberIn(file, row, name)));
  const targetShape = targetNames.length === 1 ? [] : [targetNames.length];
  return (kept) => ({ targets: kept.flatMap((i) => numbers[i]), targetShape, targetNames });
}

function labelsOf(file: string, rows: readonly TableRow[], parts: readonly Part[], column: string): Targets {
  const names = rows.map((row) => textIn(file, row, column).normalize("NFC"));
  const classes = sortedClasses(names.filter((_, i) => parts[i] === "train"));
  const numbers = new Map(classes.map((name, i) => [name, i]));
  const all = sortedClasses(names);
  const strangers = all.filter((name) => !numbers.has(name));
  if (strangers.length > 0)
    throw new BayesError(`[${file}] ${mismatch(strangers, all, classes)}`, { code: "ERR_BAYES_FILE" });
  return (kept) => ({ labels: kept.map((i) => numbers.get(names[i])!), classes });
}

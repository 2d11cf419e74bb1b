/** Classes by name. */
import { copyList } from "../util/arrays.ts";
import { BayesError, checkInt, fail, shorten, show, words } from "../util/errors.ts";
import {
  type AnyClassDataset,
  type AnyDataset,
  checkDataset,
  type Dataset,
  type Examples,
  hasClasses,
  type TrainTest,
} from "./dataset.ts";

/** Class names in order: numbers by size where all are numbers, else by their characters, in no language's way. */
export function sortedClasses(names: Iterable<string>): string[] {
  const list = [...new Set(names)];
  const numbers = list.every((name) => /^(0|[1-9]\d{0,8})$/.test(name));
  return list.sort(numbers ? (a, b) => Number(a) - Number(b) : (a, b) => (a < b ? -1 : 1));
}

/** Whether the names are no more than the numbers "0", "1", …: nobody has named these classes. */
export const unnamed = (names: readonly string[]): boolean => names.every((name, i) => name === String(i));

/**
 * Class names from names or their number.
 * @param least how many there must be
 * @throws BayesError for too few, a name that is no text, or one name twice
 */
export function classNames(where: string, classes: readonly string[] | number, least = 1): readonly string[] {
  if (typeof classes === "number") {
    checkInt(where, "the number of classes", classes, least, 1 << 20);
    return Object.freeze(Array.from({ length: classes }, (_, i) => String(i)));
  }
  if (!Array.isArray(classes) || classes.length < least)
    fail(where, least > 1 ? `at least ${least} classes, by name or number` : "class names, or their number", classes);
  const names = copyList(where, "class names", classes);
  const seen = new Set<string>();
  for (const [i, name] of names.entries()) {
    if (typeof name !== "string") fail(where, `the name of class ${i} to be a text`, name);
    if (seen.has(name)) fail(where, "classes of different names, for they are told by name", name);
    seen.add(name);
  }
  return names;
}

/** Whether two lists mean the same classes in the same order; a number, or names that are numbers, fit any of the length. */
export function sameNames(mine: readonly string[], theirs: unknown): boolean {
  if (typeof theirs === "number") return theirs === mine.length;
  if (!Array.isArray(theirs) || theirs.length !== mine.length) return false;
  return unnamed(mine) || unnamed(theirs) || mine.every((name, i) => name === theirs[i]);
}

/** The classes of a set that it has no example of: their names, in the order of their numbers. */
export function absentClasses(data: AnyClassDataset): string[] {
  checkDataset("absentClasses", data);
  if (!hasClasses(data)) fail("absentClasses", "a data set with one class for each image", data, "ERR_BAYES_DATA");
  const present = new Set(data.targets);
  return data.classes.filter((_, label) => !present.has(label));
}

/** A note on classes whose names differ in case alone: other systems take their folders for one. */
export function caseNotes(classes: readonly string[]): string[] {
  const first = new Map<string, string>();
  for (const name of classes) {
    const other = first.get(name.toLowerCase());
    if (other !== undefined) return [`${other} and ${name} are two classes, whose names differ in case alone`];
    first.set(name.toLowerCase(), name);
  }
  return [];
}

/** Names for a message. */
export const quoted = (names: readonly string[]): string =>
  names
    .slice(0, 12)
    .map((name) => shorten(name))
    .join(", ") + (names.length > 12 ? `, … (${names.length} in all)` : "");

/**
 * A set with the class numbers that another list of names gives, so that what a model has learnt by number is compared by
 * name. Names match exactly; the set may have fewer classes than the list. A set whose classes are only numbered ("0",
 * "1", …), or a list that is, matches by number where both are of one length.
 * @throws BayesError when a class of the set is not in the list; a name that differs in case alone is pointed out
 */
export function alignClasses<D extends AnyClassDataset>(data: D, names: readonly string[]): D {
  const where = `classes of ${data?.name}`;
  checkDataset(where, data);
  if (!hasClasses(data)) fail(where, "a data set with one class for each image", data, "ERR_BAYES_DATA");
  if (!Array.isArray(names)) fail(where, "a list of class names", names);
  classNames(where, names);
  const { classes, targets } = data;
  if (classes.length === names.length && classes.every((name, i) => name === names[i])) return data;
  const numbers = numberOf(names);
  const strangers = classes.filter((name) => !numbers.has(name));
  if (strangers.length === 0) {
    const map = classes.map((name) => numbers.get(name)!);
    return { ...data, classes: names, targets: targets.map((label) => map[label]) };
  }
  if (classes.length === names.length && (unnamed(classes) || unnamed(names))) return { ...data, classes: names };
  throw new BayesError(`[${where}] ${mismatch(strangers, classes, names)}`, { code: "ERR_BAYES_DATA" });
}

/** "expected classes among …, received …", with what differs in case alone. */
export function mismatch(strangers: readonly string[], classes: readonly string[], names: readonly string[]): string {
  const lower = new Map(names.map((name) => [name.toLowerCase(), name]));
  const near = strangers.filter((name) => lower.has(name.toLowerCase()));
  const hints = near.map((name) => `${name} differs from ${lower.get(name.toLowerCase())} in case alone`);
  const unknown =
    strangers.length === classes.length ? "none of which is known" : `of which ${list(strangers)} unknown`;
  return [`expected classes among ${list(names)}, received ${list(classes)}, ${unknown}`, ...hints].join("; ");
}

/** The parts as sets of classes. @throws BayesError when the targets are numbers or images */
export function classesOnly(parts: TrainTest<Dataset>): TrainTest;
export function classesOnly(parts: TrainTest<AnyDataset>): TrainTest<AnyClassDataset>;
export function classesOnly({ train, valid, test }: TrainTest<AnyDataset>): TrainTest<AnyClassDataset> {
  const check = (data: AnyDataset): AnyClassDataset => {
    if (hasClasses(data)) return data;
    const { targetNames = [] } = data;
    return fail(
      `data set ${data.name}`,
      "one class for each image",
      targetNames.length > 0 ? targetNames : words("numbers"),
      "ERR_BAYES_DATA",
    );
  };
  return { train: check(train), test: check(test), ...(valid ? { valid: check(valid) } : {}) };
}

/** A training set of one class teaches nothing. */
export function checkTrainingClasses(where: string, data: AnyDataset, hint = ""): void {
  if (!hasClasses(data)) return;
  const present = data.classes.length - absentClasses(data).length;
  if (present > 1) return;
  throw new BayesError(
    `[${where}] expected images of at least two classes to train on, received one class, ${show(data.classes[data.targets[0]])}${hint}`,
    { code: "ERR_BAYES_DATA" },
  );
}

function numberOf(names: readonly string[]): Map<string, number> {
  return new Map(names.map((name, i) => [name, i]));
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 20).map((name) => shorten(name));
  return `${shown.join(", ")}${names.length > 20 ? `, … (${names.length})` : ""}`;
}

/**
 * The set's targets with their last axis in the order of other names: columns are matched by name. Where one of the two
 * lists has no names of its own, they match by position.
 * @param names what the columns are called where the targets go; absent: they have no names
 * @throws BayesError that names both lists when they do not hold the same names
 */
export function alignColumns(where: string, data: Examples, names: readonly string[] | undefined): Float32Array {
  const { targetNames: theirs, name } = data;
  const targets = data.targets as Float32Array;
  if (!names || !theirs || sameNames(names, theirs)) return targets;
  const columns = names.map((n) => theirs.indexOf(n));
  if (columns.includes(-1) || theirs.length !== names.length)
    throw new BayesError(
      `[${where}] expected targets named ${quoted(names)}, received ${quoted(theirs)} in data set ${name}`,
      { code: "ERR_BAYES_DATA" },
    );
  const K = names.length;
  return targets.map((_, i) => targets[i - (i % K) + columns[i % K]]);
}

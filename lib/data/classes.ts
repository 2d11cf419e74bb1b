import { BayesError, checkInt, fail } from "../errors.ts";
import type { ClassDataset, Dataset } from "./dataset.ts";

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
    return Array.from({ length: classes }, (_, i) => String(i));
  }
  if (!Array.isArray(classes) || classes.length < least)
    fail(where, least > 1 ? `at least ${least} classes, by name or number` : "class names, or their number", classes);
  for (const [i, name] of classes.entries()) {
    if (typeof name !== "string") fail(where, `the name of class ${i} to be a text`, name);
    if (classes.indexOf(name) !== i) fail(where, "every class name once", name);
  }
  return Object.freeze([...classes]);
}

/** Whether two lists mean the same classes in the same order; a number, or names that are numbers, fit any of the length. */
export function sameNames(mine: readonly string[], theirs: unknown): boolean {
  if (typeof theirs === "number") return theirs === mine.length;
  if (!Array.isArray(theirs) || theirs.length !== mine.length) return false;
  return unnamed(mine) || unnamed(theirs) || mine.every((name, i) => name === theirs[i]);
}

/** Names for a message. */
export const quoted = (names: readonly string[]): string =>
  names.slice(0, 12).join(", ") + (names.length > 12 ? `, … (${names.length} in all)` : "");

/**
 * The set's class numbers in the order of other names: classes are matched by name, and the set may lack some. Where
 * one of the two lists has no names of its own ("0", "1", …), as many classes match by number.
 * @param names what the classes are called where the numbers go
 * @throws BayesError that names both lists when a class of the set is not among `names`
 */
export function alignClasses(where: string, data: ClassDataset, names: readonly string[]): Int32Array {
  const theirs = data.classes;
  if (theirs.length === names.length && (unnamed(theirs) || unnamed(names))) return data.targets;
  const number = new Map(names.map((name, i) => [name, i]));
  const strange = theirs.filter((name) => !number.has(name));
  if (strange.length > 0) {
    const near = strange.flatMap((name) => {
      const other = names.find((n) => n.toLowerCase() === name.toLowerCase());
      return other === undefined ? [] : [`${name} differs from ${other} in case only`];
    });
    throw new BayesError(
      `[${where}] expected classes among ${quoted(names)}, received ${quoted(theirs)} in data set ${data.name}` +
        (near.length > 0 ? ` (${near.slice(0, 3).join("; ")})` : ""),
    );
  }
  if (theirs.every((name, i) => name === names[i])) return data.targets;
  return data.targets.map((label) => number.get(theirs[label])!);
}

/**
 * The set's targets with their last axis in the order of other names: columns are matched by name. Where one of the two
 * lists has no names of its own, they match by position.
 * @param names what the columns are called where the targets go; absent: they have no names
 * @throws BayesError that names both lists when they do not hold the same names
 */
export function alignColumns(where: string, data: Dataset, names: readonly string[] | undefined): Float32Array {
  const { classes: theirs, name } = data;
  const targets = data.targets as Float32Array;
  if (!names || !theirs || sameNames(names, theirs)) return targets;
  const columns = names.map((n) => theirs.indexOf(n));
  if (columns.includes(-1) || theirs.length !== names.length)
    throw new BayesError(
      `[${where}] expected targets named ${quoted(names)}, received ${quoted(theirs)} in data set ${name}`,
    );
  const K = names.length;
  return targets.map((_, i) => targets[i - (i % K) + columns[i % K]]);
}

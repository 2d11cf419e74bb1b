import { checkInt, checkOptions, fail } from "../util/errors.ts";
import { philox, STREAM_SPLIT, seedKey, streamWord } from "../util/philox.ts";
import { type AnyDataset, checkDataset, type Examples, hasClasses, subset, withNotes } from "./dataset.ts";
import { argsort, keysOf } from "./identity.ts";

/** How large the parts are: numbers of examples, or shares between 0 and 1 of all of them. */
export interface SplitSizes {
  /** Default: all that `valid` leaves. */
  readonly train?: number;
  readonly valid: number;
}

/**
 * Two disjoint random parts of a set, as a function of its content and the seed: neither the names nor the order of the
 * files matter, and an image more or less moves few others. The order within a part is drawn in the same way.
 *
 * Every class gets its share of each part (largest remainder), and a class of two examples or more at least one in each
 * where the sizes permit. Copies, equal in pixels and class, go into one part while they fit (the first that fits, in the
 * order drawn); where more copies than a part has room for force a set of them apart, a note on `valid` says so. Sets
 * without classes are drawn as one.
 *
 * @param sizes how many examples each part gets, or which share; what is left is in neither
 * @throws BayesError when the sizes exceed the count
 */
export function split<D extends AnyDataset>(data: D, sizes: SplitSizes, seed: number): { train: D; valid: D } {
  const where = `split of ${data?.name}`;
  checkDataset(where, data);
  checkInt(where, "seed", seed);
  const { train, valid } = counts(where, sizes, data.count);
  const keys = keysOf(data);
  const order = drawn(keys, seed);
  const strata = groupsOf(data, keys, order);
  const used = allocate(
    train + valid,
    strata.map(({ name, size }) => ({ name, weight: size, least: Math.min(2, size), most: size })),
  );
  const validOf = allocate(
    valid,
    strata.map(({ name }, i) => {
      const [least, most] = used[i] > 1 ? [1, used[i] - 1] : [0, 0];
      return { name, weight: used[i], least, most };
    }),
  );
  const part = new Uint8Array(data.count);
  let apart = 0;
  for (const [i, { groups }] of strata.entries()) apart += fill(part, groups, [validOf[i], used[i] - validOf[i]]);
  const take = (which: number) =>
    subset(
      data,
      order.filter((i) => part[i] === which),
    );
  const note = `${apart} of the images drawn for validation have exact copies in training, because there are too many copies`;
  return { train: take(TRAIN), valid: apart === 0 ? take(VALID) : withNotes(take(VALID), [note]) };
}

const VALID = 1;
const TRAIN = 2;

function counts(where: string, sizes: SplitSizes, count: number): { train: number; valid: number } {
  checkOptions(where, sizes, { train: "number", valid: "number" });
  const share = (size: number) => size > 0 && size < 1;
  const size = (what: string, value: number) =>
    share(value) ? Math.max(1, Math.round(value * count)) : checkInt(where, `${what} size (or share)`, value, 1);
  const valid = size("valid", sizes.valid);
  // Two shares of one whole may both round up.
  const rounded = sizes.train !== undefined && share(sizes.train) && share(sizes.valid);
  if (rounded && sizes.train + sizes.valid > 1 + 1e-9)
    fail(where, "shares that add up to at most 1", sizes.train + sizes.valid);
  let train = sizes.train === undefined ? count - valid : size("train", sizes.train);
  if (rounded) train = Math.min(train, count - valid);
  const total = Math.max(1, train) + valid;
  if (total > count || train < 1) fail(where, `train + valid to be at most ${count}, the number of examples`, total);
  return { train, valid };
}

/** The examples in the order of one random number each, which depends on nothing but the example and the seed. */
function drawn(keys: BigUint64Array, seed: number): Int32Array {
  const [words, key, word3] = [new Uint32Array(keys.buffer), seedKey(seed), streamWord(STREAM_SPLIT)];
  const draws = new Uint32Array(words.length);
  for (let i = 0; i < draws.length; i += 2) {
    const u = philox([words[i], words[i + 1], 0, word3], key);
    draws[i] = u[0];
    draws[i + 1] = u[1];
  }
  return argsort(new BigUint64Array(draws.buffer), keys);
}

/** The examples of one class, copies of the same one together. */
interface Stratum {
  readonly name: string;
  size: number;
  readonly groups: Int32Array[];
}

function groupsOf(data: Examples, keys: BigUint64Array, order: Int32Array): Stratum[] {
  const classes = hasClasses(data) ? data.classes : undefined;
  const strata: Stratum[] = (classes ?? [""]).map((name) => ({ name, size: 0, groups: [] }));
  for (let at = 0; at < order.length; ) {
    let end = at + 1;
    while (end < order.length && keys[order[end]] === keys[order[at]]) end++;
    const stratum = strata[classes ? data.targets[order[at]] : 0];
    stratum.groups.push(order.subarray(at, end));
    stratum.size += end - at;
    at = end;
  }
  return strata;
}

interface Claim {
  readonly name: string;
  readonly weight: number;
  readonly least: number;
  readonly most: number;
}

/**
 * Shares `total` out by weight, in whole numbers within each claim's bounds, by largest remainder (ties by name). Bounds
 * that no sharing can keep give way: first the lower, then the upper (up to the weight).
 */
function allocate(total: number, claims: readonly Claim[]): number[] {
  const sum = (of: (claim: Claim) => number) => claims.reduce((s, claim) => s + of(claim), 0);
  const low = sum((c) => c.least) <= total ? (c: Claim) => c.least : () => 0;
  const high = sum((c) => c.most) >= total ? (c: Claim) => c.most : (c: Claim) => c.weight;
  const whole = sum((c) => c.weight);
  const quota = claims.map((c) => (total * c.weight) / whole);
  const given = claims.map((c, i) => Math.min(high(c), Math.max(low(c), Math.floor(quota[i]))));
  for (let left = total - given.reduce((a, b) => a + b, 0); left !== 0; ) {
    const step = Math.sign(left);
    const owed = (i: number) => step * (quota[i] - given[i]);
    const turn = [...claims.keys()].sort((i, j) => owed(j) - owed(i) || (claims[i].name < claims[j].name ? -1 : 1));
    for (const i of turn) {
      if (left === 0) break;
      const next = given[i] + step;
      if (next < low(claims[i]) || next > high(claims[i])) continue;
      given[i] = next;
      left -= step;
    }
  }
  return given;
}

/** Marks the examples of one class with their part. @returns how many of valid's have copies in train */
function fill(part: Uint8Array, groups: readonly Int32Array[], [valid, train]: readonly [number, number]): number {
  const room = [0, valid, train];
  const put = (group: Int32Array, which: number) => {
    const some = group.subarray(0, room[which]);
    for (const i of some) part[i] = which;
    room[which] -= some.length;
  };
  for (const which of [VALID, TRAIN])
    for (const group of groups) if (part[group[0]] === 0 && group.length <= room[which]) put(group, which);
  let apart = 0;
  for (const group of groups) {
    const free = group.filter((i) => part[i] === 0);
    if (free.length === 0) continue;
    put(free, VALID);
    const rest = free.filter((i) => part[i] === 0);
    put(rest, TRAIN);
    if (rest.length > 0 && part[rest[0]] === TRAIN) apart += free.length - rest.length;
  }
  return apart;
}

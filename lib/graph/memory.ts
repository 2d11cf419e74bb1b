/** One buffer's claim on the arena: it is live from step `from` to step `to`, both included. */
export interface Claim {
  readonly bytes: number;
  readonly from: number;
  readonly to: number;
}

/** `bytes` (at least one) in whole units of `to`. */
export const aligned = (bytes: number, to: number): number => Math.ceil(Math.max(bytes, 1) / to) * to;

interface Placement {
  /** In bytes, in the order of the claims. */
  readonly offsets: number[];
  /** Of the arena. */
  readonly bytes: number;
}

/** Places the claims in an order of their own, each at the lowest offset where it overlaps no other that is live then. */
function place(claims: readonly Claim[], order: readonly number[], align: number): Placement {
  const offsets = new Array<number>(claims.length).fill(0);
  const placed: number[] = []; // sorted by offset
  let bytes = 0;
  for (const i of order) {
    const c = claims[i];
    let at = 0;
    for (const j of placed) {
      const other = claims[j];
      if (other.to < c.from || c.to < other.from) continue;
      if (at + c.bytes <= offsets[j]) break;
      at = Math.max(at, aligned(offsets[j] + other.bytes, align));
    }
    offsets[i] = at;
    bytes = Math.max(bytes, aligned(at + c.bytes, align));
    const where = placed.findIndex((j) => offsets[j] > at);
    placed.splice(where < 0 ? placed.length : where, 0, i);
  }
  return { offsets, bytes };
}

/** The most bytes that are live at one step: no arena is smaller. */
export function liveBytes(claims: readonly Claim[], align: number): number {
  const change = new Map<number, number>();
  const add = (step: number, bytes: number) => change.set(step, (change.get(step) ?? 0) + bytes);
  for (const { bytes, from, to } of claims) {
    add(from, aligned(bytes, align));
    add(to + 1, -aligned(bytes, align));
  }
  let live = 0;
  return [...change].sort(([a], [b]) => a - b).reduce((most, [, by]) => Math.max(most, (live += by)), 0);
}

const TRIES = 64;

/**
 * Places every claim in one arena: largest first; then, while there are gaps, the claim that sticks out comes first.
 * @param align of every claim, in bytes: the device's word
 */
export function planMemory(claims: readonly Claim[], align: number): Placement {
  const order = claims.map((_, i) => i).sort((a, b) => claims[b].bytes - claims[a].bytes || a - b);
  const least = liveBytes(claims, align);
  let best = place(claims, order, align);
  let last = best;
  for (let t = 0; t < TRIES && best.bytes > least; t++) {
    const top = order.findIndex((i) => aligned(last.offsets[i] + claims[i].bytes, align) === last.bytes);
    order.unshift(...order.splice(top, 1));
    last = place(claims, order, align);
    if (last.bytes < best.bytes) best = last;
  }
  return best;
}

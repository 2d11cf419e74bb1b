/** One buffer's claim on the arena: it is live from step `from` to step `to`, both included. */
export interface Claim {
  readonly bytes: number;
  readonly from: number;
  readonly to: number;
}

export const ALIGN = 64;
export const aligned = (bytes: number): number => Math.ceil(Math.max(bytes, 1) / ALIGN) * ALIGN;

/**
 * Places every claim in one arena: largest first, each at the lowest offset where it overlaps no other that is live at
 * the same time.
 * @returns the offsets, in the order of the claims, and the size of the arena, in bytes
 */
export function planMemory(claims: readonly Claim[]): { offsets: number[]; bytes: number } {
  const offsets = new Array<number>(claims.length).fill(0);
  const order = claims.map((_, i) => i).sort((a, b) => claims[b].bytes - claims[a].bytes || a - b);
  const placed: number[] = []; // sorted by offset
  let bytes = 0;
  for (const i of order) {
    const c = claims[i];
    let at = 0;
    for (const j of placed) {
      const other = claims[j];
      if (other.to < c.from || c.to < other.from) continue;
      if (at + c.bytes <= offsets[j]) break;
      at = Math.max(at, aligned(offsets[j] + other.bytes));
    }
    offsets[i] = at;
    bytes = Math.max(bytes, aligned(at + c.bytes));
    const where = placed.findIndex((j) => offsets[j] > at);
    placed.splice(where < 0 ? placed.length : where, 0, i);
  }
  return { offsets, bytes };
}

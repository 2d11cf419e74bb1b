import { checkInt } from "../util/errors.ts";
import { philox, STREAM_SHUFFLE, seedKey, streamWord, uniformInt } from "../util/philox.ts";

/**
 * The order in which an epoch visits the examples: a permutation of 0..count-1 that is a pure function of (count, seed,
 * epoch), so a resumed run or another machine sees the same batches without any saved state.
 *
 * Fisher-Yates from the top: for i = count-1 down to 1, swap i with j = floor(u_i (i+1) / 2^32), where u_i is word
 * i mod 4 of Philox block floor(i/4) at counter (floor(i/4), 0, epoch, shuffle stream).
 */
export function epochOrder(count: number, seed: number, epoch: number): Int32Array {
  return permutation(count, seed, epoch, STREAM_SHUFFLE);
}

/** The permutation of {@link epochOrder} on any stream: word 2 of the counter is `step`. */
export function permutation(count: number, seed: number, step: number, stream: number): Int32Array {
  checkInt("data order", "count", count, 1, 0x7fffffff);
  checkInt("data order", "seed", seed);
  checkInt("data order", "epoch", step, 0, 0xffffffff);
  const key = seedKey(seed);
  const word3 = streamWord(stream);
  const order = Int32Array.from({ length: count }, (_, i) => i);
  let block = -1;
  let words = philox([0, 0, step, word3], key);
  for (let i = count - 1; i > 0; i--) {
    if (i >> 2 !== block) {
      block = i >> 2;
      words = philox([block, 0, step, word3], key);
    }
    const j = uniformInt(words[i & 3], i + 1);
    const held = order[i];
    order[i] = order[j];
    order[j] = held;
  }
  return order;
}

/**
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011): random numbers as
 * a pure function of a counter and a key. Everything random in the library is such a function, so nothing depends on
 * the order of calls, the number of threads or the device.
 *
 * The counter's words, everywhere:
 *
 *     0  position inside the row (pixel, element, block of four)
 *     1  example row
 *     2  step (of training), or epoch
 *     3  stream * 65536 + Monte-Carlo sample
 *
 * The key is the 64-bit seed: low word, high word. A normal of channel c of C is lane c mod 4 of the block at position
 * pixel * ceil(C / 4) + floor(c / 4). The row is the position in the step's batch when training, the index in the call's images when
 * predicting. The stream is the ordinal of the stochastic node, kept by name in checkpoints: a layer that is used again draws anew, as
 * "name@1", noise of the weights is one draw. The normals are bit-identical on every instruction set: our own polynomials on exact
 * range reduction, no fused multiply-add, no libm (native/shared/philox.h).
 */

/** Streams from here on belong to initialisation, dropout, shuffling and augmentation. */
export const FIRST_RESERVED_STREAM = 65000;
/** Reserved streams: layers count up from 0, these count down from the top. */
export const STREAM_INIT = 65535;
export const STREAM_SHUFFLE = 65533;
export const STREAM_AUGMENT = 65532;
export const STREAM_SPLIT = 65531;
export const STREAM_PATCHES = 65530;

/** Four 32-bit words, each an integer in [0, 2^32). */
export type Words4 = [number, number, number, number];

const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

/** High 32 bits of the 64-bit product of two unsigned 32-bit integers, from 16-bit halves (all sums stay below 2^53). */
export function mulHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const carry = (middle % 0x10000) + a0 * b1;
  return (a1 * b1 + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/**
 * Four random words for one counter and key.
 * @param counter four words; @param key two words; each is taken modulo 2^32
 */
export function philox(counter: readonly [number, number, number, number], key: readonly [number, number]): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(M0, c0);
    const low0 = Math.imul(M0, c0);
    const high1 = mulHigh(M1, c2);
    const low1 = Math.imul(M1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + W0) | 0;
    k1 = (k1 + W1) | 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

/** The key of a seed: its low and high 32 bits. Seeds are integers from 0 to 2^53 - 1. */
export function seedKey(seed: number): [number, number] {
  return [seed >>> 0, Math.floor(seed / 0x1_0000_0000) >>> 0];
}

/** Word 3 of the counter. */
export function streamWord(stream: number, sample = 0): number {
  return stream * 0x10000 + sample;
}

/** A uniform number in the open interval (0, 1): (u + 1/2) / 2^32, exact in double. */
export function uniform01(u32: number): number {
  return (u32 + 0.5) / 0x1_0000_0000;
}

/** An integer in [0, n) by multiply and shift: floor(u * n / 2^32). Bias below n / 2^32. */
export function uniformInt(u32: number, n: number): number {
  return mulHigh(u32, n);
}

import type { Device } from "../native/device.ts";

/** Images in whole multiples of which the lanes of vectors are full, whatever the instruction set, and are worth it. */
const FULL = 32;

/** Images of the largest launch, unless the caller wants another number: whole multiples of {@link FULL}, but for few. */
export function largestLaunch({ launchRows }: Pick<Device, "launchRows">, samples: number): number {
  const images = Math.max(1, Math.ceil(launchRows / samples));
  return 2 * images < FULL ? images : FULL * Math.ceil(images / FULL);
}

/** The sizes that launches have, ascending: powers of two and the largest, so that few programs serve any number of images. */
export function launchSizes(largest: number): number[] {
  const sizes: number[] = [];
  for (let size = 1; size < largest; size *= 2) sizes.push(size);
  return [...sizes, largest];
}

/**
 * The launch that `waiting` images begin with. A launch with empty places is filled up with images computed in vain: at
 * most one for every four wanted; else it is one that can be filled, and the rest comes after.
 */
export function launchSize(waiting: number, largest: number): number {
  const sizes = launchSizes(largest);
  const above = sizes.find((size) => size >= waiting);
  if (above !== undefined && 4 * (above - waiting) <= waiting) return above;
  return sizes.findLast((size) => size <= waiting)!;
}

/** A call that waits for its images to be predicted. */
export interface Call {
  readonly images: Uint8Array | Float32Array;
  readonly count: number;
  /** Images that have been given to a launch; the rest waits. */
  taken: number;
  /** Images whose outputs have arrived. */
  done: number;
}

/** Neighbouring images of one call in a launch. */
export interface Segment<C extends Call> {
  readonly call: C;
  readonly first: number;
  readonly count: number;
}

/**
 * Takes the next `room` images (or fewer, if fewer wait) from the calls, an equal share of each as far as it goes, so that
 * one call of many images does not make the others wait for all of them. A call that was served and has more goes behind
 * the others.
 */
export function takeShares<C extends Call>(calls: C[], room: number): Segment<C>[] {
  const served: Segment<C>[] = [];
  const asked = calls.slice(0, room);
  // the smallest first: what they leave of their share is for the larger ones
  asked.sort((a, b) => a.count - a.taken - (b.count - b.taken));
  for (const [i, call] of asked.entries()) {
    const share = Math.floor(room / (asked.length - i));
    const count = Math.min(share, call.count - call.taken);
    served.push({ call, first: call.taken, count });
    call.taken += count;
    room -= count;
  }
  const behind = calls.splice(0, asked.length).filter((call) => call.taken < call.count);
  calls.push(...behind);
  return served;
}

/** Rows (images times samples) of one launch: enough to fill the cores, few enough to stay in the cache. */
const LAUNCH_ROWS = 512;

/** How a Monte-Carlo prediction is cut into launches, each of all samples of `batch` images. */
export interface Launches {
  readonly launches: number;
  /** Images of one launch; the last one is filled up. */
  readonly batch: number;
}

/** The fewest launches of about {@link LAUNCH_ROWS} rows, all of one size, so that hardly an image is computed in vain. */
export function launchesOf(count: number, samples: number): Launches {
  const batch = Math.ceil(count / Math.min(count, Math.ceil((count * samples) / LAUNCH_ROWS)));
  return { launches: Math.ceil(count / batch), batch };
}

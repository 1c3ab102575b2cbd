// How long until nothing waits: a straight line through the backlog of the last minute.
// It must not know what waits.

/** Watches a backlog. */
export interface Drain {
  /**
   * Takes a sample and estimates.
   * @returns milliseconds until empty; null when it grows, stands, or nothing is known yet.
   */
  estimate(waiting: number | null, monotonicMs: number): number | null;
}

/** Samples older than this are forgotten; fewer milliseconds than `leastMs` say nothing. */
const windowMs = 60_000;
const leastMs = 2000;
const samplesMax = 120;

/** Starts with no samples. */
export function createDrain(): Drain {
  const samples: { waiting: number; at: number }[] = [];
  return {
    estimate(waiting, at) {
      if (waiting === null) {
        samples.length = 0;
        return null;
      }
      samples.push({ waiting, at });
      while (samples.length > samplesMax || (samples[0] && at - samples[0].at > windowMs)) {
        samples.shift();
      }
      const first = samples[0];
      if (waiting === 0 || first === undefined || at - first.at < leastMs) return null;
      const perMs = (first.waiting - waiting) / (at - first.at);
      return perMs > 0 ? Math.round(waiting / perMs) : null;
    },
  };
}

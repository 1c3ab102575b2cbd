// Calls back when the nearest of many deadlines has come, with one sleeper for all of them.
// It must not know what is due.
import type { Clock } from "./clock.ts";

export interface Deadlines {
  /** Makes sure `expire` runs at this monotonic time or soon after. */
  watch(atMs: number): void;
  stop(): void;
}

/**
 * Watches deadlines.
 * @param expire deals with all that is due at `nowMs`; returns the nearest deadline left, or
 * Infinity.
 */
export function watchDeadlines(clock: Clock, expire: (nowMs: number) => number): Deadlines {
  let nearestMs = Number.POSITIVE_INFINITY;
  let isStopped = false;
  let wake = new AbortController();
  let isAsleep = false;

  async function run(): Promise<void> {
    isAsleep = true;
    while (nearestMs !== Number.POSITIVE_INFINITY && !isStopped) {
      const waitMs = nearestMs - clock.monotonicMs();
      if (waitMs > 0) {
        wake = new AbortController();
        await clock.sleep(waitMs, wake.signal);
      } else {
        nearestMs = Number.POSITIVE_INFINITY;
        const left = expire(clock.monotonicMs());
        nearestMs = Math.min(nearestMs, left);
      }
    }
    isAsleep = false;
  }

  return {
    watch(atMs) {
      if (atMs >= nearestMs || isStopped) return;
      nearestMs = atMs;
      if (isAsleep) wake.abort();
      else void run();
    },
    stop() {
      isStopped = true;
      wake.abort();
    },
  };
}

// How long to wait before the next attempt: exponential growth with full jitter.
// It must not know what is attempted.

/** Bounds of the waiting time, in milliseconds. */
export interface BackoffRange {
  readonly baseMs: number;
  readonly ceilingMs: number;
}

/**
 * The waiting time before attempt `attempt`, drawn evenly from (0, min(ceiling, base × 2^attempt)].
 * @param attempt failed attempts so far, from 0.
 * @param unit a random number in [0, 1).
 * @see AWS Architecture Blog, "Exponential Backoff And Jitter" (full jitter)
 */
export function backoffMs(range: BackoffRange, attempt: number, unit: number): number {
  const top = Math.min(range.ceilingMs, range.baseMs * 2 ** Math.min(attempt, 52));
  return Math.max(1, Math.ceil(top * (1 - unit)));
}

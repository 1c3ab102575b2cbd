// How long flushes that nobody asked for at once may wait, so that an hour has no more than it may.
// It must not know what is flushed.

const hourMs = 3_600_000;
/** What was saved up is good for the flushes of this long. */
const burstMs = 60_000;
/** A wait is never longer than this many times the usual one. */
const waitsMax = 10;

/**
 * Tokens that grow with time: each flush takes one, also an urgent one, which waits for none. A
 * group without a token waits until there is one, at most ten times as long as usual.
 */
export class FlushBudget {
  readonly #perHourMax: number;
  readonly #waitMs: number;
  readonly #most: number;
  #tokens: number;
  #atMs = 0;

  /**
   * @param perHourMax flushes in an hour; 0 for any number.
   * @param waitMs the usual wait of a group.
   */
  constructor(perHourMax: number, waitMs: number) {
    this.#perHourMax = perHourMax;
    this.#waitMs = waitMs;
    this.#most = Math.max(1, (perHourMax * burstMs) / hourMs);
    this.#tokens = this.#most;
  }

  /**
   * When a group whose first request came at `sinceMs` is to be flushed, as of `nowMs`; both by a
   * clock that never jumps.
   */
  dueMs(sinceMs: number, nowMs: number): number {
    if (this.#perHourMax === 0) return sinceMs + this.#waitMs;
    this.#grow(nowMs);
    const missingMs = Math.ceil(((1 - this.#tokens) * hourMs) / this.#perHourMax);
    const latestMs = Math.min(sinceMs + this.#waitMs * waitsMax, nowMs + missingMs);
    return Math.max(sinceMs + this.#waitMs, latestMs);
  }

  /** To be called at each flush. */
  spend(nowMs: number): void {
    if (this.#perHourMax === 0) return;
    this.#grow(nowMs);
    this.#tokens = Math.max(-this.#most, this.#tokens - 1);
  }

  #grow(nowMs: number): void {
    const grown = ((nowMs - this.#atMs) * this.#perHourMax) / hourMs;
    this.#tokens = Math.min(this.#most, this.#tokens + grown);
    this.#atMs = nowMs;
  }
}

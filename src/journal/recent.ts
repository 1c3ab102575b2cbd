// How often something happened, in all and in the last hour, and when it was the last time.
// Pure; it must not know what it was.

/** What is told of it; times are ages, so that a clock that is set changes none of them. */
export interface Occurrences {
  /** Since the opening. */
  readonly count: number;
  readonly lastHour: number;
  /** Milliseconds since the first and the last time; absent when it never happened. */
  readonly firstAgeMs?: number;
  readonly lastAgeMs?: number;
}

const minuteMs = 60_000;
const minutes = 60;

export class Recent {
  readonly #counts = new Uint32Array(minutes);
  /** The minute each count is of. */
  readonly #of = new Float64Array(minutes).fill(-1);
  #count = 0;
  #firstMs = 0;
  /** Monotonic time of the last one. */
  lastMs = Number.NEGATIVE_INFINITY;

  /** It happened. @param nowMs monotonic. */
  note(nowMs: number): void {
    const minute = Math.floor(nowMs / minuteMs);
    const at = minute % minutes;
    if (this.#of[at] !== minute) {
      this.#of[at] = minute;
      this.#counts[at] = 0;
    }
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    if (this.#count === 0) this.#firstMs = nowMs;
    this.#count += 1;
    this.lastMs = nowMs;
  }

  /** How often in all. */
  get count(): number {
    return this.#count;
  }

  tell(nowMs: number): Occurrences {
    const oldest = Math.floor(nowMs / minuteMs) - minutes;
    let lastHour = 0;
    for (let at = 0; at < minutes; at += 1) {
      if ((this.#of[at] ?? -1) > oldest) lastHour += this.#counts[at] ?? 0;
    }
    if (this.#count === 0) return { count: 0, lastHour };
    return {
      count: this.#count,
      lastHour,
      firstAgeMs: Math.round(nowMs - this.#firstMs),
      lastAgeMs: Math.round(nowMs - this.lastMs),
    };
  }
}

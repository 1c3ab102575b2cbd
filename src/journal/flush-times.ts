// How long the commits of the last minutes took. Pure; it must not know what they wrote.

const kept = 2048;
const lastMs = 300_000;

/** The newest commits of the last five minutes, 2,048 at most. */
export class FlushTimes {
  readonly #tookMs = new Float64Array(kept);
  readonly #atMs = new Float64Array(kept).fill(Number.NEGATIVE_INFINITY);
  #next = 0;

  /** @param nowMs monotonic. */
  note(tookMs: number, nowMs: number): void {
    this.#tookMs[this.#next] = tookMs;
    this.#atMs[this.#next] = nowMs;
    this.#next = (this.#next + 1) % kept;
  }

  /** Milliseconds that one half, and all but one in a hundred, stayed below; none without any. */
  tell(nowMs: number): { flushP50Ms?: number; flushP99Ms?: number } {
    const recent = this.#tookMs.filter((_, at) => nowMs - (this.#atMs[at] ?? 0) <= lastMs);
    if (recent.length === 0) return {};
    recent.sort();
    const at = (share: number) => recent[Math.floor(share * (recent.length - 1))] ?? 0;
    return { flushP50Ms: at(0.5), flushP99Ms: at(0.99) };
  }
}

// When each group is due: an absolute schedule without drift, phases spread, overruns counted.
// Pure. It must not know lines or clocks: times come as arguments, in monotonic milliseconds.

interface Slot<K> {
  readonly key: K;
  readonly intervalMs: number;
  nextMs: number;
  isRunning: boolean;
}

/** Groups polled at fixed intervals. */
export class Schedule<K> {
  readonly #slots: Slot<K>[];
  #overruns = 0;

  /** Phases are spread evenly, so that groups of one interval do not come all at once. */
  constructor(
    groups: readonly { readonly key: K; readonly intervalMs: number }[],
    startMs: number,
  ) {
    this.#slots = groups.map(({ key, intervalMs }, at) => ({
      key,
      intervalMs,
      nextMs: startMs + Math.floor((Math.min(intervalMs, 1000) * at) / Math.max(1, groups.length)),
      isRunning: false,
    }));
  }

  /** Polls that were due while the one before was still under way. */
  get overruns(): number {
    return this.#overruns;
  }

  /** Takes the groups that are due. Each must be given back by `finish`. */
  take(nowMs: number): K[] {
    const due: K[] = [];
    for (const slot of this.#slots) {
      if (slot.nextMs > nowMs) continue;
      const missed = Math.floor((nowMs - slot.nextMs) / slot.intervalMs);
      slot.nextMs += (missed + 1) * slot.intervalMs;
      this.#overruns += slot.isRunning ? missed + 1 : missed;
      if (slot.isRunning) continue;
      slot.isRunning = true;
      due.push(slot.key);
    }
    return due;
  }

  finish(key: K): void {
    for (const slot of this.#slots) if (slot.key === key) slot.isRunning = false;
  }

  /** Makes groups due at once without moving their later times. */
  hasten(nowMs: number, isMeant: (key: K) => boolean): void {
    for (const slot of this.#slots) {
      if (!isMeant(slot.key) || slot.nextMs <= nowMs) continue;
      const whole = Math.ceil((slot.nextMs - nowMs) / slot.intervalMs);
      slot.nextMs -= whole * slot.intervalMs;
    }
  }

  /** When the next group is due; `undefined` when there are none. */
  nextMs(): number | undefined {
    if (this.#slots.length === 0) return undefined;
    return Math.min(...this.#slots.map((slot) => slot.nextMs));
  }
}

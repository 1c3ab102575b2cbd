// What a line did: counters, turnaround, load, the last minute and hour. Pure.
// It must not know ports or clocks: times come as arguments, in monotonic milliseconds.

/** Sums over a window that moves on in buckets. */
export class Rolling {
  readonly #widthMs: number;
  readonly #sums: number[];
  #bucket = 0;

  constructor(buckets: number, widthMs: number) {
    this.#widthMs = widthMs;
    this.#sums = new Array(buckets).fill(0);
  }

  add(nowMs: number, amount: number): void {
    this.#moveTo(nowMs);
    const at = this.#bucket % this.#sums.length;
    this.#sums[at] = (this.#sums[at] ?? 0) + amount;
  }

  /** Sum over the whole window. */
  sum(nowMs: number): number {
    this.#moveTo(nowMs);
    return this.#sums.reduce((a, b) => a + b, 0);
  }

  /** The buckets, oldest first. */
  series(nowMs: number): number[] {
    this.#moveTo(nowMs);
    const { length } = this.#sums;
    return this.#sums.map((_, at) => this.#sums[(this.#bucket + 1 + at) % length] ?? 0);
  }

  #moveTo(nowMs: number): void {
    const bucket = Math.floor(nowMs / this.#widthMs);
    const { length } = this.#sums;
    const steps = Math.min(bucket - this.#bucket, length);
    for (let step = 0; step < steps; step += 1) this.#sums[(bucket - step) % length] = 0;
    if (bucket > this.#bucket) this.#bucket = bucket;
  }
}

/** Counters of a line since its start. */
export interface Counters {
  readonly requests: number;
  readonly ok: number;
  readonly timeouts: number;
  readonly crc: number;
  readonly exceptions: number;
  readonly late: number;
  readonly other: number;
}

/** The figures of a line as its status tells them. */
export interface LineReport {
  readonly counters: Counters;
  readonly okPerMinute: number;
  readonly loadPercent: number;
  readonly turnaroundMs: { readonly p50: number; readonly p99: number };
  readonly lastHour: readonly number[];
}

const turnaroundsMax = 256;

/** Gathers the figures of one line. */
export class LineFigures {
  readonly #counters = {
    requests: 0,
    ok: 0,
    timeouts: 0,
    crc: 0,
    exceptions: 0,
    late: 0,
    other: 0,
  };
  readonly #turnarounds: number[] = [];
  #turnaroundAt = 0;
  readonly #okMinute = new Rolling(60, 1000);
  readonly #busyMinute = new Rolling(60, 1000);
  readonly #answeredHour = new Rolling(10, 360_000);
  readonly #startMs: number;

  constructor(startMs: number) {
    this.#startMs = startMs;
  }

  count(what: keyof Counters): void {
    this.#counters[what] += 1;
  }

  /** The line was busy with one request from `fromMs` to `nowMs`. */
  busy(fromMs: number, nowMs: number): void {
    this.#busyMinute.add(nowMs, nowMs - fromMs);
  }

  /** A device began to answer `turnaroundMs` after the request was out. */
  answered(nowMs: number, turnaroundMs: number): void {
    this.#okMinute.add(nowMs, 1);
    this.#answeredHour.add(nowMs, 1);
    this.#turnarounds[this.#turnaroundAt] = turnaroundMs;
    this.#turnaroundAt = (this.#turnaroundAt + 1) % turnaroundsMax;
  }

  report(nowMs: number): LineReport {
    const sorted = this.#turnarounds.toSorted((a, b) => a - b);
    const at = (share: number) => {
      const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
      return Math.round(value * 10) / 10;
    };
    const windowMs = Math.min(60_000, Math.max(1000, nowMs - this.#startMs));
    const load = Math.round((100 * this.#busyMinute.sum(nowMs)) / windowMs);
    return {
      counters: { ...this.#counters },
      okPerMinute: Math.round((this.#okMinute.sum(nowMs) * 60_000) / windowMs),
      loadPercent: Math.min(100, load),
      turnaroundMs: { p50: at(0.5), p99: at(0.99) },
      lastHour: this.#answeredHour.series(nowMs),
    };
  }
}

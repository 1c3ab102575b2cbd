// How long requests took, in buckets that grow with the time: four per doubling, from microseconds
// to an hour. It must not know what is measured.
import type { LatencyAnswer } from "./answers.ts";

/** Buckets of a quarter of a doubling, up to 2^32 µs. */
const buckets = 4 * 31;
/** The bounds that are told: 64 µs × 2^n, up to 67 s. */
const firstTold = 6;
const lastTold = 26;

/** The bucket of a time in whole microseconds. */
function bucketOf(us: number): number {
  if (us < 4) return us;
  const octave = 31 - Math.clz32(us);
  return 4 * (octave - 1) + ((us >>> (octave - 2)) & 3);
}

/** The first time, in microseconds, that is beyond a bucket. */
function endOf(bucket: number): number {
  if (bucket < 4) return bucket + 1;
  const octave = Math.floor(bucket / 4) + 1;
  return 2 ** octave + ((bucket % 4) + 1) * 2 ** (octave - 2);
}

export class Latency {
  readonly #counts = new Float64Array(buckets);
  #count = 0;
  #sumMs = 0;
  #maxMs = 0;

  /** Notes a time in milliseconds. */
  note(ms: number): void {
    const us = ms > 0 ? Math.min(0xffff_ffff, Math.floor(1000 * ms)) : 0;
    const at = bucketOf(us);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#count += 1;
    this.#sumMs += ms;
    if (ms > this.#maxMs) this.#maxMs = ms;
  }

  /** The time that this share of all requests did not pass, in milliseconds. */
  #quantile(share: number): number {
    const wanted = share * this.#count;
    let seen = 0;
    for (let at = 0; at < buckets; at += 1) {
      seen += this.#counts[at] ?? 0;
      if (seen >= wanted) return Math.min(this.#maxMs, endOf(at) / 1000);
    }
    return this.#maxMs;
  }

  answer(): LatencyAnswer {
    const told: [number, number][] = [];
    let seen = 0;
    let at = 0;
    for (let power = firstTold; power <= lastTold; power += 1) {
      for (; endOf(at) <= 2 ** power; at += 1) seen += this.#counts[at] ?? 0;
      told.push([2 ** power / 1000, seen]);
    }
    return {
      count: this.#count,
      sumMs: this.#sumMs,
      p50Ms: this.#quantile(0.5),
      p90Ms: this.#quantile(0.9),
      p99Ms: this.#quantile(0.99),
      maxMs: this.#maxMs,
      buckets: told,
    };
  }
}

/** What a service that answered nothing yet tells. */
export const noLatency: LatencyAnswer = new Latency().answer();

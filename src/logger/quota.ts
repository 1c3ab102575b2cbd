// How many lines each service may still write: a bucket per service, refilled with time.
// Pure; it must not know what a line says.

interface Bucket {
  tokens: number;
  atMs: number;
  /** Lines dropped since the last one that passed. */
  missed: number;
}

/** Services known at one time; the one longest silent is forgotten. */
const servicesMax = 256;
/** Seconds' worth of lines that may come at once. */
const burstSeconds = 10;

export class Quota {
  readonly #perSecond: number;
  readonly #buckets = new Map<string, Bucket>();
  /** Lines dropped so far. */
  dropped = 0;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Undefined when the line is one too many; else how many were dropped just before it. */
  take(service: string, nowMs: number): number | undefined {
    const full = this.#perSecond * burstSeconds;
    const bucket = this.#buckets.get(service) ?? { tokens: full, atMs: nowMs, missed: 0 };
    this.#buckets.delete(service);
    this.#buckets.set(service, bucket);
    if (this.#buckets.size > servicesMax) {
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest);
        break;
      }
    }
    bucket.tokens = Math.min(
      full,
      bucket.tokens + ((nowMs - bucket.atMs) * this.#perSecond) / 1000,
    );
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) {
      bucket.missed += 1;
      this.dropped += 1;
      return undefined;
    }
    bucket.tokens -= 1;
    const { missed } = bucket;
    bucket.missed = 0;
    return missed;
  }
}

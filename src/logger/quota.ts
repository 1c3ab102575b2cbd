// How many lines each service may still write: a bucket per service, refilled with time, and what
// is to be told of lines that were dropped. Pure; it must not know what a line says.

interface Bucket {
  tokens: number;
  atMs: number;
  /** Lines dropped and not yet told. */
  missed: number;
  /** When the first of them was dropped. */
  sinceMs: number;
}

/** Lines of one service that were dropped. */
export interface Gap {
  readonly service: string;
  readonly lines: number;
  readonly spanMs: number;
}

/** Services known at one time; the one longest silent is forgotten, once its gap is told. */
export const servicesMax = 256;
/** Seconds' worth of lines that may come at once. */
const burstSeconds = 10;
/** A gap is told when it is over, and of one that goes on each time after this long. */
export const gapMs = 5000;
/** A line that passes ends a gap no younger than this. */
const settleMs = 1000;

export class Quota {
  readonly #perSecond: number;
  readonly #buckets = new Map<string, Bucket>();
  /** Gaps nobody has taken yet. */
  #untold: Gap[] = [];
  /** Lines dropped so far. */
  dropped = 0;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Whether the service may write one more line; what it missed before may then be to tell. */
  take(service: string, nowMs: number): boolean {
    const bucket = this.#bucketOf(service, nowMs);
    const full = this.#perSecond * burstSeconds;
    const grown = ((nowMs - bucket.atMs) * this.#perSecond) / 1000;
    bucket.tokens = Math.min(full, bucket.tokens + grown);
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) {
      if (bucket.missed === 0) bucket.sinceMs = nowMs;
      bucket.missed += 1;
      this.dropped += 1;
      return false;
    }
    bucket.tokens -= 1;
    if (bucket.missed > 0 && nowMs - bucket.sinceMs >= settleMs) this.#tell(service, bucket, nowMs);
    return true;
  }

  /** Gaps to tell, each once. @param isEnd whether all are told, young ones too. */
  gaps(nowMs: number, isEnd = false): readonly Gap[] {
    for (const [service, bucket] of this.#buckets) {
      const isDue = isEnd || nowMs - bucket.sinceMs >= gapMs;
      if (bucket.missed > 0 && isDue) this.#tell(service, bucket, nowMs);
    }
    return this.told();
  }

  /** Gaps that ended meanwhile, each once. */
  told(): readonly Gap[] {
    const untold = this.#untold;
    if (untold.length > 0) this.#untold = [];
    return untold;
  }

  /** When a gap is to be told at the latest; Infinity without one. */
  get dueMs(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { missed, sinceMs } of this.#buckets.values()) {
      if (missed > 0) due = Math.min(due, sinceMs + gapMs);
    }
    return due;
  }

  #bucketOf(service: string, nowMs: number): Bucket {
    const known = this.#buckets.get(service);
    if (known !== undefined && this.#newest === service) return known;
    const tokens = this.#perSecond * burstSeconds;
    const bucket = known ?? { tokens, atMs: nowMs, missed: 0, sinceMs: nowMs };
    this.#buckets.delete(service);
    this.#buckets.set(service, bucket);
    this.#newest = service;
    if (this.#buckets.size > servicesMax) {
      for (const [oldest, gone] of this.#buckets) {
        if (gone.missed > 0) this.#tell(oldest, gone, nowMs);
        this.#buckets.delete(oldest);
        break;
      }
    }
    return bucket;
  }
  #newest = "";

  #tell(service: string, bucket: Bucket, nowMs: number): void {
    this.#untold.push({ service, lines: bucket.missed, spanMs: nowMs - bucket.sinceMs });
    bucket.missed = 0;
  }
}

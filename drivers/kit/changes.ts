// Which samples are worth a record: changes of value or quality, and a sign of life now and then.
// Pure. It must not know where records go.
import type { PointValue, Quality, TimedSample } from "./device-plan.ts";

interface Recorded {
  readonly value: PointValue;
  readonly quality: Quality;
  readonly reason: string | undefined;
  readonly atMs: number;
}

/** What has been recorded of each point of a line. */
export class Changes {
  readonly #recordMaxMs: number;
  readonly #recorded = new Map<string, Recorded>();

  /** @param recordMaxMs a good value that does not change is recorded again after this time. */
  constructor(recordMaxMs: number) {
    this.#recordMaxMs = recordMaxMs;
  }

  /**
   * The sample as it should be recorded, or `undefined` when it tells nothing new. A bad sample
   * keeps the last known value and is recorded when the quality changes, never again each poll.
   */
  offer(sample: TimedSample, nowMs: number): TimedSample | undefined {
    const key = keyOf(sample);
    const last = this.#recorded.get(key);
    const value = sample.quality === "good" ? sample.value : (sample.value ?? last?.value ?? null);
    const isSame =
      last !== undefined &&
      last.value === value &&
      last.quality === sample.quality &&
      last.reason === sample.reason;
    const isDue =
      sample.quality === "good" && last !== undefined && nowMs - last.atMs >= this.#recordMaxMs;
    if (isSame && !isDue) return undefined;
    const { quality, reason } = sample;
    this.#recorded.set(key, { value, quality, reason, atMs: nowMs });
    return { ...sample, value };
  }

  /** The next sample of these points is recorded, whatever it is. */
  forget(keys: Iterable<string>): void {
    for (const key of keys) this.#recorded.delete(key);
  }
}

/** Name of a point on its line. */
export function keyOf({ device, point }: { device: string; point: string }): string {
  return `${device}/${point}`;
}

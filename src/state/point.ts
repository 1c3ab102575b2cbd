// What a point is: a value with quality and time under a scope and a key.
// It must not know where points are kept.
import type { ClockSync, Stamp } from "../util/clock.ts";

/** How far a value is to be trusted. */
export type Quality = "good" | "uncertain" | "bad";
/** What a value is; 64-bit integers are decimal texts. */
export type PointType = "bool" | "i64" | "u64" | "f64" | "text" | "json";

/** How far a clock can be trusted, in the order of the numbers they are kept by. */
export const syncs: readonly ClockSync[] = ["none", "rtc", "ntp", "central"];

/** Where a point is, and where a list goes on. */
export interface Place {
  readonly scope: string;
  readonly key: string;
}

/** A change of one point, checked, before it has a place in the log. */
export interface PointChange extends Place {
  readonly value: unknown;
  readonly type?: PointType | undefined;
  readonly unit?: string | undefined;
  readonly quality: Quality;
  readonly reason?: string | undefined;
  readonly time: Stamp;
  /** Milliseconds of running time after which the point goes; it stays when absent. */
  readonly ttlMs?: number | undefined;
  /** Who set it, where that is not who asks. */
  readonly source?: string | undefined;
}

/** A point with its current value. */
export interface Point extends PointChange {
  /** Sequence of its record in the stream `state`. */
  readonly revision: number;
  readonly source: string;
}

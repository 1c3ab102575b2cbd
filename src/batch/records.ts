// The records of the durable streams as they travel upstream.
// It must not know where records are kept or who sends them.
import type { Stamp } from "../util/clock.ts";

/** The durable streams, most urgent first. */
export const streams = ["event", "state", "log", "metric"] as const;
export type Stream = (typeof streams)[number];

export type Quality = "good" | "uncertain" | "bad";

/** One change of a point. Its revision is its sequence. */
export interface PointRecord {
  readonly sequence: number;
  readonly kind: "point";
  /** Index of a `define` earlier in the stream. */
  readonly index: number;
  /** Number, boolean, text, null or JSON; a 64-bit integer is a decimal string. */
  readonly value: unknown;
  readonly quality: Quality;
  readonly reason?: string;
  readonly time: Stamp;
  readonly source?: string;
}

/** Names an index: the dictionary travels in sequence. */
export interface DefineRecord {
  readonly sequence: number;
  readonly kind: "define";
  readonly index: number;
  readonly scope: string;
  readonly key: string;
  readonly type?: string;
  readonly unit?: string;
  readonly profile?: string;
}

/** A point ceased to exist. */
export interface DeleteRecord {
  readonly sequence: number;
  readonly kind: "delete";
  readonly index: number;
  readonly time: Stamp;
  readonly source?: string;
}

/** Something happened; `event` is JSON. */
export interface EventRecord {
  readonly sequence: number;
  readonly kind: "event";
  readonly event: unknown;
  readonly time: Stamp;
  readonly source?: string;
}

/** One log line. */
export interface LineRecord {
  readonly sequence: number;
  readonly kind: "line";
  readonly text: string;
}

/** A correction of times, or a base with all current values: one sequence, a JSON body. */
export interface BodyRecord {
  readonly sequence: number;
  readonly kind: "correction" | "base";
  readonly body: unknown;
}

/** Stands for all sequences from `sequence` to `to`; its body says why and what survives. */
export interface CoverRecord {
  readonly sequence: number;
  readonly kind: "cover";
  readonly to: number;
  readonly body: unknown;
}

export type BatchRecord =
  | PointRecord
  | DefineRecord
  | DeleteRecord
  | EventRecord
  | LineRecord
  | BodyRecord
  | CoverRecord;

/** The last sequence a record stands for. */
export function lastOf(record: BatchRecord): number {
  return record.kind === "cover" ? record.to : record.sequence;
}

// What makes room next, and in which order, where a stream is above its quota or the whole store is
// short of room. Pure; it must not know how room is made.
import { type Stream, streams } from "../journal/journal.ts";

/** A stream as the plan sees it. Sequences are of whole blocks. */
export interface StreamPressure {
  readonly bytes: number;
  /** Of these, covers. */
  readonly coverBytes: number;
  readonly quotaBytes: number;
  /** Sequence of the first record kept. */
  readonly first: number;
  /** Nothing above may change. */
  readonly limit: number;
  /** Up to here all consumers hold the records. */
  readonly acked: number;
  /** Up to here nothing but counts, definitions and last values is left. */
  readonly droppedTo: number;
  /** Up to here aggregates are of the widest span; not below `droppedTo`. Of `state` alone. */
  readonly widenedTo: number;
  /** Up to here points are aggregates; not below `widenedTo`. Of `state` alone. */
  readonly thinnedTo: number;
  /** Running time since the oldest raw block of `state` was written. */
  readonly rawAgeMs: number;
}

export interface Situation {
  readonly streams: Readonly<Record<Stream, StreamPressure>>;
  /** Bytes that the whole store is above the room it should keep to; 0 when it is not. */
  readonly excessBytes: number;
  /** Raw points younger than this are thinned only where they fill half of the quota. */
  readonly thinAfterMs: number;
  /** Whether covers may be written: not in the older format of the database. */
  readonly mayCover: boolean;
}

/** The next thing to do; it should free `bytes`. */
export interface Step {
  readonly kind: "release" | "thin" | "widen" | "drop";
  readonly stream: Stream;
  readonly bytes: number;
}

/** A stream above its quota is brought to this share of it, so that work comes in pieces. */
const targetShare = 0.95;
/** Raw points fill at most this share of the quota of `state` while there are others to thin. */
const rawShare = 0.5;
/** From whom a store that is short of room takes, when nothing is acknowledged or thinnable. */
const dropOrder: readonly Stream[] = ["log", "metric", "state"];

/**
 * The next step, or undefined when there is enough room or nothing more can be done. Acknowledged
 * records go first, whatever their age; then points become aggregates, aggregates wider ones; only
 * then the oldest are dropped. Events are dropped by their own quota alone.
 */
export function plan(situation: Situation): Step | undefined {
  for (const stream of streams) {
    const { bytes, quotaBytes } = situation.streams[stream];
    const over = bytes - quotaBytes;
    if (over <= 0) continue;
    const excess = bytes - quotaBytes * targetShare;
    const step = stepOf(situation, stream, excess) ?? dropOf(situation, stream, excess);
    if (step !== undefined) return step;
  }
  const { excessBytes } = situation;
  if (excessBytes <= 0) return undefined;
  for (const stream of streams) {
    const step = releaseOf(situation, stream, excessBytes);
    if (step !== undefined) return step;
  }
  const thinned = stepOf(situation, "state", excessBytes);
  if (thinned !== undefined) return thinned;
  for (const stream of dropOrder) {
    const step = dropOf(situation, stream, excessBytes);
    if (step !== undefined) return step;
  }
  return undefined;
}

function releaseOf(situation: Situation, stream: Stream, bytes: number): Step | undefined {
  const { first, acked, limit } = situation.streams[stream];
  return first <= Math.min(acked, limit) ? { kind: "release", stream, bytes } : undefined;
}

/** What makes room without dropping. */
function stepOf(situation: Situation, stream: Stream, bytes: number): Step | undefined {
  const release = releaseOf(situation, stream, bytes);
  if (release !== undefined || stream !== "state" || !situation.mayCover) return release;
  const state = situation.streams.state;
  const hasRaw = state.thinnedTo < state.limit;
  const rawBytes = state.bytes - state.coverBytes;
  const isDue = state.rawAgeMs >= situation.thinAfterMs || rawBytes > state.quotaBytes * rawShare;
  if (hasRaw && isDue) return { kind: "thin", stream, bytes };
  const hasNarrow = state.widenedTo < Math.min(state.thinnedTo, state.limit);
  return hasNarrow ? { kind: "widen", stream, bytes } : undefined;
}

function dropOf(situation: Situation, stream: Stream, bytes: number): Step | undefined {
  if (!situation.mayCover) return undefined;
  const { droppedTo, limit, thinnedTo } = situation.streams[stream];
  // Of points the aggregates go before those that are still raw, which are thinned before.
  if (stream === "state" && droppedTo >= Math.min(thinnedTo, limit)) {
    return thinnedTo < limit ? { kind: "thin", stream, bytes } : undefined;
  }
  return droppedTo < limit ? { kind: "drop", stream, bytes } : undefined;
}

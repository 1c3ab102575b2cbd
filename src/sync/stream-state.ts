// One stream on its way up: what was sent, what is acknowledged, when to send again. Pure.
// It must not know the other streams or how anything travels.
import type { StreamPosition } from "./lineage.ts";

/** A batch on its way. */
export interface Flight {
  readonly first: number;
  readonly last: number;
  /** Records, of which a cover stands for many sequences. */
  readonly count: number;
  readonly sentAtMs: number;
  /** Sent before: its time tells nothing. */
  readonly isResent: boolean;
}

export interface StreamState {
  /** First kept and last flushed sequence of the store. */
  first: number;
  head: number;
  /** Everything up to here is committed at the centre, as the store knows. */
  watermark: number;
  /** The next sequence to send. */
  next: number;
  /** The highest sequence that was sent, or that the centre holds. */
  sentTo: number;
  isReading: boolean;
  /** The last read; answers to others are stale. */
  readId: number;
  /** Whether the read under way takes a place of the window. */
  isCounted: boolean;
  /** No read before this time: records wait for companions. */
  readAtMs: number;
  flights: Flight[];
  resendAtMs: number;
  /** Resends without an acknowledgement between. */
  tries: number;
  /** Records in one batch, fewer after a refusal, until `splitTo` is passed. */
  recordsMax: number;
  splitTo: number;
  /** The record that is refused alone, and how often. */
  refused: { sequence: number; count: number } | undefined;
  /** Records refused for good, with the code: covers stand for them. */
  readonly coveredAt: Map<number, string>;
  wantedAtMs: number;
}

/** What all streams share of time: the measured way there and back. */
export interface Pace {
  rttMs: number;
  /** Least wait for an acknowledgement. */
  readonly resendMs: number;
  /** Rewinds because no acknowledgement came. */
  resends: number;
}

const resendMaxMs = 300_000;
const triesMax = 3;
const coveredMax = 1000;

/** A stream as the store knows it; nothing is on its way. */
export function freshStream(
  stood: StreamPosition,
  recordsMax: number,
  coveredAt: Map<number, string> = new Map(),
): StreamState {
  return {
    ...stood,
    next: stood.watermark + 1,
    sentTo: stood.watermark,
    isReading: false,
    readId: 0,
    isCounted: false,
    readAtMs: 0,
    flights: [],
    resendAtMs: Number.POSITIVE_INFINITY,
    tries: 0,
    recordsMax,
    splitTo: 0,
    refused: undefined,
    coveredAt,
    wantedAtMs: Number.NEGATIVE_INFINITY,
  };
}

/** Goes on behind `position`: what follows is read and sent again. */
export function rewind(stream: StreamState, position: number): void {
  stream.flights = [];
  stream.resendAtMs = Number.POSITIVE_INFINITY;
  stream.isReading = false;
  stream.next = position + 1;
  stream.readAtMs = 0;
}

function waitMs(stream: StreamState, pace: Pace): number {
  const wait = Math.max(pace.resendMs, 4 * pace.rttMs) * 2 ** stream.tries;
  return Math.min(resendMaxMs, wait);
}

/** A batch goes out. */
export function launch(
  stream: StreamState,
  span: Pick<Flight, "first" | "last" | "count">,
  clock: { readonly nowMs: number; readonly pace: Pace },
): void {
  const { first, last, count } = span;
  const { nowMs, pace } = clock;
  const isResent = first <= stream.sentTo;
  stream.flights.push({ first, last, count, sentAtMs: nowMs, isResent });
  stream.next = last + 1;
  stream.sentTo = Math.max(stream.sentTo, last);
  stream.resendAtMs = Math.min(stream.resendAtMs, nowMs + waitMs(stream, pace));
}

/** Everything up to `position` has arrived. */
export function acknowledge(
  stream: StreamState,
  at: { readonly position: number; readonly nowMs: number },
  pace: Pace,
): void {
  const { position, nowMs } = at;
  const landed = stream.flights.filter(({ last }) => last <= position);
  const newest = landed.at(-1);
  if (newest !== undefined && !newest.isResent && newest.last === position) {
    const sample = nowMs - newest.sentAtMs;
    pace.rttMs = pace.rttMs === 0 ? sample : pace.rttMs * 0.875 + sample * 0.125;
  }
  stream.flights = stream.flights.filter(({ last }) => last > position);
  stream.tries = 0;
  if (stream.next <= position) rewind(stream, position);
  stream.resendAtMs =
    stream.flights.length === 0 ? Number.POSITIVE_INFINITY : nowMs + waitMs(stream, pace);
}

/** Rule 5: sends again from the watermark when no acknowledgement came in time, backing off. */
export function resendIfDue(stream: StreamState, nowMs: number, pace: Pace): void {
  if (nowMs < stream.resendAtMs) return;
  rewind(stream, stream.watermark);
  stream.tries = Math.min(stream.tries + 1, 16);
  pace.resends += 1;
}

/**
 * Rule 8: a refused batch is split; a record refused alone three times is covered.
 * @returns whether the record is now covered.
 */
export function split(
  stream: StreamState,
  refused: Pick<Flight, "first" | "last" | "count">,
  code: string,
): boolean {
  const { first, last } = refused;
  // A cover may begin before the watermark, where nothing else is kept.
  rewind(stream, Math.max(first - 1, stream.watermark));
  stream.splitTo = Math.max(stream.splitTo, last);
  if (refused.count > 1) {
    stream.recordsMax = Math.max(1, Math.floor(refused.count / 2));
    return false;
  }
  stream.recordsMax = 1;
  const count = stream.refused?.sequence === first ? stream.refused.count + 1 : 1;
  stream.refused = { sequence: first, count };
  const isKnown = stream.coveredAt.has(first) || stream.coveredAt.size >= coveredMax;
  if (count < triesMax || isKnown) return false;
  stream.coveredAt.set(first, code);
  return true;
}

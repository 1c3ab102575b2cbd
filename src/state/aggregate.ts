// What the values of one point in a span of time come to: count, least, most, mean, last.
// Pure; it must not know where values come from or where aggregates are kept.
import type { Quality } from "./points.ts";

/** Widths of aggregates, in milliseconds. */
export const minuteMs = 60_000;
export const quarterMs = 900_000;

/** One value of a point. */
export interface Sample {
  /** When, in milliseconds since 1970. */
  readonly wallMs: number;
  readonly value: unknown;
  readonly quality: Quality;
}

/**
 * The values of one point in one span. Least, most and mean are of numbers whose quality is not
 * bad, and absent without one; `last` is of all.
 */
export interface Aggregate {
  /** Where the span begins, in milliseconds since 1970. */
  startMs: number;
  /** Values of any kind and quality, at least one. */
  count: number;
  /** Values whose quality is bad. */
  bad: number;
  /** Values that least, most and mean speak of; absent for none. */
  numbers?: number;
  min?: number;
  max?: number;
  mean?: number;
  /** The value with the newest time; of several, the one that came last. */
  last: unknown;
  lastMs: number;
  lastQuality: Quality;
}

/** Where the span of a width that holds a moment begins; spans are counted from 1970. */
export function startOf(wallMs: number, widthMs: number): number {
  return Math.floor(wallMs / widthMs) * widthMs;
}

const wholeText = /^(0|-?[1-9]\d{0,19})$/;

/** The number a value is; a 64-bit integer is a text of digits. NaN when it is none. */
export function numberOf(value: unknown): number {
  if (typeof value === "number") return value;
  return typeof value === "string" && value.length <= 20 && wholeText.test(value)
    ? Number(value)
    : Number.NaN;
}

/**
 * Takes one value into an aggregate, which is changed and returned; undefined begins one.
 * @param startMs where the span begins; the value lies in it.
 */
export function fold(
  into: Aggregate | undefined,
  { wallMs, value, quality }: Sample,
  startMs: number,
): Aggregate {
  const aggregate = into ?? {
    startMs,
    count: 0,
    bad: 0,
    last: value,
    lastMs: wallMs,
    lastQuality: quality,
  };
  aggregate.count += 1;
  if (wallMs >= aggregate.lastMs) {
    aggregate.last = value;
    aggregate.lastMs = wallMs;
    aggregate.lastQuality = quality;
  }
  if (quality === "bad") {
    aggregate.bad += 1;
    return aggregate;
  }
  const number = numberOf(value);
  if (Number.isFinite(number)) addNumbers(aggregate, { min: number, max: number, mean: number }, 1);
  return aggregate;
}

interface Numbers {
  readonly min: number;
  readonly max: number;
  readonly mean: number;
}

function addNumbers(into: Aggregate, { min, max, mean }: Numbers, count: number): void {
  const numbers = (into.numbers ?? 0) + count;
  const least = Math.min(into.min ?? min, min);
  const most = Math.max(into.max ?? max, max);
  const before = into.mean ?? mean;
  const share = count / numbers;
  const apart = mean - before;
  // The largest numbers are further apart than a number can say; rounding leaves no bound.
  const middle = Number.isFinite(apart)
    ? before + apart * share
    : before * (1 - share) + mean * share;
  into.min = least;
  into.max = most;
  into.mean = Math.min(most, Math.max(least, middle));
  into.numbers = numbers;
}

/**
 * Takes a later, or later written, aggregate of the same point into another, which is changed and
 * returned; undefined begins one. Spans may differ: the sum begins where `startMs` says.
 */
export function merge(into: Aggregate | undefined, part: Aggregate, startMs: number): Aggregate {
  if (into === undefined) return { ...part, startMs };
  into.startMs = startMs;
  into.count += part.count;
  into.bad += part.bad;
  if (part.lastMs >= into.lastMs) {
    into.last = part.last;
    into.lastMs = part.lastMs;
    into.lastQuality = part.lastQuality;
  }
  const { min, max, mean, numbers } = part;
  if (numbers === undefined || min === undefined || max === undefined) return into;
  addNumbers(into, { min, max, mean: mean ?? min }, numbers);
  return into;
}

/** Aggregates of one point in wider spans, ordered by time: minutes to quarter-hours. */
export function widen(aggregates: Iterable<Aggregate>, widthMs: number): Aggregate[] {
  const wide = new Map<number, Aggregate>();
  for (const part of aggregates) {
    const startMs = startOf(part.startMs, widthMs);
    wide.set(startMs, merge(wide.get(startMs), part, startMs));
  }
  return [...wide.values()].sort((a, b) => a.startMs - b.startMs);
}

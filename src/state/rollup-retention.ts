// Which rollups are next to become coarser or to go: by age in running time, and by their share of
// the room. Pure; it must not know how rows are kept.
import { type Segment, segmentStartMs, widths } from "./segments.ts";

const dayMs = 86_400_000;

export interface RollupLimits {
  /** Running days after which minutes become quarter-hours. */
  readonly minuteDays: number;
  /** Running days after which quarter-hours go. */
  readonly days: number;
  /** The most of the store's room, in percent. */
  readonly percent: number;
  /** What is rolled up is written at least this often, where the log is kept no longer. */
  readonly keepMs?: number;
}

export type RollupStep =
  | { readonly kind: "widen"; readonly day: number; readonly segments: readonly Segment[] }
  | { readonly kind: "remove"; readonly segments: readonly Segment[] };

/** Segments are ordered by time. Undefined when all is well. */
export function nextStep(
  segments: readonly Segment[],
  { runMs, roomBytes }: { readonly runMs: number; readonly roomBytes: number },
  limits: RollupLimits,
): RollupStep | undefined {
  const old = segments.filter(
    (segment) => segment.level === "quarter" && runMs - segment.runMs > limits.days * dayMs,
  );
  if (old.length > 0) return { kind: "remove", segments: old };
  const days = minutesByDay(segments);
  for (const [day, parts] of days) {
    const isOld = parts.every((part) => runMs - part.runMs > limits.minuteDays * dayMs);
    if (isOld) return { kind: "widen", day, segments: parts };
  }
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  if (bytes <= (roomBytes * limits.percent) / 100) return undefined;
  return makeRoom(segments, days);
}

function minutesByDay(segments: readonly Segment[]): Map<number, Segment[]> {
  const days = new Map<number, Segment[]>();
  for (const segment of segments) {
    if (segment.level !== "minute") continue;
    const day = Math.floor(segmentStartMs(segment) / widths.quarter.segmentMs);
    const parts = days.get(day);
    if (parts === undefined) days.set(day, [segment]);
    else parts.push(segment);
  }
  return days;
}

/** The oldest minutes become quarter-hours but for the newest day; else the oldest span goes. */
function makeRoom(
  segments: readonly Segment[],
  days: ReadonlyMap<number, Segment[]>,
): RollupStep | undefined {
  const [oldest] = days;
  if (oldest !== undefined && days.size > 1) {
    return { kind: "widen", day: oldest[0], segments: oldest[1] };
  }
  const first = segments[0];
  if (first === undefined || segments.length < 2) return undefined;
  return { kind: "remove", segments: [first] };
}

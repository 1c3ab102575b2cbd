// Rollups on disk: segments of rows, each of one hour of minutes or one day of quarter-hours, put
// in place or replaced whole, whenever the power goes. It must not know what is rolled up when.
import type { SideTable } from "../journal/journal.ts";
import { type Aggregate, minuteMs, quarterMs } from "./aggregate.ts";
import { hourMs } from "./gathering.ts";
import { decodePoint, decodeRow, encodeRow, type Grid, pointsPerRow } from "./rollup-rows.ts";

/** Minutes by the hour, or quarter-hours by the day. */
export type Level = "minute" | "quarter";

/** Widths of one aggregate and of one segment. */
export const widths = {
  minute: { aggregateMs: minuteMs, segmentMs: hourMs },
  quarter: { aggregateMs: quarterMs, segmentMs: 24 * hourMs },
} as const;
const levels = { minute: 1, quarter: 2 } as const;

/** What is known of a segment, from its head. */
export interface Segment {
  readonly level: Level;
  /** Hours or days since 1970. */
  readonly span: number;
  /** Rises with every writing: several segments of one span are added up. */
  readonly serial: number;
  /** Running time of the store when it was written. */
  readonly runMs: number;
  readonly bytes: number;
  /** The highest row. */
  readonly most: number;
}

/** How far the log is rolled up, and what was begun. */
export interface RollupMark {
  /** Records of `state` up to here are in the segments. */
  readonly position: number;
  /** The serial of the newest segments that are whole. */
  readonly serial: number;
  /** Segments with this serial are not whole. */
  readonly begun?: number;
  /** Minutes of this day with a lower serial than `below` have become quarter-hours. */
  readonly replaced?: { readonly day: number; readonly below: number };
}

/** A row of aggregates, by place. */
export interface RollupRow {
  readonly row: number;
  readonly points: ReadonlyMap<number, readonly Aggregate[]>;
}

const keyBytes = 13;
/** Spans may lie before 1970. */
const spanBias = 2 ** 31;
/** Bytes of rows in one commit: others wait for it. */
const commitBytes = 262_144;
/** The rows of a segment are numbered from 1; 0 is its head. */
const headRow = 0;

/** Where a segment begins, in milliseconds since 1970. */
export function segmentStartMs({ level, span }: Pick<Segment, "level" | "span">): number {
  return span * widths[level].segmentMs;
}

function gridOf(segment: Pick<Segment, "level" | "span">): Grid {
  return { startMs: segmentStartMs(segment), widthMs: widths[segment.level].aggregateMs };
}

function keyOf(level: Level, span: number, serial: number, row: number): Uint8Array {
  const key = Buffer.alloc(keyBytes);
  key[0] = levels[level];
  key.writeUInt32BE(Math.min(2 ** 32 - 1, Math.max(0, span + spanBias)), 1);
  key.writeUInt32BE(serial, 5);
  key.writeUInt32BE(row, 9);
  return key;
}

/** New segments have common room alone; what puts less in the place of more may use `urgent`. */
export type SegmentRoom = "common" | "urgent";

const markKey = Buffer.from([0, 0]);

/** How far the log is rolled up; nowhere at first. @throws PlantError STORE_DAMAGED. */
export function readMark(table: SideTable): RollupMark {
  const bytes = table.get(markKey);
  if (bytes === undefined) return { position: 0, serial: 0 };
  return JSON.parse(Buffer.from(bytes).toString()) as RollupMark;
}

/**
 * Writes the mark, durably. It alone may use the reserve: a few bytes in the place of others, by
 * which segments go where room is short. @throws as `SideTable.write`.
 */
export async function writeMark(table: SideTable, mark: RollupMark): Promise<void> {
  const value = Buffer.from(JSON.stringify(mark));
  await table.write([{ key: markKey, value }], "reserve");
}

/** Heads of all segments by level and span, by seeking from head to head. */
export function* readSegments(table: SideTable): Iterable<Segment> {
  for (const level of ["minute", "quarter"] as const) {
    let from: Uint8Array = Buffer.from([levels[level]]);
    const to = Buffer.from([levels[level] + 1]);
    for (;;) {
      const row = first(table.range({ from, to, limit: 1 }));
      if (row === undefined) break;
      const key = Buffer.from(row.key);
      const span = key.readUInt32BE(1) - spanBias;
      const serial = key.readUInt32BE(5);
      if (key.readUInt32BE(9) === headRow) {
        const { runMs, bytes, most } = JSON.parse(Buffer.from(row.value).toString()) as Segment;
        yield { level, span, serial, runMs, bytes, most };
      }
      from = keyOf(level, span, serial + 1, headRow);
    }
  }
}

function first<T>(rows: Iterable<T>): T | undefined {
  for (const row of rows) return row;
  return undefined;
}

/** Aggregates of one point in a segment. @throws PlantError STORE_DAMAGED. */
export function readAggregates(table: SideTable, segment: Segment, index: number): Aggregate[] {
  const row = Math.floor(index / pointsPerRow);
  if (row > segment.most) return [];
  const bytes = table.get(keyOf(segment.level, segment.span, segment.serial, row + 1));
  return bytes === undefined ? [] : decodePoint(bytes, index % pointsPerRow, gridOf(segment));
}

/** All aggregates of one row of a segment, by place. @throws PlantError STORE_DAMAGED. */
export function readRow(table: SideTable, segment: Segment, row: number): Map<number, Aggregate[]> {
  const bytes = table.get(keyOf(segment.level, segment.span, segment.serial, row + 1));
  return bytes === undefined ? new Map() : decodeRow(bytes, gridOf(segment));
}

/**
 * Writes the rows of a segment, its head first, so that what is not whole can be found again.
 * @param how `pause` lets others run, awaited between rows; `room` is what the rows may fill.
 */
export async function writeSegment(
  table: SideTable,
  { level, span, serial, runMs }: Omit<Segment, "bytes" | "most">,
  rows: Iterable<RollupRow>,
  { pause, room }: { readonly pause: () => Promise<void> | undefined; readonly room: SegmentRoom },
): Promise<Segment> {
  const headOf = (bytes: number, most: number) => ({
    key: keyOf(level, span, serial, headRow),
    value: Buffer.from(JSON.stringify({ runMs, bytes, most })),
  });
  let waiting: { key: Uint8Array; value: Uint8Array }[] = [headOf(0, 0)];
  let weight = 0;
  let bytes = 0;
  let most = 0;
  for (const { row, points } of rows) {
    await pause();
    const value = encodeRow(points, gridOf({ level, span }));
    waiting.push({ key: keyOf(level, span, serial, row + 1), value });
    bytes += value.length + 48;
    weight += value.length;
    most = Math.max(most, row);
    if (weight < commitBytes) continue;
    await table.write(waiting, room);
    waiting = [];
    weight = 0;
  }
  await table.write([...waiting, headOf(bytes, most)], room);
  return { level, span, serial, runMs, bytes, most };
}

/** Removes a segment, its head last, so that what is left of it can be found again. */
export async function removeSegment(
  table: SideTable,
  { level, span, serial }: Pick<Segment, "level" | "span" | "serial">,
): Promise<void> {
  const to = keyOf(level, span, serial + 1, headRow);
  for (;;) {
    const from = keyOf(level, span, serial, headRow + 1);
    const keys: Uint8Array[] = [];
    for (const { key } of table.range({ from, to, limit: 64 })) keys.push(key);
    if (keys.length === 0) break;
    await table.write(keys.map((key) => ({ key, value: undefined })));
  }
  await table.write([{ key: keyOf(level, span, serial, headRow), value: undefined }]);
}

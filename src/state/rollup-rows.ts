// The bytes of aggregates as rollups keep them: one row for 16 points and an hour or a day, from
// which one point is read without the others. Pure; it must not know where rows are kept.
import { PlantError } from "../util/errors.ts";
import type { Aggregate } from "./aggregate.ts";
import { FieldReader, FieldWriter } from "./rollup-fields.ts";

/** Points in one row: neighbours by index. */
export const pointsPerRow = 16;
/** Texts and JSON values above this many bytes are not kept as the last value. */
const lastBytesMax = 128;
const version = 1;
const placesMax = 6;
/** A mean is kept to this part of the last place of its values. */
const meanParts = 1000;
const mantissaMax = 2 ** 52 / meanParts;

/** What is written of the aggregates of a point; each bit adds columns. */
const flags = { kinds: 1, bad: 2, qualities: 4, counts: 8, doubles: 16 } as const;
/** Bits of the kind of an aggregate: numbers were in it, and its last value is one. */
const kinds = { numbers: 1, last: 2 } as const;
const qualities = ["good", "uncertain", "bad"] as const;

/** How the spans of a row lie: `startMs` of the first, and the width of each. */
export interface Grid {
  readonly startMs: number;
  readonly widthMs: number;
}

/**
 * The row of neighbours.
 * @param points aggregates ordered by time, one for each span, by place within the row.
 */
export function encodeRow(
  points: ReadonlyMap<number, readonly Aggregate[]>,
  grid: Grid,
): Uint8Array {
  const row = new FieldWriter();
  row.byte(version);
  row.byte(points.size);
  const bodies: Uint8Array[] = [];
  for (const [place, aggregates] of points) {
    const body = encodePoint(aggregates, grid);
    row.byte(place);
    row.whole(body.length);
    bodies.push(body);
  }
  for (const body of bodies) row.bytes(body);
  return row.taken();
}

/**
 * The aggregates of one point of a row; none when it has none.
 * @throws PlantError STORE_DAMAGED.
 */
export function decodePoint(row: Uint8Array, place: number, grid: Grid): Aggregate[] {
  const reader = new FieldReader(row);
  const count = head(reader);
  let before = 0;
  let found: { at: number; length: number } | undefined;
  for (let item = 0; item < count; item += 1) {
    const isIt = reader.byte() === place;
    const length = reader.whole();
    if (isIt) found = { at: before, length };
    before += length;
  }
  if (found === undefined) return [];
  reader.skip(found.at);
  return readPoint(reader, grid);
}

/** The aggregates of all points of a row, by place. @throws PlantError STORE_DAMAGED. */
export function decodeRow(row: Uint8Array, grid: Grid): Map<number, Aggregate[]> {
  const reader = new FieldReader(row);
  const places: number[] = [];
  const count = head(reader);
  for (let item = 0; item < count; item += 1) {
    places.push(reader.byte());
    reader.whole();
  }
  return new Map(places.map((place) => [place, readPoint(reader, grid)]));
}

function head(reader: FieldReader): number {
  const found = reader.byte();
  if (found > version) throw new PlantError("STORE_FORMAT_NEWER", { found, known: version });
  return reader.byte();
}

function encodePoint(aggregates: readonly Aggregate[], { startMs, widthMs }: Grid): Uint8Array {
  const writer = new FieldWriter();
  const all = aggregates.map(kindOf);
  const places = placesOf(aggregates);
  const bits = flagsOf(aggregates, all) | (places === undefined ? flags.doubles : 0);
  writer.byte(bits);
  writer.byte(places ?? 0);
  writer.whole(aggregates.length);
  let before = 0;
  let lastBefore = 0;
  for (const [at, aggregate] of aggregates.entries()) {
    const span = Math.round((aggregate.startMs - startMs) / widthMs);
    writer.whole(span - before);
    before = span;
    const offset = Math.round(aggregate.lastMs) - aggregate.startMs;
    writer.signed(offset - lastBefore);
    lastBefore = offset;
    if (bits & flags.kinds) writer.byte(all[at] ?? 0);
    if (bits & flags.qualities) writer.byte(qualities.indexOf(aggregate.lastQuality));
    if (bits & flags.counts) writer.whole(aggregate.count);
    if (bits & flags.bad) {
      writer.whole(aggregate.bad);
      writer.whole(aggregate.numbers ?? 0);
    }
  }
  if (places === undefined) writeDoubles(writer, aggregates);
  else writeDecimals(writer, aggregates, 10 ** places);
  for (const [at, { last }] of aggregates.entries()) {
    if (!((all[at] ?? 0) & kinds.last)) writer.text(textOf(last));
  }
  return writer.taken();
}

function flagsOf(aggregates: readonly Aggregate[], all: readonly number[]): number {
  let bits = 0;
  for (const [at, { count, bad, numbers, lastQuality }] of aggregates.entries()) {
    if (all[at] !== (kinds.numbers | kinds.last)) bits |= flags.kinds;
    if (bad > 0 || numbers !== count) bits |= flags.bad;
    if (lastQuality !== "good") bits |= flags.qualities;
    if (count !== 1) bits |= flags.counts;
  }
  return bits;
}

function kindOf({ numbers, last }: Aggregate): number {
  return (numbers === undefined ? 0 : kinds.numbers) | (typeof last === "number" ? kinds.last : 0);
}

function textOf(last: unknown): string {
  const text = last === undefined ? "" : JSON.stringify(last);
  return Buffer.byteLength(text) > lastBytesMax ? "" : text;
}

/** The least places with which all numbers but the means are decimals; undefined for none. */
function placesOf(aggregates: readonly Aggregate[]): number | undefined {
  let places = 0;
  for (const { min, max, last } of aggregates) {
    for (const number of [min, max, last]) {
      if (typeof number !== "number") continue;
      while (!isDecimal(number, places)) {
        places += 1;
        if (places > placesMax) return undefined;
      }
    }
  }
  const isSmall = (number: unknown) =>
    typeof number !== "number" || Math.abs(number) * 10 ** places < mantissaMax;
  return aggregates.every(({ min, max, last }) => isSmall(min) && isSmall(max) && isSmall(last))
    ? places
    : undefined;
}

function isDecimal(number: number, places: number): boolean {
  const scale = 10 ** places;
  return Math.round(number * scale) / scale === number && !Object.is(number, -0);
}

/** Whether the last value stands beside least and most: of one value they are all the same. */
function hasOwnLast({ count, numbers, last }: Aggregate): boolean {
  return typeof last === "number" && (count > 1 || numbers === undefined);
}

/** Least, most, mean and last; where one value was counted, it alone. */
function writeDoubles(writer: FieldWriter, aggregates: readonly Aggregate[]): void {
  for (const aggregate of aggregates) {
    const { count, numbers, min = 0, max = 0, mean = 0, last } = aggregate;
    if (numbers !== undefined) writer.double(min);
    if (numbers !== undefined && count > 1) {
      writer.double(max);
      writer.double(mean);
    }
    if (hasOwnLast(aggregate)) writer.double(Number(last));
  }
}

function writeDecimals(writer: FieldWriter, aggregates: readonly Aggregate[], scale: number): void {
  let before = 0;
  for (const aggregate of aggregates) {
    const { count, numbers, min = 0, max = 0, mean = 0, last } = aggregate;
    if (numbers !== undefined) {
      const least = Math.round(min * scale);
      writer.signed(least - before);
      before = least;
      if (count > 1) {
        writer.whole(Math.round(max * scale) - least);
        writer.whole(Math.max(0, Math.round((mean * scale - least) * meanParts)));
      }
    }
    if (hasOwnLast(aggregate)) writer.signed(Math.round(Number(last) * scale) - before);
  }
}

function readPoint(reader: FieldReader, { startMs, widthMs }: Grid): Aggregate[] {
  const bits = reader.byte();
  const places = reader.byte();
  const count = reader.whole();
  if (count > reader.left) throw new PlantError("STORE_DAMAGED", { reason: "a short rollup" });
  const aggregates: Aggregate[] = [];
  const all: number[] = [];
  let span = 0;
  let offset = 0;
  for (let at = 0; at < count; at += 1) {
    span += reader.whole();
    offset += reader.signed();
    const kind = bits & flags.kinds ? reader.byte() : kinds.numbers | kinds.last;
    const quality = bits & flags.qualities ? reader.byte() : 0;
    const counted = bits & flags.counts ? reader.whole() : 1;
    const bad = bits & flags.bad ? reader.whole() : 0;
    const numbers = bits & flags.bad ? reader.whole() : counted;
    const from = startMs + span * widthMs;
    const aggregate: Aggregate = {
      startMs: from,
      count: counted,
      bad,
      last: null,
      lastMs: from + offset,
      lastQuality: qualities[quality] ?? "bad",
    };
    if (kind & kinds.numbers) aggregate.numbers = numbers;
    aggregates.push(aggregate);
    all.push(kind);
  }
  if (bits & flags.doubles) readDoubles(reader, aggregates, all);
  else readDecimals(reader, { aggregates, all, scale: 10 ** places });
  for (const [at, aggregate] of aggregates.entries()) {
    if ((all[at] ?? 0) & kinds.last) continue;
    const text = reader.text();
    aggregate.last = text === "" ? undefined : JSON.parse(text);
  }
  return aggregates;
}

function readDoubles(reader: FieldReader, aggregates: Aggregate[], all: readonly number[]): void {
  for (const [at, aggregate] of aggregates.entries()) {
    const { count, numbers } = aggregate;
    if (numbers !== undefined) {
      const min = reader.double();
      aggregate.min = min;
      aggregate.max = count > 1 ? reader.double() : min;
      aggregate.mean = count > 1 ? reader.double() : min;
    }
    if (!((all[at] ?? 0) & kinds.last)) continue;
    const isOwn = count > 1 || numbers === undefined;
    aggregate.last = isOwn ? reader.double() : aggregate.min;
  }
}

function readDecimals(
  reader: FieldReader,
  { aggregates, all, scale }: { aggregates: Aggregate[]; all: readonly number[]; scale: number },
): void {
  let before = 0;
  for (const [at, aggregate] of aggregates.entries()) {
    const { count, numbers } = aggregate;
    if (numbers !== undefined) {
      before += reader.signed();
      const min = before / scale;
      const max = count > 1 ? (before + reader.whole()) / scale : min;
      const mean = count > 1 ? (before + reader.whole() / meanParts) / scale : min;
      aggregate.min = min;
      aggregate.max = max;
      aggregate.mean = Math.min(max, mean);
    }
    if (!((all[at] ?? 0) & kinds.last)) continue;
    const isOwn = count > 1 || numbers === undefined;
    aggregate.last = isOwn ? (before + reader.signed()) / scale : aggregate.min;
  }
}

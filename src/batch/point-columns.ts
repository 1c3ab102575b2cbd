// Points in columns: written and read so, and what history and rollups read without an object each.
// It must not know where they are kept.
import type { Stamp } from "../util/clock.ts";
import type { ByteReader, ByteWriter } from "./bytes.ts";
import {
  type ClockName,
  type Indices,
  type QualityColumns,
  qualities,
  type Run,
  readIndices,
  readQualities,
  readReferences,
  readStamps,
  StampReader,
  type Stamps,
  Texts,
  type TextTable,
  writeIndices,
  writeQualities,
  writeSources,
  writeStamps,
} from "./columns.ts";
import type { BatchRecord, PointRecord } from "./records.ts";
import { readValues, writeValues } from "./values.ts";

/** Points of a run of records, one place in each column per point. */
export interface PointColumns {
  readonly count: number;
  /** Sequences, less that of the first record. */
  readonly offsets: Uint32Array;
  readonly index: Uint32Array;
  /** Wall clock in milliseconds since 1970. */
  readonly wall: Float64Array;
  /** Milliseconds since its boot. */
  readonly mono: Float64Array;
  /** Places in `clocks`. */
  readonly clock: Uint32Array;
  readonly clocks: readonly ClockName[];
  /** Places in `qualityNames`. */
  readonly quality: Uint8Array;
  readonly values: readonly unknown[];
}

const indexMax = 2 ** 32 - 1;

/** Names of the numbers in the column `quality`. */
export const qualityNames = qualities;

/** One section of points as it is read. */
export interface PointSection extends Stamps, QualityColumns {
  /** Sequence of the first of them. */
  readonly first: number;
  readonly indices: Indices;
  /** References of their sources, 0 where there is none. */
  readonly source: Uint32Array;
  readonly values: readonly unknown[];
  readonly texts: Texts;
}

export function writePoints(writer: ByteWriter, run: Run<PointRecord>, texts: TextTable): void {
  const indices = writeIndices(writer, run);
  writeStamps(writer, run, texts);
  writeSources(writer, run, texts);
  writeQualities(writer, run, texts);
  writeValues(writer, { indices, items: run.items, from: run.from }, texts);
}

/** Reads a section with its texts. @throws PlantError BATCH_MALFORMED. */
export function readPointSection(reader: ByteReader, first: number, count: number): PointSection {
  const texts = new Texts(reader);
  const indices = readIndices(reader, count);
  const stamps = readStamps(reader, count, texts);
  const source = readReferences(reader, count, texts);
  const { quality, reason } = readQualities(reader, count, texts);
  const values = readValues(reader, indices, texts);
  return { first, indices, ...stamps, source, quality, reason, values, texts };
}

/** The records of a section. */
export function pushPoints(records: BatchRecord[], section: PointSection): void {
  const { first, indices, source, quality, reason, values, texts } = section;
  const stamps = new StampReader(section);
  for (let at = 0; at < values.length; at += 1) {
    const sequence = first + at;
    const index = indices.all[at] ?? 0;
    const value = values[at];
    const name = qualities[quality[at] ?? 0] ?? "bad";
    const time = stamps.at(at);
    const by = texts.at(source[at] ?? 0);
    const why = texts.at(reason[at] ?? 0);
    const kind = "point";
    if (why !== undefined) {
      const said = { sequence, kind, index, value, quality: name, reason: why, time } as const;
      records.push(by === undefined ? said : { ...said, source: by });
    } else if (by !== undefined) {
      records.push({ sequence, kind, index, value, quality: name, time, source: by });
    } else {
      records.push({ sequence, kind, index, value, quality: name, time });
    }
  }
}

/** The points of sections together; undefined without any. @param first of all records. */
export function joinSections(
  sections: readonly PointSection[],
  first: number,
): PointColumns | undefined {
  const count = sections.reduce((sum, { values }) => sum + values.length, 0);
  const [only] = sections;
  if (only === undefined) return undefined;
  const offsets = new Uint32Array(count);
  const index = new Uint32Array(count);
  let from = 0;
  for (const { first: start, indices } of sections) {
    index.set(indices.all, from);
    for (let at = 0; at < indices.all.length; at += 1) offsets[from + at] = start - first + at;
    from += indices.all.length;
  }
  if (sections.length === 1) {
    const { wall, mono, clock, clocks, quality, values } = only;
    return { count, offsets, index, wall, mono, clock, clocks, quality, values };
  }
  return { count, offsets, index, ...joinColumns(sections, count) };
}

function joinColumns(
  sections: readonly PointSection[],
  count: number,
): Omit<PointColumns, "count" | "offsets" | "index"> {
  const wall = new Float64Array(count);
  const mono = new Float64Array(count);
  const clock = new Uint32Array(count);
  const clocks: ClockName[] = [];
  const quality = new Uint8Array(count);
  const values: unknown[] = [];
  for (const section of sections) {
    const from = values.length;
    wall.set(section.wall, from);
    mono.set(section.mono, from);
    quality.set(section.quality, from);
    const places = section.clocks.map(({ boot, sync }) => {
      const known = clocks.findIndex((other) => other.boot === boot && other.sync === sync);
      return known >= 0 ? known : clocks.push({ boot, sync }) - 1;
    });
    for (const [at, place] of section.clock.entries()) clock[from + at] = places[place] ?? 0;
    for (const value of section.values) values.push(value);
  }
  return { wall, mono, clock, clocks, quality, values };
}

/** Whether a record that was not kept in columns has what columns hold. */
function isWhole(record: BatchRecord): record is PointRecord {
  if (record.kind !== "point" || !(record.index >= 0 && record.index <= indexMax)) return false;
  const time: Partial<Stamp> | null | undefined = record.time;
  const isTimed = typeof time?.wall === "number" && typeof time.mono === "number";
  return isTimed && typeof time.boot === "string" && record.value !== undefined;
}

/**
 * The points among records that were not kept in columns; undefined if none. Those that lack a
 * place, a value or a time are none.
 */
export function pointColumns(
  records: readonly BatchRecord[],
  first: number,
): PointColumns | undefined {
  const points = records.filter(isWhole);
  if (points.length === 0) return undefined;
  const clocks: ClockName[] = [];
  const clock = points.map(({ time: { boot, sync } }) => {
    const known = clocks.findIndex((other) => other.boot === boot && other.sync === sync);
    return known >= 0 ? known : clocks.push({ boot, sync }) - 1;
  });
  return {
    count: points.length,
    offsets: Uint32Array.from(points, ({ sequence }) => sequence - first),
    index: Uint32Array.from(points, ({ index }) => index),
    wall: Float64Array.from(points, ({ time }) => time.wall),
    mono: Float64Array.from(points, ({ time }) => time.mono),
    clock: Uint32Array.from(clock),
    clocks,
    quality: Uint8Array.from(points, ({ quality }) => Math.max(0, qualities.indexOf(quality))),
    values: points.map(({ value }) => value),
  };
}

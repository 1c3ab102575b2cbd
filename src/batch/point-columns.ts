// Points in columns: what history and rollups read, without an object for each.
// It must not know where they were kept.
import type { ClockSync } from "../util/clock.ts";
import { qualities } from "./columns.ts";
import type { BatchRecord } from "./records.ts";

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
  readonly clocks: readonly { readonly boot: string; readonly sync: ClockSync }[];
  /** Places in `qualityNames`. */
  readonly quality: Uint8Array;
  readonly values: readonly unknown[];
}

/** Names of the numbers in the column `quality`. */
export const qualityNames = qualities;

/** The points among records, the first of which has the sequence `first`; undefined if none. */
export function pointColumns(
  records: readonly BatchRecord[],
  first: number,
): PointColumns | undefined {
  const points = records.filter((record) => record.kind === "point");
  if (points.length === 0) return undefined;
  const count = points.length;
  const clocks: { boot: string; sync: ClockSync }[] = [];
  const columns = {
    count,
    offsets: new Uint32Array(count),
    index: new Uint32Array(count),
    wall: new Float64Array(count),
    mono: new Float64Array(count),
    clock: new Uint32Array(count),
    clocks,
    quality: new Uint8Array(count),
    values: points.map(({ value }) => value),
  };
  for (const [at, { sequence, index, time, quality }] of points.entries()) {
    const { wall, mono, boot, sync } = time;
    columns.offsets[at] = sequence - first;
    columns.index[at] = index;
    columns.wall[at] = wall;
    columns.mono[at] = mono;
    columns.quality[at] = Math.max(0, qualities.indexOf(quality));
    let clock = clocks.findIndex((known) => known.boot === boot && known.sync === sync);
    if (clock < 0) clock = clocks.push({ boot, sync }) - 1;
    columns.clock[at] = clock;
  }
  return columns;
}

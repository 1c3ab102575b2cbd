// The values of a block of the log with their corrected times, in columns.
// It must not know who reads them.
import { type Block, blockOthers, blockPoints, type NumberedRecord } from "../journal/journal.ts";
import { type Corrections, correctedWall } from "./time-correction.ts";

/** Values of one block; columns of the same length. */
export interface BlockValues {
  readonly count: number;
  readonly sequences: Float64Array;
  readonly index: Uint32Array;
  /** Corrected, in milliseconds since 1970. */
  readonly wall: Float64Array;
  /** Places in good, uncertain, bad. */
  readonly quality: Uint8Array;
  readonly values: readonly unknown[];
  /** Some of their times may yet be corrected. */
  readonly waits: boolean;
}

const none = {
  count: 0,
  sequences: new Float64Array(0),
  index: new Uint32Array(0),
  wall: new Float64Array(0),
  quality: new Uint8Array(0),
  values: [],
  waits: false,
};

/** @throws PlantError STORE_DAMAGED, STORE_FORMAT_NEWER. */
export function blockValues({ head, bytes }: Block, corrections: Corrections): BlockValues {
  const points = blockPoints(bytes);
  if (points === undefined) return none;
  const { count, index, quality, values, clocks, clock, mono, offsets } = points;
  const wall = points.wall.slice();
  const sequences = new Float64Array(count);
  for (let at = 0; at < count; at += 1) sequences[at] = head.first + (offsets[at] ?? 0);
  let waits = false;
  for (const [place, { boot, sync }] of clocks.entries()) {
    const isParted = corrections.parts(boot, head.first, head.last);
    const whole = corrections.fate(boot, sync, head.first);
    if (!isParted) waits ||= whole.waits;
    if (!isParted && whole.offsetMs === undefined) continue;
    for (let at = 0; at < count; at += 1) {
      if (clock[at] !== place) continue;
      const fate = isParted ? corrections.fate(boot, sync, sequences[at] ?? 0) : whole;
      waits ||= fate.waits;
      wall[at] = correctedWall(wall[at] ?? 0, mono[at] ?? 0, fate.offsetMs);
    }
  }
  return { count, sequences, index, wall, quality, values, waits };
}

/** Records of a block that are no points; none where the columns say that there are none. */
export function otherRecords({ head, bytes }: Block, points: number): readonly NumberedRecord[] {
  if (points === head.count) return [];
  return blockOthers(bytes);
}

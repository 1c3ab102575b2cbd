// A new database from what can be read of a damaged one: rows with sound checksums, and covers in
// the places of the records that are gone. It must not know files or processes.
import type { Disk, Write } from "../disk/disk.ts";
import { PlantError } from "../util/errors.ts";
import { encodeBlock } from "./block.ts";
import { soundBlock } from "./check.ts";
import { type Format, type Stream, streams } from "./head.ts";
import { isSealed, openRow, SealedDisk } from "./sealed-disk.ts";
import * as tables from "./tables.ts";

/** A row as it was found. */
export interface Found {
  readonly table: string;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Records that are gone, and stand as a cover now. */
export interface Hole {
  readonly stream: Stream;
  readonly from: number;
  readonly to: number;
}

export interface Salvaged {
  readonly heads: Readonly<Record<Stream, number>>;
  /** The first sequence that is there, or stands as a cover; after the head when none is. */
  readonly firsts: Readonly<Record<Stream, number>>;
  readonly holes: readonly Hole[];
  /** Rows whose checksums do not fit, by table. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** Where a block stands. */
interface Span {
  readonly first: number;
  readonly last: number;
}

const rowsPerCommit = 500;
const bytesPerCommit = 8 * 1_048_576;

/**
 * Writes the sound ones of `rows` into an empty database and mends what they leave open.
 * @param known last sequences the damaged one had at least.
 * @throws PlantError STORE_DAMAGED when what is left makes no database; STORE_FULL.
 */
export async function salvage(
  rows: Iterable<Found>,
  raw: Disk,
  known: Readonly<Partial<Record<Stream, number>>>,
): Promise<Salvaged> {
  const dropped: Record<string, number> = {};
  let format: Format = 1;
  const spans = tables.forStreams((): Span[] => []);
  let writes: Write[] = [];
  let bytes = 0;
  const flush = async () => {
    if (writes.length > 0) await raw.commit(writes, "reserve");
    writes = [];
    bytes = 0;
  };
  for (const row of rows) {
    const { table, key, value } = row;
    // The format is told by the rows: the one that says it has no checksum.
    if (table === tables.metaTable && Buffer.compare(key, tables.formatKey) === 0) continue;
    if (table === tables.metaTable && isSealed(value)) format = 2;
    if (!isSound(row, spans)) {
      dropped[table] = (dropped[table] ?? 0) + 1;
      continue;
    }
    writes.push({ table, key, value });
    bytes += key.length + value.length;
    if (writes.length >= rowsPerCommit || bytes > bytesPerCommit) await flush();
  }
  writes.push(tables.formatWrite(format));
  await flush();
  const disk = new SealedDisk(raw, format);
  const lineage = tables.readLineage(disk);
  if (lineage.length === 0) throw damaged("it has no epoch");
  const isUntrimmed = format === 2 && dropped[tables.metaTable] === undefined;
  const wanted = wantedSpans(disk, { lineage, isUntrimmed }, known);
  const holes = streams.flatMap((stream) => holesIn(stream, spans[stream], wanted[stream]));
  await cover(disk, format, { lineage, holes });
  const { heads } = tables.readHeads(disk, lineage.at(-1));
  const firsts = tables.forStreams((stream) =>
    Math.min(
      heads[stream] + 1,
      ...spans[stream].map(({ first }) => first),
      ...holes.filter((hole) => hole.stream === stream).map(({ from }) => from),
    ),
  );
  return { heads, firsts, holes, dropped };
}

/** Whether a row's own checksum fits; notes where blocks stand. */
function isSound({ table, key, value }: Found, spans: Record<Stream, Span[]>): boolean {
  try {
    if (table === tables.logTable) {
      const { stream, first, last } = soundBlock(key, value);
      spans[stream].push({ first, last });
    } else if (isSealed(value)) openRow({ table, key, value });
    else JSON.parse(Buffer.from(value).toString());
    return true;
  } catch (error) {
    if (error instanceof PlantError || error instanceof SyntaxError) return false;
    throw error;
  }
}

/**
 * What each stream must hold: from where it is known to have begun, or after its lowest watermark,
 * to where it is known to have been.
 * @param isUntrimmed whether a store without a row of sizes is one that nothing was trimmed of.
 */
function wantedSpans(
  disk: Disk,
  { lineage, isUntrimmed }: { lineage: readonly tables.EpochEntry[]; isUntrimmed: boolean },
  known: Readonly<Partial<Record<Stream, number>>>,
): Record<Stream, Span> {
  const marks = [...tables.readMarks(disk).values()];
  const { sequence } = tables.readCheckpoint(disk);
  const sizes = tables.readSizes(disk);
  return tables.forStreams((stream) => {
    const cut = lineage.at(-1)?.cuts[stream] ?? 0;
    const said = stream === "state" ? sequence : 0;
    const held = marks.map((mark) => mark[stream]).filter((mark) => mark !== tables.unheld);
    const acknowledged = Math.max(0, ...held);
    const root = isUntrimmed ? (lineage[0]?.cuts[stream] ?? 0) + 1 : Number.POSITIVE_INFINITY;
    const began = sizes?.[stream].first ?? root;
    return {
      first: Math.min(began, ...held.map((mark) => mark + 1)),
      last: Math.max(known[stream] ?? 0, cut, said, acknowledged),
    };
  });
}

/** The sequences between, before and after the blocks that are wanted and not there. */
function holesIn(stream: Stream, spans: readonly Span[], wanted: Span): Hole[] {
  const holes: Hole[] = [];
  const sorted = spans.toSorted((a, b) => a.first - b.first);
  let next = Math.min(wanted.first, sorted[0]?.first ?? wanted.last + 1);
  for (const { first, last } of sorted) {
    if (first > next) holes.push({ stream, from: next, to: first - 1 });
    next = Math.max(next, last + 1);
  }
  if (wanted.last >= next) holes.push({ stream, from: next, to: wanted.last });
  return holes;
}

/** Puts a cover into each hole, one for each epoch it goes through. */
async function cover(
  disk: Disk,
  format: Format,
  { lineage, holes }: { lineage: readonly tables.EpochEntry[]; holes: readonly Hole[] },
): Promise<void> {
  if (holes.length === 0) return;
  if (format === 1) throw damaged("its format has no covers for what is missing");
  const writes: Write[] = [];
  for (const { stream, from, to } of holes) {
    for (const [at, { epoch, cuts }] of lineage.entries()) {
      const start = at === 0 ? from : Math.max(from, cuts[stream] + 1);
      const end = Math.min(to, lineage[at + 1]?.cuts[stream] ?? to);
      if (start > end) continue;
      const body = { reason: "corrupt", count: end - start + 1 };
      const record = { kind: "cover", to: end, body };
      const value = encodeBlock({ stream, epoch, first: start, wallMs: 0, runMs: 0 }, [record]);
      writes.push({ table: tables.logTable, key: tables.blockKey(stream, start), value });
    }
  }
  for (let at = 0; at < writes.length; at += rowsPerCommit) {
    await disk.commit(writes.slice(at, at + rowsPerCommit), "reserve");
  }
}

function damaged(reason: string): PlantError {
  return new PlantError("STORE_DAMAGED", { reason });
}

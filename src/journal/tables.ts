// The tables of the journal and their rows: format, lineage, marks, sources, checkpoint.
// It must not know when they are written.
import type { Disk, Write } from "../disk/disk.ts";
import { PlantError } from "../util/errors.ts";
import { checkedHead } from "./block.ts";
import { type Format, type Stream, streams } from "./head.ts";
import { decodeSource, encodeSource, type SourceState } from "./source.ts";

/** The newest layout of the tables. */
export const newestFormat: Format = 2;
/** Tables by what is in them; docs/reference/state.md has their keys and bytes. */
export const metaTable = "meta";
export const logTable = "log";
export const sourceTable = "source";
export const pointTable = "point";
/** Tables whose rows another format has otherwise, and that nobody else rewrites. */
export const rewrittenTables: readonly string[] = [metaTable, sourceTable];
/** Tables of derived rows, by the names their owners know. */
export const sideTables = ["rollup", "boot", "wear"] as const;
export type SideName = (typeof sideTables)[number];
/** All tables but that of pages, which has none without what is in the others. */
export const everyTable: readonly string[] = [
  metaTable,
  logTable,
  sourceTable,
  pointTable,
  ...sideTables,
];
const sequenceMax = 2 ** 53;

/** One opening of the store for writing. */
export interface EpochEntry {
  /** 32 hexadecimal digits. */
  readonly epoch: string;
  /** The epoch before; null for the first of a store. */
  readonly parent: string | null;
  /** The last sequence of each stream when it opened: the cut of its parent. */
  readonly cuts: Readonly<Record<Stream, number>>;
}

/** How far the rows of the checkpoint reach. */
export interface CheckpointMark {
  /** Records of `state` above this one are applied on top of the rows. */
  readonly sequence: number;
  /** The first index never used. */
  readonly nextIndex: number;
}

/** A record with a value for each stream. */
export function forStreams<T>(make: (stream: Stream) => T): Record<Stream, T> {
  return { state: make("state"), event: make("event"), log: make("log"), metric: make("metric") };
}

function textKey(text: string): Uint8Array {
  return Buffer.from(text);
}

/** Key of the block of `stream` that begins at `first`. */
export function blockKey(stream: Stream, first: number): Uint8Array {
  const key = Buffer.alloc(9);
  key[0] = streams.indexOf(stream);
  key.writeBigUInt64BE(BigInt(Math.min(Math.max(first, 0), sequenceMax)), 1);
  return key;
}

/** The first sequence of the block with this key. */
export function firstOfKey(key: Uint8Array): number {
  return Number(Buffer.from(key.buffer, key.byteOffset, key.byteLength).readBigUInt64BE(1));
}

/** Keys between which all blocks of a stream lie. */
export function blockBounds(stream: Stream): { from: Uint8Array; to: Uint8Array } {
  const from = blockKey(stream, 0);
  const to = Buffer.alloc(9);
  to[0] = streams.indexOf(stream) + 1;
  return { from, to };
}

/** Key of the row that says the format: never sealed, so that every version can read it. */
export const formatKey = textKey("format");

/**
 * The format of a database; undefined for a new one.
 * @throws PlantError STORE_FORMAT_NEWER, STORE_DAMAGED.
 */
export function readFormat(disk: Disk): Format | undefined {
  const bytes = disk.get(metaTable, formatKey);
  if (bytes === undefined) return undefined;
  const { version } = Object(parseJson(bytes)) as { version?: unknown };
  if (version === 1 || version === 2) return version;
  if (typeof version === "number" && version > newestFormat) {
    throw new PlantError("STORE_FORMAT_NEWER", { found: version, known: newestFormat });
  }
  throw new PlantError("STORE_DAMAGED", { reason: "the format of the database is none" });
}

/** The row that says the format. */
export function formatWrite(version: Format): Write {
  return metaWrite("format", { version });
}

/** Keeps the running time of the store, in milliseconds. */
export function runWrite(runMs: number): Write {
  return metaWrite("run", { runMs: Math.round(runMs) });
}

/** Epochs, the newest last; none in a new database. @throws PlantError STORE_DAMAGED. */
export function readLineage(disk: Disk): EpochEntry[] {
  return (readJson(disk, "lineage") as EpochEntry[] | undefined) ?? [];
}

/** The row of the epochs. */
export function lineageWrite(lineage: readonly EpochEntry[]): Write {
  return metaWrite("lineage", lineage);
}

/**
 * The last sequence of each stream: by the log, and at least what the newest epoch says; and the
 * running time, by the log and what was kept of it.
 * @throws PlantError STORE_DAMAGED when a newest block is: where the numbers go on is not known.
 */
export function readHeads(
  disk: Disk,
  epoch: EpochEntry | undefined,
): { heads: Record<Stream, number>; runMs: number } {
  let runMs = (readJson(disk, "run") as { runMs: number } | undefined)?.runMs ?? 0;
  const heads = forStreams((stream) => {
    const said = epoch?.cuts[stream] ?? 0;
    for (const row of disk.range(logTable, { ...blockBounds(stream), reverse: true, limit: 1 })) {
      const head = checkedHead(row.value);
      runMs = Math.max(runMs, head.runMs);
      return Math.max(said, head.last);
    }
    return said;
  });
  return { heads, runMs };
}

const markPrefix = "mark/";

/** Watermarks of all consumers. @throws PlantError STORE_DAMAGED. */
export function readMarks(disk: Disk): Map<string, Record<Stream, number>> {
  const marks = new Map<string, Record<Stream, number>>();
  const bounds = { from: textKey(markPrefix), to: textKey("mark0") };
  for (const { key, value } of disk.range(metaTable, bounds)) {
    const name = Buffer.from(key).toString().slice(markPrefix.length);
    marks.set(name, parseJson(value) as Record<Stream, number>);
  }
  return marks;
}

/** The mark of a stream that lets everything go; a release that knows no such mark reads it so. */
export const unheld = Number.MAX_SAFE_INTEGER;

/** The row of a consumer's watermarks. */
export function marksWrite(consumer: string, marks: Record<Stream, number>): Write {
  return metaWrite(markPrefix + consumer, marks);
}

/** Removes all that is kept of a consumer. */
export function markRemoval(consumer: string): Write[] {
  return [markPrefix, farPrefix].map((prefix) => ({
    table: metaTable,
    key: textKey(prefix + consumer),
  }));
}

/** What a stream takes: the blocks from `first` to the one that ends at `upTo`. */
export interface SizeRow {
  readonly first: number;
  readonly upTo: number;
  readonly bytes: number;
  readonly coverBytes: number;
}

/** What the streams took when it was last written. @throws PlantError STORE_DAMAGED. */
export function readSizes(disk: Disk): Record<Stream, SizeRow> | undefined {
  return readJson(disk, "sizes") as Record<Stream, SizeRow> | undefined;
}

/** The row of what the streams take. */
export function sizesWrite(rows: Record<Stream, SizeRow>): Write {
  return metaWrite("sizes", rows);
}

/** At this running time everything up to `sequence` was acknowledged. */
export interface AgeSample {
  readonly runMs: number;
  readonly sequence: number;
}
export type AgeSamples = Readonly<Record<Stream, readonly AgeSample[]>>;

/** Since when records have been acknowledged. @throws PlantError STORE_DAMAGED. */
export function readAges(disk: Disk): AgeSamples | undefined {
  return readJson(disk, "ages") as AgeSamples | undefined;
}

/** The row of the samples. */
export function agesWrite(samples: AgeSamples): Write {
  return metaWrite("ages", samples);
}

const farPrefix = "far/";

/** Consumers that have answered with a welcome. */
export function readFar(disk: Disk): Set<string> {
  const bounds = { from: textKey(farPrefix), to: textKey("far0") };
  const rows = [...disk.range(metaTable, bounds)];
  return new Set(rows.map(({ key }) => Buffer.from(key).toString().slice(farPrefix.length)));
}

/** The row that makes a consumer a far one. */
export function farWrite(consumer: string): Write {
  return metaWrite(farPrefix + consumer, true);
}

/** All sources, the one longest silent first. */
export function readSources(disk: Disk): Map<string, SourceState> {
  const found = Array.from(disk.range(sourceTable), ({ key, value }) => {
    const name = Buffer.from(key).toString();
    return [name, decodeSource(value)] as const;
  });
  found.sort(([, a], [, b]) => (a.runSeconds ?? 0) - (b.runSeconds ?? 0));
  return new Map(found);
}

/** The row of a source, removed when it has no state any more. */
export function sourceWrite(source: string, state: SourceState | undefined, format: Format): Write {
  const key = textKey(source);
  if (state === undefined) return { table: sourceTable, key };
  const value = format === 1 ? Buffer.from(JSON.stringify(state)) : encodeSource(state);
  return { table: sourceTable, key, value };
}

/** How far the last checkpoint reaches, if there is one. @throws PlantError STORE_DAMAGED. */
export function readCheckpoint(disk: Disk): CheckpointMark {
  const found = readJson(disk, "checkpoint") as CheckpointMark | undefined;
  return found ?? { sequence: 0, nextIndex: 1 };
}

/** The row of the mark. */
export function checkpointWrite(mark: CheckpointMark): Write {
  return metaWrite("checkpoint", mark);
}

/** Rows of a checkpoint of format 1, as JSON. @throws PlantError STORE_DAMAGED. */
export function* readPoints(disk: Disk): Iterable<{ index: number; text: string }> {
  for (const { key, value } of disk.range(pointTable)) {
    yield { index: Buffer.from(key).readUInt32BE(0), text: Buffer.from(value).toString() };
  }
}

function metaWrite(name: string, value: unknown): Write {
  return { table: metaTable, key: textKey(name), value: Buffer.from(JSON.stringify(value)) };
}

function readJson(disk: Disk, name: string): unknown {
  const bytes = disk.get(metaTable, textKey(name));
  return bytes === undefined ? undefined : parseJson(bytes);
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch (error) {
    throw new PlantError("STORE_DAMAGED", { reason: "a row is not JSON" }, { cause: error });
  }
}

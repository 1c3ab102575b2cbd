// Whether the rows of a database are those of a sound journal: each row by itself, and all of them
// with one another. Pure over rows: it must not know files, processes or clocks.
import type { Disk } from "../disk/disk.ts";
import { PlantError } from "../util/errors.ts";
import { checkedHead, decodeBlock } from "./block.ts";
import { readPages } from "./checkpoint.ts";
import { type BlockHead, type Format, type Stream, streams } from "./head.ts";
import { SealedDisk } from "./sealed-disk.ts";
import * as tables from "./tables.ts";

/** What a database says of itself, as far as it was read. */
export interface CheckReport {
  readonly format: Format;
  /** The newest epoch. */
  readonly epoch: string;
  /** Epochs of the lineage. */
  readonly epochs: number;
  readonly heads: Readonly<Record<Stream, number>>;
  readonly firsts: Readonly<Record<Stream, number>>;
  /** Rows of the checkpoint of current values. */
  readonly points: number;
  readonly blocks: number;
  /** Wall clock of the newest commit, in milliseconds since 1970; 0 without any. */
  readonly wallMs: number;
}

/** Rows looked at between two pauses of a check. */
const rowsPerPause = 200;
const epochForm = /^[0-9a-f]{32}$/;

/**
 * Checks all rows, the most important first, and pauses now and then: who asks may stop there. It
 * returns what the database says of itself.
 * @throws PlantError STORE_DAMAGED with the first flaw; STORE_FORMAT_NEWER.
 */
export function* checkRows(raw: Disk): Generator<void, CheckReport> {
  const format = tables.readFormat(raw);
  need(format !== undefined, "it does not say its format");
  const rows = new SealedDisk(raw, format);
  const lineage = tables.readLineage(rows);
  checkLineage(lineage);
  const newest = lineage.at(-1);
  const { heads } = tables.readHeads(rows, newest);
  for (const stream of streams) {
    need(heads[stream] >= (newest?.cuts[stream] ?? 0), `${stream} ends before its newest epoch`);
  }
  const checkpoint = checkCheckpoint(rows, heads);
  checkMarks(rows, heads);
  yield;
  checkSources(rows);
  yield;
  const old = yield* checkPoints(rows, checkpoint, heads.state);
  const points = old + (yield* checkPages(rows));
  for (const table of tables.sideTables) yield* checkSeals(rows, table);
  const log = { blocks: 0, wallMs: 0, firsts: { ...heads } as Record<Stream, number> };
  for (const stream of streams) {
    const applied = stream === "state" ? checkpoint.sequence : heads[stream];
    const found = yield* checkBlocks(rows, stream, { lineage, head: heads[stream], applied });
    log.blocks += found.blocks;
    log.wallMs = Math.max(log.wallMs, found.wallMs);
    log.firsts[stream] = found.first;
  }
  const epoch = newest?.epoch ?? "";
  return { format, epoch, epochs: lineage.length, heads, points, ...log };
}

/** Points of the pages of the checkpoint; reading a page tries its seal. */
function* checkPages(rows: Disk): Generator<void, number> {
  let points = 0;
  let pages = 0;
  for (const { points: held } of readPages(rows)) {
    points += held;
    pages += 1;
    if (pages % rowsPerPause === 0) yield;
  }
  return points;
}

/** An epoch follows its parent, and none begins before it. */
function checkLineage(lineage: readonly tables.EpochEntry[]): void {
  need(Array.isArray(lineage) && lineage.length > 0, "it has no epoch");
  let before: tables.EpochEntry | undefined;
  for (const entry of lineage) {
    need(epochForm.test(entry.epoch), "an epoch has no name");
    for (const stream of streams) {
      const cut = entry.cuts?.[stream];
      need(isSequence(cut), `an epoch has no cut of ${stream}`);
      need(cut >= (before?.cuts[stream] ?? 0), `an epoch of ${stream} begins before its parent`);
    }
    need(before === undefined || entry.parent === before.epoch, "an epoch has another parent");
    before = entry;
  }
}

function checkCheckpoint(
  rows: Disk,
  heads: Readonly<Record<Stream, number>>,
): tables.CheckpointMark {
  const mark = tables.readCheckpoint(rows);
  need(isSequence(mark.sequence) && isSequence(mark.nextIndex), "the checkpoint has no place");
  need(mark.sequence <= heads.state, "the checkpoint is ahead of the log");
  return mark;
}

function checkMarks(rows: Disk, heads: Readonly<Record<Stream, number>>): void {
  for (const [consumer, marks] of tables.readMarks(rows)) {
    for (const stream of streams) {
      const mark = marks[stream];
      if (mark === tables.unheld) continue;
      need(isSequence(mark) && mark <= heads[stream], `${consumer} is ahead of ${stream}`);
    }
  }
  tables.readFar(rows);
}

function checkSources(rows: Disk): void {
  for (const [source, { run, recent }] of tables.readSources(rows)) {
    const isSound =
      typeof run === "string" &&
      Array.isArray(recent) &&
      recent.every(({ number, first, last }) => number >= 0 && first <= last);
    need(isSound, `the numbers of ${source} are none`);
  }
}

/** The rows of current values: each of them reads, and none is from the future. */
function* checkPoints(
  rows: Disk,
  checkpoint: tables.CheckpointMark,
  head: number,
): Generator<void, number> {
  let count = 0;
  for (const { index, text } of tables.readPoints(rows)) {
    // What is no JSON has a seal, which was tried.
    if (!text.startsWith("{")) continue;
    const point = parsed(text, `the point ${index}`) as { revision?: unknown; key?: unknown };
    const isSound = isSequence(point.revision) && typeof point.key === "string";
    need(isSound && Number(point.revision) <= head, `the point ${index} is ahead of the log`);
    count += 1;
    if (count % rowsPerPause === 0) yield;
  }
  need(count === 0 || checkpoint.nextIndex > 0, "the checkpoint has no place");
  return count;
}

/** Rows of a table whose seals are all that can be known of them. */
function* checkSeals(rows: Disk, table: string): Generator<void> {
  let count = 0;
  for (const _ of rows.range(table)) {
    count += 1;
    if (count % rowsPerPause === 0) yield;
  }
}

/** What is known when the blocks of a stream are checked. */
interface Known {
  readonly lineage: readonly tables.EpochEntry[];
  readonly head: number;
  /** Records above this one make the current values: they must read, not only be whole. */
  readonly applied: number;
}

/** Blocks of one stream, newest first: whole, where they say they are, without a gap. */
function* checkBlocks(
  rows: Disk,
  stream: Stream,
  { lineage, head, applied }: Known,
): Generator<void, { blocks: number; wallMs: number; first: number }> {
  const epochs = new Map(lineage.map((entry, at) => [entry.epoch, at]));
  let [blocks, wallMs, first] = [0, 0, head + 1];
  const bounds = { ...tables.blockBounds(stream), reverse: true };
  for (const { key, value } of rows.range(tables.logTable, bounds)) {
    const block = soundBlock(key, value);
    need(block.stream === stream, `a block of ${stream} is in another place`);
    need(block.last === first - 1, `${stream} has a gap before ${first}`);
    const at = epochs.get(block.epoch);
    // Blocks of an epoch that left the lineage are older than all that stayed in it.
    const from = at === undefined ? 0 : (lineage[at]?.cuts[stream] ?? 0) + 1;
    const to = lineage[at === undefined ? 0 : at + 1]?.cuts[stream] ?? Number.POSITIVE_INFINITY;
    need(block.first >= from && block.last <= to, `a block of ${stream} is of another epoch`);
    if (block.last > applied) decodeBlock(value);
    first = block.first;
    blocks += 1;
    wallMs = Math.max(wallMs, block.wallMs);
    if (blocks % rowsPerPause === 0) yield;
  }
  return { blocks, wallMs, first };
}

/** A row of the log by itself. @throws PlantError STORE_DAMAGED, STORE_FORMAT_NEWER. */
export function soundBlock(key: Uint8Array, value: Uint8Array): BlockHead {
  const head = checkedHead(value);
  const isHere = Buffer.compare(key, tables.blockKey(head.stream, head.first)) === 0;
  need(isHere && head.last >= head.first, `a block of ${head.stream} is not where it belongs`);
  return head;
}

function isSequence(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function parsed(text: string, what: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    need(typeof value === "object" && value !== null, `${what} is no object`);
    return value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new PlantError("STORE_DAMAGED", { reason: `${what} does not read` }, { cause: error });
  }
}

function need(holds: boolean, reason: string): asserts holds {
  if (!holds) throw new PlantError("STORE_DAMAGED", { reason });
}

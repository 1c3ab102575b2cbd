// The rows of the checkpoint: pages of points, the rows that stood in their place in format 1, and
// the mark. Written in commits of bounded size, the mark last. It must not know what a page holds.
import type { Disk, Write } from "../disk/disk.ts";
import { pointTable } from "./tables.ts";

/** One page: its number, and bytes that its owner made. */
export interface CheckpointPage {
  readonly page: number;
  readonly bytes: Uint8Array;
  /** Points in it: the first of its bytes. */
  readonly points: number;
}

/** Pages or rows by number; `undefined` removes. */
export type CheckpointRows<T> = ReadonlyMap<number, T | undefined>;

const pageTable = "page";
const writesPerCommit = 900;
const bytesPerCommit = 1_048_576;

/** Pages of the last checkpoint, in the order of their numbers. */
export function* readPages(disk: Disk): Iterable<CheckpointPage> {
  for (const { key, value } of disk.range(pageTable)) {
    yield { page: Buffer.from(key).readUInt32BE(0), bytes: value, points: value[0] ?? 0 };
  }
}

/**
 * Writes pages and then, if it is given, what marks them. Rows of format 1 are gone before the mark is
 * there: with it, the pages speak for all points.
 */
export async function savePages(
  disk: Disk,
  pages: CheckpointRows<Uint8Array>,
  mark: readonly Write[],
): Promise<void> {
  await commitAll(disk, writesOf(pageTable, pages));
  if (mark.length === 0) return;
  await commitAll(disk, oldRows(disk));
  await disk.commit(mark, "reserve");
}

/** Writes rows as format 1 has them, and then the mark. */
export async function saveRows(
  disk: Disk,
  rows: CheckpointRows<string>,
  mark: readonly Write[],
): Promise<void> {
  const bytes = new Map<number, Uint8Array | undefined>();
  for (const [index, text] of rows) {
    bytes.set(index, text === undefined ? undefined : Buffer.from(text));
  }
  await commitAll(disk, writesOf(pointTable, bytes));
  await disk.commit(mark, "reserve");
}

function* writesOf(table: string, rows: CheckpointRows<Uint8Array>): Iterable<Write> {
  for (const [number, value] of rows) {
    const key = Buffer.alloc(4);
    key.writeUInt32BE(number, 0);
    yield value === undefined ? { table, key } : { table, key, value };
  }
}

function* oldRows(disk: Disk): Iterable<Write> {
  for (const { key } of disk.range(pointTable)) yield { table: pointTable, key };
}

async function commitAll(disk: Disk, all: Iterable<Write>): Promise<void> {
  let writes: Write[] = [];
  let bytes = 0;
  for (const write of Array.from(all)) {
    writes.push(write);
    bytes += write.value?.length ?? 0;
    if (writes.length < writesPerCommit && bytes < bytesPerCommit) continue;
    await disk.commit(writes, "reserve");
    writes = [];
    bytes = 0;
  }
  if (writes.length > 0) await disk.commit(writes, "reserve");
}

// The opening of a database for writing: its format, the new epoch, where the numbers go on.
// It must not know what is written afterwards.
import type { Disk, Write } from "../disk/disk.ts";
import type { Random } from "../util/random.ts";
import { type Format, type Stream, streams } from "./head.ts";
import { SealedDisk } from "./sealed-disk.ts";
import * as tables from "./tables.ts";

/** A database that is open, and what its opening found. */
export interface Opened {
  readonly disk: Disk;
  readonly format: Format;
  readonly epoch: string;
  readonly lineage: tables.EpochEntry[];
  readonly heads: Record<Stream, number>;
  /** Running time before this opening, as far as it was kept. */
  readonly runMs: number;
}

/** Rows rewritten in one commit of an upgrade. */
const rowsPerCommit = 900;

/**
 * Makes an epoch, durable before its first record. A database of an older format is brought to the
 * newest one, unless it `keepsFormat`.
 * @throws PlantError STORE_FORMAT_NEWER, STORE_DAMAGED.
 */
export async function openEpoch(raw: Disk, random: Random, keepsFormat: boolean): Promise<Opened> {
  const found = tables.readFormat(raw);
  const format = keepsFormat && found === 1 ? 1 : 2;
  const disk = new SealedDisk(raw, format);
  const lineage = tables.readLineage(disk);
  const before = lineage.at(-1);
  const { heads, runMs } = tables.readHeads(disk, before);
  const epoch = Buffer.from(random.bytes(16)).toString("hex");
  // An epoch without a record is nobody's parent: a store that fails again and again must not
  // grow a lineage that no greeting can hold.
  const isEmpty =
    before !== undefined && streams.every((name) => before.cuts[name] === heads[name]);
  if (isEmpty) lineage.pop();
  const parent = (isEmpty ? before.parent : before?.epoch) ?? null;
  lineage.push({ epoch, parent, cuts: { ...heads } });
  const writes = [tables.formatWrite(format), tables.lineageWrite(lineage)];
  if (found !== undefined && found < format) await upgradeRows(disk);
  await disk.commit([...writes, tables.runWrite(runMs)], "reserve");
  return { disk, format, epoch, lineage, heads, runMs };
}

/**
 * Seals the small rows of format 1. Whatever part of it is done, this version reads them all; the
 * format itself is said last.
 */
async function upgradeRows(disk: Disk): Promise<void> {
  const writes = tables.rewrittenTables.flatMap((table) =>
    Array.from(disk.range(table), ({ key, value }): Write => ({ table, key, value })),
  );
  for (let at = 0; at < writes.length; at += rowsPerCommit) {
    await disk.commit(writes.slice(at, at + rowsPerCommit), "reserve");
  }
}

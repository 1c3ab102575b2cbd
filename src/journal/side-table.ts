// Tables of derived rows beside the log: what can be made anew from it. It must not know what the
// rows say.
import type { Disk, RangeOptions, Room, Row, Write } from "../disk/disk.ts";
import type { SideName } from "./tables.ts";

/** A row of a side table; it is removed when `value` is undefined. */
export interface SideRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** Rows of bytes with checksums; what is written is read after its commit. */
export interface SideTable {
  /** @throws PlantError STORE_DAMAGED. */
  get(key: Uint8Array): Uint8Array | undefined;
  /** In key order. @throws PlantError STORE_DAMAGED. */
  range(options?: RangeOptions): Iterable<Row>;
  /**
   * Writes rows, durably, in commits of bounded size and in their order: a failure may leave the
   * first part of them written.
   * @throws PlantError STORE_FULL, STORE_FAILED, STORE_CLOSED.
   */
  write(rows: Iterable<SideRow>, room?: Room): Promise<void>;
}

const rowsPerCommit = 900;

/** @param disk the one that is open at the time: a restored store has another. */
export function sideTable(table: SideName, disk: () => Disk): SideTable {
  return {
    get: (key) => disk().get(table, key),
    range: (options) => disk().range(table, options),
    async write(rows, room) {
      let writes: Write[] = [];
      for (const { key, value } of rows) {
        writes.push(value === undefined ? { table, key } : { table, key, value });
        if (writes.length < rowsPerCommit) continue;
        await disk().commit(writes, room);
        writes = [];
      }
      await disk().commit(writes, room);
    },
  };
}

// The centre's rows on the embedded disk: one table, keys as text.
// It must not know what the rows mean.
import { type Disk, type Write, writesMax } from "../disk/disk.ts";
import type { Shelf } from "./shelf.ts";

const table = "central";

/** Rows on a disk. More changes than one transaction takes are committed in their order. */
export function openDiskShelf(disk: Disk): Shelf {
  return {
    get: (key) => disk.get(table, Buffer.from(key)),
    *range({ from, to, limit, isReverse = false }) {
      const rows = disk.range(table, {
        from: Buffer.from(from),
        to: Buffer.from(to),
        reverse: isReverse,
        ...(limit === undefined ? {} : { limit }),
      });
      for (const { key, value } of rows) yield { key: Buffer.from(key).toString("ascii"), value };
    },
    async commit(changes) {
      const writes: Write[] = changes.map(({ key, value }) => ({
        table,
        key: Buffer.from(key),
        ...(value === undefined ? {} : { value }),
      }));
      for (let at = 0; at < writes.length; at += writesMax) {
        await disk.commit(writes.slice(at, at + writesMax));
      }
    },
  };
}

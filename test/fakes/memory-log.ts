// A log and its side tables in memory, for what works behind the log: a write may be cut off.
// It must not know what the rows say.

import type { Room } from "../../src/disk/disk.ts";
import { checkedHead, encodeBlock } from "../../src/journal/block.ts";
import type { Block, JournalRecord, SideRow, SideTable } from "../../src/journal/journal.ts";
import type { FakeClock } from "./clock.ts";

export interface MemoryLog {
  /** Appends records of `state` as one block. */
  write(records: readonly JournalRecord[]): void;
  /**
   * Called before each row is written into a part of the room; what it throws leaves the rows
   * before written.
   */
  beforeRow: (row: SideRow, room: Room) => void;
  blocks(stream: "state" | "event" | "log" | "metric", after: number): Iterable<Block>;
  head(): number;
  side(name: "rollup" | "boot" | "wear"): SideTable;
  runMs(): number;
  stats(): Readonly<Record<string, number>>;
}

export function memoryLog(clock: FakeClock, roomBytes = 1e9): MemoryLog {
  const blocks: Block[] = [];
  const tables = new Map<string, Map<string, Uint8Array>>();
  const startedAt = clock.monotonicMs();
  let head = 0;
  const log: MemoryLog = {
    write(records) {
      const place = { stream: "state", epoch: "e".repeat(32), first: head + 1 } as const;
      const times = { wallMs: clock.wallMs(), runMs: log.runMs() };
      const bytes = encodeBlock({ ...place, ...times }, records);
      blocks.push({ head: checkedHead(bytes), bytes });
      head += records.length;
    },
    beforeRow: () => {},
    blocks: (_stream, after) => blocks.filter((block) => block.head.last > after),
    head: () => head,
    runMs: () => clock.monotonicMs() - startedAt,
    stats: () => ({ roomBytes, liveBytes: 0 }),
    side(name) {
      const rows = tables.get(name) ?? new Map<string, Uint8Array>();
      tables.set(name, rows);
      return memoryTable(rows, (row, room) => log.beforeRow(row, room));
    },
  };
  return log;
}

function memoryTable(rows: Map<string, Uint8Array>, before: MemoryLog["beforeRow"]): SideTable {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  return {
    get: (key) => rows.get(hex(key)),
    range({ from, to, limit = Number.POSITIVE_INFINITY, reverse = false } = {}) {
      const low = from === undefined ? "" : hex(from);
      const high = to === undefined ? "~" : hex(to);
      const keys = [...rows.keys()].filter((key) => key >= low && key < high).sort();
      if (reverse) keys.reverse();
      return keys.slice(0, limit).map((key) => ({
        key: Buffer.from(key, "hex"),
        value: rows.get(key) ?? new Uint8Array(),
      }));
    },
    async write(changes: Iterable<SideRow>, room: Room = "common") {
      for (const { key, value } of changes) {
        before({ key, value }, room);
        if (value === undefined) rows.delete(hex(key));
        else rows.set(hex(key), value);
      }
    },
  };
}

// What a simulator has served and taken, for tests that compare both ends of a wire.
// It must not know protocols.
import type { PointValue } from "../kit/kit.ts";

/** One value that went out, or came in. */
export interface LedgerEntry {
  readonly device: string;
  readonly point: string;
  readonly value: PointValue;
  readonly is: "served" | "written";
  /** Milliseconds of monotonic time. */
  readonly atMs: number;
}

/** The newest entries, oldest first, and the newest of each point. */
export interface Ledger {
  readonly entries: readonly LedgerEntry[];
  /** Entries that were dropped because of the limit. */
  readonly dropped: number;
  latest(device: string, point: string): LedgerEntry | undefined;
  add(entry: LedgerEntry): void;
}

/** A ledger of at most `entriesMax` entries; the oldest go first. */
export function openLedger(entriesMax: number): Ledger {
  const entries: LedgerEntry[] = [];
  const latest = new Map<string, LedgerEntry>();
  let dropped = 0;
  return {
    entries,
    get dropped() {
      return dropped;
    },
    latest: (device, point) => latest.get(`${device}/${point}`),
    add(entry) {
      entries.push(entry);
      latest.set(`${entry.device}/${entry.point}`, entry);
      if (entries.length <= entriesMax) return;
      // In blocks: removing one at a time from the front would move the rest each time.
      dropped += entries.splice(0, Math.max(1, Math.ceil(entriesMax / 10))).length;
    },
  };
}

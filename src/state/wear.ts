// What the store has had written to the device, per running day and per stream: measured bytes,
// shared out by what each stream put. It must not know how they are counted.
import { type SideTable, type Stream, streams } from "../journal/journal.ts";
import { hasCode } from "../util/errors.ts";

/** Counters since the store was opened. */
export interface WearCounters {
  /** Bytes written to storage; absent where nobody counts them. */
  readonly deviceBytes?: number;
  /** Bytes of keys and values given to commits. */
  readonly bytesPut: number;
  readonly commits: number;
  /** Of these, bytes of blocks per stream. */
  readonly streams: Readonly<Record<Stream, number>>;
}

export interface WearDeps {
  readonly table: SideTable;
  /** Running time of the store: days are counted in it, whatever the wall clock says. */
  readonly runMs: () => number;
  readonly counters: () => WearCounters;
}

/** Measured bytes of one running day; the first day of a store is 0. */
export interface WearDay {
  readonly day: number;
  readonly bytes: number;
  /** `other` is what no stream put: checkpoints, marks, derived rows. */
  readonly perStream: Readonly<Record<string, number>>;
}

/** What is told of the wear, in bytes given to the device. */
export interface WearReport {
  readonly todayBytes: number;
  /** Bytes of a day: the mean of the last week's whole days, or today's rate; null before that. */
  readonly perDayBytes: number | null;
  /** Today last; at most `daysMax`. */
  readonly days: readonly WearDay[];
  /** Over all days kept. */
  readonly perStream: Readonly<Record<string, number>>;
}

/** Time between two writings of what was measured. */
export const wearSaveMs = 3_600_000;
const dayMs = 86_400_000;
/** Days the wear of a day is the mean of. */
const weekDays = 7;
/** Running time from which the first day tells a rate. */
const rateFromMs = 3_600_000;
/** Days kept. */
const daysMax = 400;
const none: WearCounters = {
  bytesPut: 0,
  commits: 0,
  streams: { state: 0, event: 0, log: 0, metric: 0 },
};

export class WearLedger {
  readonly #deps: WearDeps;
  /** Days read or begun, by number. */
  #days: Map<number, Record<string, number>> | undefined;
  readonly #changed = new Set<number>();
  #seen = none;
  /** Commits when the ledger was last written, with that commit. */
  #commits = 0;

  constructor(deps: WearDeps) {
    this.#deps = deps;
  }

  /** What was measured until this moment. */
  report(): WearReport {
    this.#measure();
    const days = [...this.#read()]
      .sort(([a], [b]) => a - b)
      .map(([day, perStream]) => ({ day, bytes: sumOf(perStream), perStream: { ...perStream } }));
    const perStream: Record<string, number> = {};
    for (const day of days) addTo(perStream, day.perStream);
    const today = days.find(({ day }) => day === this.#today());
    const todayBytes = today?.bytes ?? 0;
    return { todayBytes, perDayBytes: this.#perDay(days, todayBytes), days, perStream };
  }

  /** A day without a row wrote nothing. */
  #perDay(days: readonly WearDay[], todayBytes: number): number | null {
    const today = this.#today();
    const whole = Math.min(weekDays, today);
    if (whole > 0) {
      const week = days.filter(({ day }) => day < today && day >= today - whole);
      return Math.round(week.reduce((sum, { bytes }) => sum + bytes, 0) / whole);
    }
    const ranMs = this.#deps.runMs();
    return ranMs < rateFromMs ? null : Math.round((todayBytes * dayMs) / ranMs);
  }

  /**
   * Writes what was measured; nothing when nobody else committed. What cannot be written is kept
   * for the next time.
   * @throws PlantError STORE_CLOSED.
   */
  async save(): Promise<void> {
    this.#measure();
    const { commits } = this.#deps.counters();
    if (this.#changed.size === 0 || commits === this.#commits) return;
    const days = this.#read();
    const rows = [...this.#changed].map((day) => ({
      key: keyOf(day),
      value: bytesOf(days.get(day)),
    }));
    const old = [...days.keys()].filter((day) => day <= this.#today() - daysMax);
    try {
      await this.#deps.table.write([
        ...rows,
        ...old.map((day) => ({ key: keyOf(day), value: undefined })),
      ]);
    } catch (error) {
      if (!hasCode(error, "STORE_FULL", "STORE_FAILED")) throw error;
      return;
    }
    for (const day of old) days.delete(day);
    this.#changed.clear();
    this.#commits = this.#deps.counters().commits;
  }

  /** After another database was put in place: its days count. */
  forget(): void {
    this.#days = undefined;
    this.#changed.clear();
  }

  #today(): number {
    return Math.floor(this.#deps.runMs() / dayMs);
  }

  /** Shares out what was written since the last time. */
  #measure(): void {
    const found = this.#deps.counters();
    // Counters that went back began anew, with the store.
    const isNew = found.commits < this.#seen.commits;
    const before = isNew ? none : this.#seen;
    if (isNew) this.#commits = 0;
    this.#seen = found;
    const bytes = (found.deviceBytes ?? 0) - (before.deviceBytes ?? 0);
    const put = found.bytesPut - before.bytesPut;
    if (bytes <= 0) return;
    const shares: Record<string, number> = {};
    let left = bytes;
    for (const stream of streams) {
      const part = found.streams[stream] - before.streams[stream];
      if (part <= 0 || put <= 0) continue;
      shares[stream] = Math.min(left, Math.round((bytes * part) / put));
      left -= shares[stream];
    }
    if (left > 0) shares.other = left;
    const today = this.#today();
    const days = this.#read();
    const day = days.get(today) ?? {};
    days.set(today, day);
    addTo(day, shares);
    this.#changed.add(today);
  }

  #read(): Map<number, Record<string, number>> {
    this.#days ??= readDays(this.#deps.table);
    return this.#days;
  }
}

/** A damaged row costs the history, which nothing rests on. */
function readDays(table: SideTable): Map<number, Record<string, number>> {
  const days = new Map<number, Record<string, number>>();
  try {
    for (const { key, value } of table.range()) {
      days.set(Buffer.from(key).readUInt32BE(), JSON.parse(Buffer.from(value).toString()));
    }
  } catch (error) {
    if (!hasCode(error, "STORE_DAMAGED")) throw error;
  }
  return days;
}

function keyOf(day: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeUInt32BE(day);
  return key;
}

function bytesOf(day: Record<string, number> | undefined): Buffer {
  return Buffer.from(JSON.stringify(day ?? {}));
}

function addTo(sum: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [name, bytes] of Object.entries(more)) sum[name] = (sum[name] ?? 0) + bytes;
}

function sumOf(shares: Readonly<Record<string, number>>): number {
  return Object.values(shares).reduce((sum, bytes) => sum + bytes, 0);
}

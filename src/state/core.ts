// What the operations of state work on: points over the journal, their checkpoint, their watchers.
// It must not know what requests look like.
import type { Config } from "../config/config.ts";
import {
  type Guard,
  type Journal,
  type JournalRecord,
  newestFormat,
  Snapshots,
  type Stream,
  streams,
} from "../journal/journal.ts";
import { type Clock, type ClockSync, type Stamp, stampNow } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import { type BackupPlace, type OpenedBackup, openBackup } from "./backup.ts";
import { Keeper } from "./keeping.ts";
import { type Place, type PointChange, PointTable } from "./points.ts";
import { Watchers } from "./watch.ts";
import { WearLedger } from "./wear.ts";

export interface StateDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  /** Boot id, 32 hexadecimal digits. */
  readonly boot: string;
  readonly journal: Journal;
  /** How far the wall clock is trusted; `none` when absent. */
  readonly sync?: () => ClockSync;
}

export type StateConfig = Config["store"] & {
  /** Folder of the backups. */
  readonly backups: string;
  /** Folder of the database. */
  readonly store?: string;
  /** While this file is there, the format is kept. */
  readonly updatePending?: string;
};

type SourceArguments = { readonly source: string; readonly run: string; readonly number: number };

function snapshotsOf({ journal, clock }: StateDeps, config: StateConfig): Snapshots | undefined {
  const { store: folder, mapMiB, snapshotsMax } = config;
  if (folder === undefined || snapshotsMax === 0) return undefined;
  const source = {
    backup: (path: string) => journal.backup(path),
    mark: () => streams.map((stream) => journal.head(stream)).join(" "),
    liveBytes: () => journal.stats().liveBytes ?? 0,
  };
  const options = { folder, roomBytes: mapMiB * 1_048_576, snapshotsMax };
  return new Snapshots({ clock, source }, options);
}

/** What the operations work on. */
export class StateCore {
  readonly deps: StateDeps;
  readonly config: StateConfig;
  readonly watchers = new Watchers();
  /** Requests that wait for changes of a stream. */
  waiting = 0;
  points: PointTable;
  readonly wear: WearLedger;
  #keeper: Keeper;
  /** What guards the database; absent where nothing does. */
  guard: Guard | undefined;
  /** Snapshots of the database; absent where none are made. */
  readonly snapshots: Snapshots | undefined;
  #isRestoring = false;
  /** Whether a backup is being tried: one at a time. */
  #isTrying = false;
  #tending: Promise<void> = Promise.resolve();

  constructor(deps: StateDeps, config: StateConfig) {
    this.deps = deps;
    this.config = config;
    this.points = new PointTable(config.pointsMax);
    const { journal } = deps;
    this.wear = new WearLedger({
      table: journal.side("wear"),
      runMs: () => journal.runMs(),
      counters: () => {
        const { commits = 0, bytesPut = 0, deviceBytes } = journal.stats();
        const counted = { commits, bytesPut, streams: journal.written() };
        return deviceBytes === undefined ? counted : { ...counted, deviceBytes };
      },
    });
    this.#keeper = this.#makeKeeper();
    this.snapshots = snapshotsOf(deps, config);
  }

  /** Rebuilds current values. @throws PlantError STORE_DAMAGED. */
  load(): void {
    const { journal } = this.deps;
    const points = new PointTable(this.config.pointsMax);
    const { sequence, nextIndex } = journal.checkpoint;
    points.load(journal.checkpointRows(), nextIndex);
    const head = journal.head("state");
    const page = { stream: "state", limit: 10_000, bytesMax: 16_777_216 } as const;
    for (let after = sequence; after < head; ) {
      const { records, last } = journal.read({ ...page, after });
      if (last === after) break;
      for (const record of records) points.apply(record, record.sequence);
      after = last;
    }
    this.points = points;
    this.#keeper = this.#makeKeeper();
  }

  #makeKeeper(): Keeper {
    const { clock, journal, log } = this.deps;
    return new Keeper(
      {
        clock,
        journal,
        log,
        revisionAt: (index) => this.points.revisionAt(index),
        revisionOf: (scope, key) => this.points.get(scope, key)?.revision,
        tell: async (event) => {
          const record = { kind: "event", event, time: this.now(), source: "store" };
          await this.append("event", [record], { flush: "now" });
        },
      },
      this.config,
    );
  }

  now(): Stamp {
    const { clock, boot, sync } = this.deps;
    return stampNow(clock, boot, sync?.() ?? "none");
  }

  /** Writes back what changed since the last checkpoint, then trims. Failures are told, not fatal. */
  tend(): Promise<void> {
    this.#tending = this.#tending.then(() => this.#tend());
    return this.#tending;
  }

  async #tend(): Promise<void> {
    if (this.#isRestoring) return;
    const { journal, log } = this.deps;
    const { points } = this;
    const sequence = journal.head("state");
    const rows = points.takeDirty();
    try {
      if (rows.size > 0) {
        await journal.saveCheckpoint(rows, { sequence, nextIndex: points.nextIndex });
      }
      await journal.trim();
      await this.#keeper.keep();
    } catch (error) {
      if (!(error instanceof PlantError)) throw error;
      points.returnDirty(rows.keys());
      log.error("the checkpoint was not written", { code: error.code, error });
    }
  }

  /** Writes down what the device was given to write. Failures are told, not fatal. */
  async saveWear(): Promise<void> {
    if (this.#isRestoring) return;
    try {
      await this.wear.save();
    } catch (error) {
      if (!(error instanceof PlantError)) throw error;
      this.deps.log.error("the wear was not written", { code: error.code, error });
    }
  }

  /** Appends changes of points; answers after the flush. */
  set(
    changes: readonly PointChange[],
    { flush, source, by }: { flush: "now" | "group"; source?: SourceArguments; by: string },
  ): Promise<{ first: number; last: number; repeated: boolean }> {
    return this.#appendState(changes.length * 2, flush, source, (points) =>
      points.recordsOfChanges(changes, by),
    );
  }

  /** Deletes points; undefined when none of them is there. */
  async remove(places: readonly Place[]): Promise<void> {
    const most = this.config.recordsPerCommitMax;
    for (let at = 0; at < places.length; at += most) {
      const part = places.slice(at, at + most);
      await this.#appendState(part.length, "now", undefined, (points) =>
        points.recordsOfDeletes(part, this.now()),
      );
    }
  }

  async #appendState(
    recordsMax: number,
    flush: "now" | "group",
    source: SourceArguments | undefined,
    make: (points: PointTable) => JournalRecord[],
  ): Promise<{ first: number; last: number; repeated: boolean }> {
    this.refuseWhileRestoring();
    const { journal } = this.deps;
    const { points } = this;
    let records: readonly JournalRecord[] = [];
    let first = 0;
    return await journal.append({
      stream: "state",
      flush,
      recordsMax,
      ...(source === undefined ? {} : { source }),
      build: (from) => {
        first = from;
        records = make(points);
        return records;
      },
      settle: (isFlushed) => {
        this.watchers.tell(points.settle(isFlushed, records, first));
      },
    });
  }

  /** Appends records that change no point. */
  async append(
    stream: Stream,
    records: readonly JournalRecord[],
    { flush, source }: { flush: "now" | "group"; source?: SourceArguments },
  ): Promise<{ first: number; last: number; repeated: boolean }> {
    this.refuseWhileRestoring();
    return await this.deps.journal.append({
      stream,
      flush,
      recordsMax: records.length,
      build: () => records,
      ...(stream === "event" ? { room: "urgent" } : {}),
      ...(source === undefined ? {} : { source }),
    });
  }

  appendOwnLines(lines: readonly string[]): Promise<{ first: number }> {
    const records = lines.map((text) => ({ kind: "line", text }));
    return this.append("log", records, { flush: "group" });
  }

  /** Whether the database has an older format, which it keeps until an update is confirmed. */
  get isFormatHeld(): boolean {
    return this.deps.journal.format < newestFormat;
  }

  refuseWhileRestoring(): void {
    if (this.#isRestoring) throw new PlantError("STORE_BUSY", { max: 0 });
  }

  get backupPlace(): BackupPlace {
    const { clock, random, journal } = this.deps;
    const { backups, mapMiB } = this.config;
    return { clock, random, journal, folder: backups, roomBytes: mapMiB * 1_048_576 };
  }

  /** Does something with a backup; one at a time. @throws PlantError STORE_BUSY. */
  async trying<T>(work: () => Promise<T>): Promise<T> {
    this.refuseWhileRestoring();
    if (this.#isTrying) throw new PlantError("STORE_BUSY", { max: 0 });
    this.#isTrying = true;
    try {
      return await work();
    } finally {
      this.#isTrying = false;
    }
  }

  /** Does what closes the database meanwhile; everything else is refused with STORE_BUSY. */
  async apart<T>(work: () => Promise<T>): Promise<T> {
    this.#isRestoring = true;
    try {
      await this.#tending;
      const result = await work();
      this.wear.forget();
      this.load();
      return result;
    } finally {
      this.#isRestoring = false;
    }
  }

  /** Verifies a backup, then replaces the store by it. */
  restore(
    asked: Parameters<typeof openBackup>[1],
  ): Promise<{ epoch: string; report: OpenedBackup["report"] }> {
    return this.trying(async () => {
      const { file, report, remove } = await openBackup(this.backupPlace, asked);
      try {
        const epoch = await this.apart(() => this.deps.journal.restore(file));
        return { epoch, report };
      } finally {
        remove();
      }
    });
  }
}

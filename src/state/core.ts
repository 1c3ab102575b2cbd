// What the operations of state work on: points over the journal, their checkpoint, their watchers.
// It must not know what requests look like.
import type { Config } from "../config/config.ts";
import {
  type Appended,
  type Guard,
  type Journal,
  type JournalRecord,
  newestFormat,
  Snapshots,
  type Stream,
  streams,
} from "../journal/journal.ts";
import { type Clock, type ClockSync, type Stamp, stampNow } from "../util/clock.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import { attempt } from "./attempt.ts";
import { auditRecords, type Deed } from "./audit.ts";
import { type BackupPlace, type OpenedBackup, openBackup } from "./backup.ts";
import { loadPoints, saveCheckpoint } from "./checkpoint.ts";
import { coversOfDamage } from "./damage.ts";
import { Expirer } from "./expirer.ts";
import { Keeper } from "./keeping.ts";
import { Past } from "./past.ts";
import { type Place, type PointChange, PointTable } from "./points.ts";
import type { SchemaDocument } from "./schema.ts";
import { SchemaBook } from "./schema-book.ts";
import { Watchers } from "./watch.ts";
import { WearLedger } from "./wear.ts";

/** What state works with. */
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

/** The section `store`, and where files are. */
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

/** Scope of the schemas, by the scope each is of. */
export const schemasScope = "plantd/schemas";

/** The records, which are to be at least one. */
function something(records: JournalRecord[]): JournalRecord[] {
  if (records.length === 0) throw new PlantError("STATE_NOT_FOUND", {});
  return records;
}

/** Scopes of configuration, and those of the store itself, have room when values have none. */
function isConfiguration(scope: string): boolean {
  return scope === "config" || scope.startsWith("config/") || scope.startsWith("plantd/");
}

/** Places without those that are named again. */
function eachOnce(places: readonly Place[]): Place[] {
  return [...new Map(places.map((place) => [`${place.scope}\0${place.key}`, place])).values()];
}

/** How changes of points are appended. */
interface SetOptions {
  readonly flush: "now" | "group";
  readonly source?: SourceArguments | undefined;
  /** What the points name as their source. */
  readonly by: string;
  /** The person who did it, for the audit. */
  readonly who?: string | undefined;
  /** What is told of it instead of each point. */
  readonly deed?: Deed | undefined;
  /** Called when the commit is put together; what it throws refuses the request. */
  readonly admit?: (points: PointTable) => void;
  /** Called when nothing refuses the request any more; `settled` tells what becomes of it. */
  readonly built?: () => void;
  readonly settled?: (isFlushed: boolean) => void;
}

interface StateRequest {
  readonly recordsMax: number;
  readonly flush: "now" | "group";
  readonly source?: SourceArguments | undefined;
  readonly make: (points: PointTable, first: number) => JournalRecord[];
  /** Finds room where other records do not. */
  readonly isUrgent?: boolean;
  readonly audit?: () => readonly JournalRecord[];
  readonly settled?: ((isFlushed: boolean) => void) | undefined;
}

const deletesPerCommit = 1000;

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
  readonly past: Past;
  #isRestoring = false;
  /** Whether a backup is being tried: one at a time. */
  #isTrying = false;
  #tending: Promise<void> = Promise.resolve();
  schemas: SchemaBook;
  /** Monotonic time of the last checkpoint, or of the opening. */
  checkpointAtMs: number;
  /** Why the last checkpoint was not written; undefined when it was. */
  checkpointFailure: string | undefined;
  /** Monotonic time of the start. */
  readonly startedAtMs: number;
  readonly #expirer: Expirer;

  constructor(deps: StateDeps, config: StateConfig) {
    this.deps = deps;
    this.config = config;
    this.points = new PointTable(config.pointsMax, config.valuesMiB);
    this.past = new Past(deps, config);
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
    this.schemas = new SchemaBook();
    this.checkpointAtMs = deps.clock.monotonicMs();
    this.startedAtMs = this.checkpointAtMs;
    this.#expirer = new Expirer({
      clock: deps.clock,
      log: deps.log,
      runMs: () => journal.runMs(),
      points: () => this.points,
      remove: (indices) => this.#removeExpired(indices),
    });
  }

  /** Rebuilds current values. @throws PlantError STORE_DAMAGED, STORE_FORMAT_NEWER. */
  async load(): Promise<void> {
    const points = new PointTable(this.config.pointsMax, this.config.valuesMiB);
    await loadPoints(this.deps.journal, points);
    this.points = points;
    this.#keeper = this.#makeKeeper();
    this.watchers.begin(points, this.deps.journal.head("state"));
    this.schemas = new SchemaBook();
    for (const key of points.keys(schemasScope)) {
      const point = points.get(schemasScope, key);
      this.schemas.hold(key, point?.value as SchemaDocument);
    }
    this.#expirer.watch();
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
        told: (cover) => coversOfDamage({ points: this.points, journal }, cover),
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
    const { journal, log, clock } = this.deps;
    const failure = await attempt(log, "the checkpoint was not written", async () => {
      await saveCheckpoint(journal, this.points);
      this.checkpointAtMs = clock.monotonicMs();
    });
    this.checkpointFailure = failure?.code;
    await attempt(log, "room was not made", async () => {
      await this.past.makeWay();
      await journal.trim();
      await this.#keeper.keep();
    });
  }

  /** Writes down what the device was given to write. Failures are told, not fatal. */
  async saveWear(): Promise<void> {
    if (this.#isRestoring) return;
    await attempt(this.deps.log, "the wear was not written", () => this.wear.save());
  }

  /**
   * Appends changes of points; answers after the flush.
   * @throws PlantError SCHEMA_VIOLATED, LIMIT_REACHED, what `admit` throws, as `Journal.append`.
   */
  set(changes: readonly PointChange[], options: SetOptions): Promise<Appended> {
    const { flush, source, by, who, admit, built, settled } = options;
    let deeds: Deed[] = [];
    return this.#appendState({
      recordsMax: changes.length * 2,
      flush,
      source,
      settled,
      isUrgent: changes.every(({ scope }) => isConfiguration(scope)),
      make: (points, first) => {
        const complete = this.schemas.complete(changes);
        if (who !== undefined) deeds = complete.map((change) => this.#deedOf(points, change));
        admit?.(points);
        const records = points.recordsOfChanges(complete, by, first);
        built?.();
        return records;
      },
      ...this.#auditOf(options.deed, who, by, () => deeds),
    });
  }

  #deedOf(points: PointTable, { scope, key, value }: PointChange): Deed {
    const before = points.expected(scope, key)?.value;
    const deed = { action: "set", target: `${scope}/${key}`, after: value };
    return before === undefined ? deed : { ...deed, before };
  }

  #auditOf(
    deed: Deed | undefined,
    who: string | undefined,
    source: string,
    deeds: () => readonly Deed[],
  ): { audit?: () => readonly JournalRecord[] } {
    if (who === undefined) return {};
    const told = deed === undefined ? deeds : () => [deed];
    return { audit: () => auditRecords(who, told(), { time: this.now(), source }) };
  }

  /**
   * Deletes points in commits of bounded size; those that are not there are passed over.
   * @param deed what is told of it instead of each point.
   * @returns how many there were.
   */
  async remove(
    places: readonly Place[],
    { who, deed }: { who?: string | undefined; deed?: Deed } = {},
  ): Promise<number> {
    let count = 0;
    for (let at = 0; at < places.length; at += deletesPerCommit) {
      const part = places.slice(at, at + deletesPerCommit);
      const told = at === 0 ? deed : undefined;
      count += await this.#removePart(part, {
        who: deed === undefined || at === 0 ? who : undefined,
        deed: told,
      });
    }
    return count;
  }

  /** Deletes what the store itself keeps of a scope: its mark, its schema. */
  async removeMarks(
    places: readonly Place[],
    scope: string,
    { who, deed }: { who?: string | undefined; deed?: Deed },
  ): Promise<void> {
    await this.#removePart(places, { who, deed, schemaOf: scope });
  }

  async #removePart(
    part: readonly Place[],
    {
      who,
      deed,
      schemaOf,
    }: { who?: string | undefined; deed?: Deed | undefined; schemaOf?: string },
  ): Promise<number> {
    const source = "state";
    let deeds: Deed[] = [];
    let count = 0;
    await this.#unlessNothing(
      this.#appendState({
        recordsMax: part.length,
        flush: "now",
        make: (points, first) => {
          const there = eachOnce(part).filter(
            ({ scope, key }) => points.expected(scope, key) !== undefined,
          );
          deeds = there.map((place) => {
            const before = points.expected(place.scope, place.key)?.value;
            return { action: "delete", target: `${place.scope}/${place.key}`, before };
          });
          const records = something(points.recordsOfDeletes(there, this.now(), { first }));
          count = records.length;
          if (schemaOf !== undefined) this.schemas.stage(schemaOf, null);
          return records;
        },
        ...this.#auditOf(deed, who, source, () => deeds),
        settled: (isFlushed) => {
          if (schemaOf !== undefined) this.schemas.settle(schemaOf, isFlushed);
        },
      }),
    );
    return count;
  }

  /** Waits for an append that may find nothing to do when its turn comes. */
  async #unlessNothing(appended: Promise<Appended>): Promise<void> {
    try {
      await appended;
    } catch (error) {
      if (!hasCode(error, "STATE_NOT_FOUND")) throw error;
    }
  }

  async #removeExpired(indices: readonly number[]): Promise<void> {
    const { journal } = this.deps;
    await this.#unlessNothing(
      this.#appendState({
        recordsMax: Math.max(1, indices.length),
        flush: "now",
        make: (points) => something(points.recordsOfExpired(indices, journal.runMs(), this.now())),
      }),
    );
  }

  /** Ends what runs by itself. */
  async close(): Promise<void> {
    await this.#expirer.end();
    await this.tend();
  }

  #appendState(request: StateRequest): Promise<Appended> {
    this.refuseWhileRestoring();
    const { journal } = this.deps;
    const { points } = this;
    const { recordsMax, flush, source, make, audit, settled, isUrgent = false } = request;
    let records: readonly JournalRecord[] = [];
    let first = 0;
    return journal.append({
      stream: "state",
      flush,
      recordsMax,
      ...(source === undefined ? {} : { source }),
      ...(audit === undefined ? {} : { audit }),
      ...(isUrgent ? { room: "urgent" } : {}),
      build: (from) => {
        first = from;
        records = make(points, from);
        return records;
      },
      settle: (isFlushed) => {
        points.settle(isFlushed, records, first, journal.runMs());
        settled?.(isFlushed);
        this.#expirer.watch();
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
    if (!this.#isRestoring) return;
    throw new PlantError("STORE_BUSY", { reason: "a backup is being put in place" });
  }

  get backupPlace(): BackupPlace {
    const { clock, random, journal } = this.deps;
    const { backups, mapMiB } = this.config;
    return { clock, random, journal, folder: backups, roomBytes: mapMiB * 1_048_576 };
  }

  /** Does something with a backup; one at a time. @throws PlantError STORE_BUSY. */
  async trying<T>(work: () => Promise<T>): Promise<T> {
    this.refuseWhileRestoring();
    if (this.#isTrying) {
      throw new PlantError("STORE_BUSY", { reason: "another backup is being made or read" });
    }
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
      await this.past.end();
      const result = await work();
      this.wear.forget();
      await this.load();
      return result;
    } finally {
      this.past.renew();
      this.#isRestoring = false;
    }
  }

  /**
   * Verifies a backup, then replaces the store by it.
   * @param first what must be done before; when it fails, the store stays.
   */
  restore(
    asked: Parameters<typeof openBackup>[1],
    first: () => Promise<unknown>,
  ): Promise<{ epoch: string; report: OpenedBackup["report"] }> {
    return this.trying(async () => {
      const { file, report, remove } = await openBackup(this.backupPlace, asked);
      try {
        await first();
        const epoch = await this.apart(() => this.deps.journal.restore(file));
        return { epoch, report };
      } finally {
        remove();
      }
    });
  }
}

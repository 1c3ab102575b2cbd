// The service org.plantd.State: values with quality and time, events and lines, what changed, and
// who has heard of it. It must not know MQTT or HTTP, or how requests reach it.
import type { Config } from "../config/config.ts";
import type { Journal, JournalRecord, Stream } from "../journal/journal.ts";
import { type Clock, type ClockSync, type Stamp, stampNow } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import { type Running, startLoop } from "../util/running.ts";
import { check } from "../util/shape.ts";
import type { Operation, WorkerRequest } from "../worker/worker.ts";
import { type BackupPlace, createBackup, listBackups, openBackup } from "./backup.ts";
import { plantdOperations } from "./plantd.ts";
import { type Place, type Point, type PointChange, PointTable } from "./points.ts";
import { bound, boundChanges, checkJson, checkPoint, countOf, limits, shapes } from "./requests.ts";
import { Watchers } from "./watch.ts";

export type { Point, PointType, Quality } from "./points.ts";

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
};

/** The running state: its operations are served by a worker of `service`. */
export interface State extends Running {
  readonly service: "org.plantd.State";
  readonly operations: Readonly<Record<string, Operation>>;
  /** Sequence up to which records wait for nobody: grows while the disk works. */
  readonly head: (stream: Stream) => number;
  /** Appends lines to the stream `log`, for the logger in the same process. */
  readonly appendLines: (lines: readonly string[]) => Promise<void>;
}

/** Starts the state over an open journal: values are the checkpoint and the log after it. */
export async function startState(deps: StateDeps, config: StateConfig): Promise<State> {
  const core = new StateCore(deps, config);
  core.load();
  const loop = startLoop({
    clock: deps.clock,
    round: async (signal) => {
      await deps.clock.sleep(config.checkpointMs, signal);
      if (!signal.aborted) await core.tend();
    },
  });
  let closing: Promise<void> | undefined;
  return {
    service: "org.plantd.State",
    operations: operationsOf(core),
    head: (stream) => deps.journal.head(stream),
    appendLines: (lines) => core.appendOwnLines(lines),
    ended: loop.ended,
    async [Symbol.asyncDispose]() {
      closing ??= Promise.resolve(loop[Symbol.asyncDispose]()).then(() => core.tend());
      await closing;
    },
  };
}

type SourceArguments = { readonly source: string; readonly run: string; readonly number: number };

/** What the operations work on. */
export class StateCore {
  readonly deps: StateDeps;
  readonly config: StateConfig;
  readonly watchers = new Watchers();
  points: PointTable;
  #isRestoring = false;
  /** Whether a backup is being tried: one at a time. */
  #isTrying = false;
  #tending: Promise<void> = Promise.resolve();

  constructor(deps: StateDeps, config: StateConfig) {
    this.deps = deps;
    this.config = config;
    this.points = new PointTable(config.pointsMax);
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
    } catch (error) {
      if (!(error instanceof PlantError)) throw error;
      points.returnDirty(rows.keys());
      log.error("the checkpoint was not written", { code: error.code, error });
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
      ...(source === undefined ? {} : { source }),
    });
  }

  async appendOwnLines(lines: readonly string[]): Promise<void> {
    const records = lines.map((text) => ({ kind: "line", text }));
    if (records.length > 0) await this.append("log", records, { flush: "group" });
  }

  refuseWhileRestoring(): void {
    if (this.#isRestoring) throw new PlantError("STORE_BUSY", { max: 0 });
  }

  get backupPlace(): BackupPlace {
    const { clock, random, journal } = this.deps;
    const { backups, mapMiB } = this.config;
    return { clock, random, journal, folder: backups, roomBytes: mapMiB * 1_048_576 };
  }

  /** Verifies a backup, then replaces the store by it. */
  async restore(path: string, passphrase: string): Promise<string> {
    this.refuseWhileRestoring();
    if (this.#isTrying) throw new PlantError("STORE_BUSY", { max: 0 });
    this.#isTrying = true;
    let remove = () => {};
    try {
      const opened = await openBackup(this.backupPlace, path, passphrase);
      const { file } = opened;
      remove = opened.remove;
      this.#isRestoring = true;
      await this.#tending;
      const epoch = await this.deps.journal.restore(file);
      this.load();
      return epoch;
    } finally {
      this.#isRestoring = false;
      this.#isTrying = false;
      remove();
    }
  }
}

function operationsOf(core: StateCore): Record<string, Operation> {
  return {
    "set-many": ({ args }) => setMany(core, args),
    "append-event": ({ args }) => appendEvent(core, args),
    "append-lines": ({ args }) => appendLines(core, args),
    list: ({ args }) => list(core, args),
    watch: (request) => watch(core, request),
    changes: (request) => changes(core, request),
    ack: async ({ args }) => {
      const { consumer, stream, sequence } = check(shapes.ack, args);
      core.refuseWhileRestoring();
      return { watermark: await core.deps.journal.ack(consumer, stream, sequence) };
    },
    position: ({ args }) => position(core, args),
    stats: () => statsOf(core),
    "backup-create": (request) => backupCreate(core, request),
    "backup-restore": async ({ args }) => {
      const { path, passphrase } = check(shapes.backupRestore, args);
      const epoch = await core.restore(path, passphrase);
      core.deps.log.warn("the store was replaced by a backup", { path, epoch });
      return { epoch };
    },
    "backup-list": () => ({ backups: listBackups(core.config.backups) }),
    ...plantdOperations(core),
  };
}

async function setMany(core: StateCore, args: unknown): Promise<unknown> {
  const { points, flush = "group", source, run, number } = check(shapes.setMany, args);
  if (points.length === 0) {
    throw new PlantError("REQUEST_MALFORMED", { reason: "points: at least one is needed" });
  }
  bound("points of one call", points.length, limits.pointsPerCall);
  const now = core.now();
  const changes = points.map((point, at) => checkPoint(point, at, now));
  return await core.set(changes, { flush, source: { source, run, number }, by: source });
}

async function appendEvent(core: StateCore, args: unknown): Promise<unknown> {
  const { events, flush, source, run, number } = check(shapes.appendEvent, args);
  if (events.length === 0) {
    throw new PlantError("REQUEST_MALFORMED", { reason: "events: at least one is needed" });
  }
  bound("events of one call", events.length, limits.eventsPerCall);
  const now = core.now();
  const records = events.map(({ time, ...event }, at) => {
    checkJson(`events.${at}.detail`, event.detail);
    const bytes = Buffer.byteLength(JSON.stringify(event));
    bound("bytes of one event", bytes, limits.valueBytes);
    return { kind: "event", event, time: time ?? now, source };
  });
  const isAlarm = events.some(({ severity }) => severity === "alarm");
  return await core.append("event", records, {
    flush: flush ?? (isAlarm ? "now" : "group"),
    source: { source, run, number },
  });
}

async function appendLines(core: StateCore, args: unknown): Promise<unknown> {
  const { lines, source, run, number } = check(shapes.appendLines, args);
  if (lines.length === 0) {
    throw new PlantError("REQUEST_MALFORMED", { reason: "lines: at least one is needed" });
  }
  bound("lines of one call", lines.length, limits.linesPerCall);
  const records = lines.map((text) => {
    bound("bytes of one line", Buffer.byteLength(text), limits.lineBytes);
    return { kind: "line", text };
  });
  return await core.append("log", records, { flush: "group", source: { source, run, number } });
}

function list(core: StateCore, args: unknown): unknown {
  const { scope, prefix = "", after, limit } = check(shapes.list, args ?? {});
  const most = countOf("list limit", limit, limits.listMax);
  const points: Point[] = [];
  const place = after === undefined ? undefined : placeOf(after);
  for (const point of core.points.list(place, scope)) {
    // A prefix is of the key within one scope, of the scope otherwise.
    const text = scope === undefined ? point.scope : point.key;
    if (!text.startsWith(prefix)) continue;
    points.push(point);
    if (points.length > most) break;
  }
  if (points.length <= most) return { points };
  points.pop();
  const last = points.at(-1);
  const next = JSON.stringify([last?.scope, last?.key]);
  return { points, next: Buffer.from(next).toString("base64url") };
}

/** Where a list goes on, from the `next` of its last page. */
function placeOf(after: string): Place {
  const [scope, key] = parseArray(Buffer.from(after, "base64url").toString());
  if (typeof scope === "string" && typeof key === "string") return { scope, key };
  throw new PlantError("REQUEST_MALFORMED", { reason: "after: the next of a page before" });
}

function parseArray(text: string): unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

async function watch(core: StateCore, request: WorkerRequest): Promise<unknown> {
  const { scopes, after } = check(shapes.watch, request.args ?? {});
  const head = core.deps.journal.head("state");
  if (after !== undefined && after > head) {
    throw new PlantError("SEQUENCE_AHEAD", { stream: "state", sequence: after, head });
  }
  const wanted = scopes === undefined ? undefined : new Set(scopes);
  const missed: Point[] = [];
  if (after !== undefined && after < head) {
    for (const point of core.points.list(undefined, undefined)) {
      if (point.revision > after && wanted?.has(point.scope) !== false) missed.push(point);
    }
  }
  const position = await core.watchers.follow(
    { clock: core.deps.clock, head: () => core.deps.journal.head("state") },
    { wanted, missed, waitMs: limits.waitMs },
    request,
  );
  return { position };
}

async function changes(core: StateCore, request: WorkerRequest): Promise<unknown> {
  const query = boundChanges(check(shapes.changes, request.args));
  core.refuseWhileRestoring();
  const { journal, clock } = core.deps;
  const found = journal.read(query);
  if (found.records.length > 0 || query.waitMs === 0) return found;
  const over = new AbortController();
  const stop = AbortSignal.any([over.signal, request.signal]);
  const timed = clock.sleep(query.waitMs, stop).then(() => over.abort());
  await journal.grown(query.stream, stop);
  over.abort();
  await timed;
  core.refuseWhileRestoring();
  return journal.read(query);
}

async function position(core: StateCore, args: unknown): Promise<unknown> {
  const { consumer } = check(shapes.position, args);
  core.refuseWhileRestoring();
  const { journal, boot, clock } = core.deps;
  const now = core.now();
  const streams: Record<string, unknown> = {};
  for (const [name, place] of Object.entries(await journal.position(consumer))) {
    const { oldestWallMs, ...rest } = place;
    if (oldestWallMs === undefined) streams[name] = rest;
    else {
      const ageMs = Math.max(0, clock.wallMs() - oldestWallMs);
      const oldest = { ...now, wall: oldestWallMs, mono: Math.max(0, now.mono - ageMs) };
      streams[name] = { ...rest, oldest };
    }
  }
  return { boot, lineage: journal.lineage, streams };
}

function statsOf(core: StateCore): unknown {
  return { ...core.deps.journal.stats(), points: core.points.count, watchers: core.watchers.count };
}

async function backupCreate(core: StateCore, request: WorkerRequest): Promise<unknown> {
  const { passphrase } = check(shapes.backupCreate, request.args);
  core.refuseWhileRestoring();
  let told = 0;
  let telling: Promise<void> = Promise.resolve();
  const made = await createBackup(core.backupPlace, passphrase, (done, total) => {
    const percent = Math.floor((done / total) * 100);
    if (percent < told + 10) return;
    told = percent;
    telling = telling.then(() => request.partial({ done, total }));
  });
  await telling;
  core.deps.log.info("a backup was made", made);
  return made;
}

// The service org.plantd.State: values with quality and time, events and lines, what changed, and
// who has heard of it. It must not know MQTT or HTTP, or how requests reach it.
import type { Stream } from "../journal/journal.ts";
import { PlantError } from "../util/errors.ts";
import { type Running, startLoop } from "../util/running.ts";
import { check } from "../util/shape.ts";
import type { Operation, WorkerRequest } from "../worker/worker.ts";
import { createBackup, listBackups } from "./backup.ts";
import { type StateConfig, StateCore, type StateDeps } from "./core.ts";
import { plantdOperations } from "./plantd.ts";
import type { Place, Point } from "./points.ts";
import {
  bound,
  boundChanges,
  checkJson,
  checkPoint,
  countOf,
  limits,
  shapes,
  weightOf,
} from "./requests.ts";

export type { StateConfig, StateDeps } from "./core.ts";
export type { Point, PointType, Quality } from "./points.ts";

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

function operationsOf(core: StateCore): Record<string, Operation> {
  return {
    "set-many": ({ args }) => setMany(core, args),
    "append-event": ({ args }) => appendEvent(core, args),
    "append-lines": ({ args }) => appendLines(core, args),
    list: ({ args }) => list(core, args),
    watch: (request) => watch(core, request),
    changes: (request) => changes(core, request),
    ack: async ({ args }) => {
      const { consumer, stream, sequence, welcome } = check(shapes.ack, args);
      core.refuseWhileRestoring();
      const { journal } = core.deps;
      const watermark = welcome
        ? await journal.welcome(consumer, stream, sequence)
        : await journal.ack(consumer, stream, sequence);
      return { watermark };
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
  let weight = 0;
  const place = after === undefined ? undefined : placeOf(after);
  for (const point of core.points.list(place, scope)) {
    // A prefix is of the key within one scope, of the scope otherwise.
    const text = scope === undefined ? point.scope : point.key;
    if (!text.startsWith(prefix)) continue;
    points.push(point);
    weight += weightOf(point.value);
    if (points.length > most || (weight > limits.answerValueBytes && points.length > 1)) break;
  }
  if (points.length <= most && weight <= limits.answerValueBytes) return { points };
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
  bound("changes that are waited for", core.waiting + 1, limits.waitingMax);
  core.waiting += 1;
  const over = new AbortController();
  const stop = AbortSignal.any([over.signal, request.signal]);
  const timed = clock.sleep(query.waitMs, stop).then(() => over.abort());
  try {
    await journal.grown(query.stream, stop);
  } finally {
    core.waiting -= 1;
    over.abort();
    await timed;
  }
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

// The operations on streams: append events and lines, read what changed, say how far one has read.
// It must not know what the records mean.
import { type BatchRecord, lastOf } from "../batch/batch.ts";
import type { Changes, ChangesQuery } from "../journal/journal.ts";
import { PlantError } from "../util/errors.ts";
import { check } from "../util/shape.ts";
import type { Operation, WorkerRequest } from "../worker/worker.ts";
import type { StateCore } from "./core.ts";
import { tellDamage } from "./damage.ts";
import { withRoom } from "./point-operations.ts";
import { bound, boundChanges, checkJson, limits, shapes } from "./requests.ts";
import { statsOf } from "./stats.ts";

/** Operations on streams and their consumers. */
export function streamOperations(core: StateCore): Record<string, Operation> {
  return {
    "append-event": ({ args }) => appendEvent(core, args),
    "append-lines": ({ args }) => appendLines(core, args),
    changes: (request) => changes(core, request),
    ack: ({ args }) => ack(core, args),
    position: ({ args }) => position(core, args),
    stats: () => statsOf(core),
  };
}

async function ack(core: StateCore, args: unknown): Promise<unknown> {
  const { consumer, stream, sequence, welcome } = check(shapes.ack, args);
  core.refuseWhileRestoring();
  const { journal } = core.deps;
  const watermark = welcome
    ? await journal.welcome(consumer, stream, sequence)
    : await journal.ack(consumer, stream, sequence);
  return { watermark };
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

async function changes(core: StateCore, request: WorkerRequest): Promise<unknown> {
  const query = boundChanges(check(shapes.changes, request.args));
  core.refuseWhileRestoring();
  if (query.parts) return await changesInParts(core, request, query);
  const read = () => {
    core.refuseWhileRestoring();
    return readChanges(core, query);
  };
  const found = await withRoom(request, read);
  if (found.records.length > 0 || query.waitMs === 0) return found;
  await using over = startWait(core, query.waitMs, request.signal);
  await core.deps.journal.grown(query.stream, over.signal);
  return await withRoom(request, read);
}

/** Records after a sequence; covers over damage tell what is still known, within `bytesMax`. */
function readChanges(core: StateCore, query: ChangesQuery): Changes {
  const { points } = core;
  const { journal } = core.deps;
  const found = journal.read(query);
  if (query.stream !== "state") return found;
  const records = found.records as unknown as readonly BatchRecord[];
  const told = tellDamage({ points, journal }, records, query.after);
  if (told === records) return found;
  let bytes = 0;
  const beyond = told.findIndex((record, at) => {
    bytes += JSON.stringify(record).length;
    return at > 0 && bytes > query.bytesMax;
  });
  const part = beyond < 0 ? told : told.slice(0, beyond);
  const end = part.at(-1);
  const last = end === undefined ? found.last : lastOf(end);
  return { ...found, records: part as unknown as Changes["records"], last };
}

/** Records up to the head, and for `waitMs` what comes; each part is of one epoch. */
async function changesInParts(
  core: StateCore,
  request: WorkerRequest,
  query: ReturnType<typeof boundChanges>,
): Promise<unknown> {
  const { journal } = core.deps;
  const { stream, waitMs } = query;
  await using over = startWait(core, waitMs, request.signal);
  let { after } = query;
  let head = journal.head(stream);
  for (;;) {
    const told = await tellPart(core, request, { ...query, after });
    after = told.after;
    head = told.head;
    if (after < head) continue;
    if (waitMs === 0 || over.signal.aborted) return { last: after, head };
    await journal.grown(stream, over.signal);
  }
}

/** The next part, if there is any: nothing of it is held when this is over. */
async function tellPart(
  core: StateCore,
  request: WorkerRequest,
  query: ChangesQuery,
): Promise<{ after: number; head: number }> {
  using _room = await request.room();
  core.refuseWhileRestoring();
  const { epoch, records, last, head } = readChanges(core, query);
  if (records.length === 0) return { after: query.after, head };
  await request.partial({ epoch, records, last });
  request.signal.throwIfAborted();
  return { after: last, head };
}

/** A bounded wait of one of a bounded number; it is over after `ms` or when the caller gives up. */
function startWait(
  core: StateCore,
  ms: number,
  signal: AbortSignal,
): AsyncDisposable & { readonly signal: AbortSignal } {
  bound("changes that are waited for", core.waiting + 1, limits.waitingMax);
  core.waiting += 1;
  const over = new AbortController();
  const stop = AbortSignal.any([over.signal, signal]);
  const timed = core.deps.clock.sleep(ms, stop).then(() => over.abort());
  return {
    signal: stop,
    async [Symbol.asyncDispose]() {
      core.waiting -= 1;
      over.abort();
      await timed;
    },
  };
}

async function position(core: StateCore, args: unknown): Promise<unknown> {
  const { consumer, register } = check(shapes.position, args);
  core.refuseWhileRestoring();
  const { journal, boot, clock } = core.deps;
  const now = core.now();
  const streams: Record<string, unknown> = {};
  const places = await journal.position(consumer, { register });
  for (const [name, place] of Object.entries(places)) {
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

// What the operation `stats` tells: figures of the disk, the streams, their consumers, the database,
// and what is made of them. It must not know who asks.
import { type Occurrences, type Stream, streams } from "../journal/journal.ts";
import { type Consumer, listConsumers } from "./consumers.ts";
import type { StateCore } from "./core.ts";
import { healthOf } from "./health.ts";
import { lossIn } from "./loss.ts";

/** What a stream takes of the room. */
interface StreamFigures {
  /** Sequence of the first record kept; `head + 1` when none is. */
  readonly first: number;
  readonly head: number;
  readonly bytes: number;
  readonly quotaBytes: number;
  /** Up to here no consumer holds records; null without any that does. */
  readonly acked: number | null;
}

/** How often something went wrong since the opening; times in ms since 1970. */
interface Trouble {
  readonly count: number;
  readonly lastHour: number;
  readonly first: number | null;
  readonly last: number | null;
}

/** All figures. */
export function statsOf(core: StateCore): object {
  const { deps, points, watchers, schemas } = core;
  const { journal, clock } = deps;
  const { failedCommits, damagedReads } = journal.troubles();
  const wallMs = clock.wallMs();
  return {
    ...journal.stats(),
    ...healthOf(core),
    streams: streamFigures(core),
    failed: troubleOf(failedCommits, wallMs),
    damaged: troubleOf(damagedReads, wallMs),
    points: points.count,
    expiring: points.expiring,
    scopes: points.slots.scopes.count,
    schemas: schemas.count,
    watchers: watchers.count,
    changesWaiting: core.waiting,
    consumerList: listConsumers(core).map(withWaiting),
    checkpointAgeMs: Math.round(clock.monotonicMs() - core.checkpointAtMs),
    checkpointFailed: core.checkpointFailure ?? null,
    runMs: Math.round(journal.runMs()),
    rollup: rollupOf(core),
    wear: core.wear.report(),
    ...databaseStats(core),
  };
}

/** What each stream takes of the room. */
function streamFigures({ deps: { journal } }: StateCore): Record<Stream, StreamFigures> {
  const all = streams.map((stream): [Stream, StreamFigures] => {
    const { first, head, bytes, quotaBytes, acked: lowest } = journal.use(stream);
    const acked = Number.isFinite(lowest) ? Math.min(lowest, head) : null;
    return [stream, { first, head, bytes, quotaBytes, acked }];
  });
  return Object.fromEntries(all) as Record<Stream, StreamFigures>;
}

function troubleOf(found: Occurrences, wallMs: number): Trouble {
  const { count, lastHour, firstAgeMs, lastAgeMs } = found;
  const at = (ageMs: number | undefined) => (ageMs === undefined ? null : wallMs - ageMs);
  return { count, lastHour, first: at(firstAgeMs), last: at(lastAgeMs) };
}

function withWaiting(one: Consumer): Consumer & { readonly waiting: number } {
  const waiting = Object.values(one.streams).reduce((sum, place) => sum + place.waiting, 0);
  return { ...one, waiting };
}

/** How far values are rolled up, and the records that wait for it. */
function rollupOf({ past, deps }: StateCore): { readonly to: number; readonly waiting: number } {
  const head = deps.journal.head("state");
  const to = Math.min(head, past.rollup.rolledUpTo());
  return { to, waiting: head - to };
}

/** What is told of the database itself. */
function databaseStats(core: StateCore): object {
  const { guard, snapshots, deps } = core;
  const all = snapshots?.list() ?? [];
  const [newest] = all;
  const unseen = (guard?.replaced ?? []).filter(({ seenMs }) => seenMs === undefined);
  const last = unseen.at(-1);
  return {
    format: deps.journal.format,
    formatHeld: core.isFormatHeld,
    lastCheck: guard?.lastCheck ?? null,
    quarantines: guard?.quarantines().length ?? 0,
    losses: unseen.length,
    lastLoss: last === undefined ? null : lossIn(last),
    snapshots: {
      count: all.length,
      newest: newest?.time ?? null,
      ageMs: newest === undefined ? null : Math.max(0, deps.clock.wallMs() - newest.time),
      bytes: newest?.bytes ?? null,
      ...snapshots?.stats(),
    },
  };
}

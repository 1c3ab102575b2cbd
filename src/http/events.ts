// Recent events of the journal, newest first, bounded. It must not know how they are shown.
import type { Client } from "../client/client.ts";
import { centreConsumer, services } from "../status/status.ts";
import type { Clock } from "../util/clock.ts";
import { asPlantError, hasCode } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import { type Running, startLoop } from "../util/running.ts";
import { check, inspect, v } from "../util/shape.ts";

/** Events the page keeps. */
const eventsMax = 50;
const retryMs = 2000;
const waitMs = 25_000;

const recordShape = v.looseObject({
  sequence: v.number(),
  kind: v.literal("event"),
  time: v.optional(v.looseObject({ wall: v.number() })),
  source: v.optional(v.string(), ""),
  event: v.looseObject({
    kind: v.optional(v.string(), ""),
    severity: v.fallback(v.picklist(["info", "warning", "alarm"]), "info"),
    message: v.optional(v.string(), ""),
    code: v.optional(v.string()),
  }),
});

const answerShape = v.looseObject({
  epoch: v.optional(v.string()),
  records: v.array(v.unknown()),
  head: v.number(),
});

const positionShape = v.looseObject({
  streams: v.record(v.string(), v.looseObject({ head: v.number() })),
});

/** One event as the page shows it. */
export interface RecentEvent {
  readonly sequence: number;
  /** Milliseconds since 1970 UTC; 0 when not known. */
  readonly time: number;
  readonly severity: "info" | "warning" | "alarm";
  readonly message: string;
  readonly source: string;
}

export interface EventView extends Running {
  /** Counts changes. */
  readonly version: number;
  /** Newest first. */
  list(): readonly RecentEvent[];
}

/** Starts to follow the stream `event`. */
export function startEvents(deps: { clock: Clock; client: Client; log: Log }): EventView {
  const { clock, client, log } = deps;
  let version = 0;
  let after: number | undefined;
  let epoch: string | undefined;
  const events: RecentEvent[] = [];
  const take = (records: readonly unknown[]) => {
    for (const record of records) {
      const found = inspect(recordShape, record);
      if (!found.ok) continue;
      const { sequence, time, source, event } = found.value;
      events.unshift({
        sequence,
        time: time?.wall ?? 0,
        severity: event.severity,
        message: event.message || event.kind,
        source,
      });
      version += 1;
    }
    events.length = Math.min(events.length, eventsMax);
  };
  /** A store that was opened anew, from a backup maybe, has other events than those of before. */
  const beginAnew = () => {
    if (events.length > 0) version += 1;
    events.length = 0;
    after = undefined;
    epoch = undefined;
  };
  const ask = async (from: number, wait: number, signal: AbortSignal) => {
    const args = { stream: "event", after: from, limit: eventsMax, waitMs: wait };
    const options = { deadlineMs: wait + 5000, signal };
    return check(answerShape, await client.call(services.state, "changes", args, options));
  };
  const round = async (signal: AbortSignal) => {
    try {
      if (after === undefined) {
        after = Math.max(0, (await headOf(client)) - eventsMax);
      }
      const answer = await ask(after, waitMs, signal);
      if (epoch !== undefined && answer.epoch !== epoch) return beginAnew();
      const { records, head } = answer;
      epoch = answer.epoch;
      take(records);
      const last = records.map((record) => Number((record as { sequence?: unknown }).sequence));
      after = head < after ? 0 : Math.max(after, ...last.filter(Number.isFinite));
      await clock.sleep(0, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (hasCode(error, "SEQUENCE_GONE")) {
        after = Number(error.detail.first) - 1;
        await clock.sleep(0, signal);
        return;
      }
      if (hasCode(error, "SEQUENCE_AHEAD")) beginAnew();
      const { code, message } = asPlantError(error);
      log.debug("events are interrupted", { code, reason: message });
      await clock.sleep(retryMs, signal);
    }
  };
  const loop = startLoop({ clock, round });
  return {
    ended: loop.ended,
    [Symbol.asyncDispose]: () => loop[Symbol.asyncDispose](),
    get version() {
      return version;
    },
    list: () => events,
  };
}

/** The last sequence of the stream `event`. */
async function headOf(client: Client): Promise<number> {
  const args = { consumer: centreConsumer };
  const data = await client.call(services.state, "position", args, { deadlineMs: 5000 });
  return check(positionShape, data).streams.event?.head ?? 0;
}

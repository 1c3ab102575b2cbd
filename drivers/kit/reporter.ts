// Tells the store what a line reads: one numbered request at a time, repeated until answered.
// It must not know how values are read.

import type { Client } from "../../src/client/client.ts";
import { backoffMs } from "../../src/util/backoff.ts";
import type { Clock } from "../../src/util/clock.ts";
import { asPlantError } from "../../src/util/errors.ts";
import type { Log } from "../../src/util/log.ts";
import type { Random } from "../../src/util/random.ts";
import { type Running, within } from "../../src/util/running.ts";
import type { PointInfo, TimedSample } from "./device-plan.ts";
import { type Batch, type LineEvent, Outbox, type OutboxLimits } from "./outbox.ts";

export interface ReporterDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly client: Client;
}

export interface ReporterOptions {
  /** `driver.<line>`. */
  readonly source: string;
  readonly limits: OutboxLimits;
  /** Type and unit of a point, where known. */
  infoOf(sample: TimedSample): PointInfo | undefined;
  /** These points lost samples; the next one of each should be recorded in any case. */
  onLoss(points: readonly string[]): void;
}

export interface Reporter extends Running {
  /** Hands over samples of one poll cycle (`group`) or what a person waits for (`now`). */
  report(samples: readonly TimedSample[], flush: "now" | "group"): void;
  event(event: LineEvent): void;
  readonly figures: {
    readonly waiting: number;
    readonly lost: Outbox["lost"];
    readonly refused: number;
  };
}

const service = "org.plantd.State";
/** Longest wait for one answer of the store. */
const deadlineMs = 10_000;
const retryRange = { baseMs: 100, ceilingMs: 5000 };

/** Time to tell the store what still waits when the line ends. */
const closeMaxMs = 1000;
/** Answers that repeating would not change. */
const permanent = ["REQUEST_MALFORMED", "MESSAGE_TOO_LARGE", "OPERATION_UNKNOWN"];

/** Starts the reporter of a line. Its run is a new random id; its numbers count from 1. */
export function startReporter(deps: ReporterDeps, options: ReporterOptions): Reporter {
  const outbox = new Outbox(options.limits);
  const stop = new AbortController();
  const run = Buffer.from(deps.random.bytes(8)).toString("hex");
  let wake = new AbortController();
  let number = 0;
  let refused = 0;
  let isIdle = true;
  let onIdle = () => {};

  async function deliver(operation: string, body: Readonly<Record<string, unknown>>) {
    number += 1;
    const args = { source: options.source, run, number, ...body };
    for (let attempt = 0; !stop.signal.aborted; attempt += 1) {
      try {
        await deps.client.call(service, operation, args, { deadlineMs, signal: stop.signal });
        return;
      } catch (thrown) {
        const error = asPlantError(thrown);
        if (permanent.includes(error.code)) {
          refused += 1;
          deps.log.error("the store refused what the line reads", { code: error.code, error });
          return;
        }
        if (attempt === 0 && !stop.signal.aborted) {
          deps.log.warn("the store does not answer; repeating", { code: error.code });
        }
      }
      await deps.clock.sleep(backoffMs(retryRange, attempt, deps.random.unit()), stop.signal);
    }
  }

  async function round(): Promise<void> {
    while (!stop.signal.aborted) {
      const batch = outbox.take();
      if (batch !== undefined) await deliver("set-many", bodyOf(batch, options));
      const events = outbox.takeEvents();
      if (events.length > 0) await deliver("append-event", { flush: "now", events });
      if (outbox.waiting > 0 || stop.signal.aborted) continue;
      isIdle = true;
      onIdle();
      wake = new AbortController();
      await deps.clock.sleep(idleMs, wake.signal);
    }
  }

  const ended = round().then(
    () => undefined,
    (error: unknown) => asPlantError(error),
  );
  return {
    ended,
    report(samples, flush) {
      if (samples.length === 0) return;
      const lost = outbox.add(samples, flush);
      if (lost.length > 0) options.onLoss(lost);
      isIdle = false;
      wake.abort();
    },
    event(event) {
      outbox.addEvent(event);
      isIdle = false;
      wake.abort();
    },
    get figures() {
      return { waiting: outbox.waiting, lost: outbox.lost, refused };
    },
    async [Symbol.asyncDispose]() {
      const idle = new Promise<void>((resolve) => {
        onIdle = resolve;
      });
      if (!isIdle && !stop.signal.aborted) await within(deps.clock, closeMaxMs, idle);
      stop.abort();
      wake.abort();
      await ended;
    },
  };
}

/** A sleep that only its signal ends. */
const idleMs = 3_600_000;

function bodyOf({ samples, flush }: Batch, options: ReporterOptions) {
  return { flush, points: samples.map((sample) => pointOf(sample, options.infoOf(sample))) };
}

/** A sample as the State service takes it. */
export function pointOf(sample: TimedSample, info: PointInfo | undefined) {
  const { device, point, value, quality, reason, time } = sample;
  return {
    scope: `device/${device}`,
    key: point,
    value,
    ...(info === undefined ? {} : { type: info.type }),
    ...(info?.unit === undefined ? {} : { unit: info.unit }),
    quality,
    ...(reason === undefined ? {} : { reason }),
    time,
  };
}

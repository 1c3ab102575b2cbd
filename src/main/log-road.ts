// Brings the log lines of a process to the logger: batched, bounded, oldest dropped and counted.
// It must not know what a line says.
import type { Clock } from "../util/clock.ts";
import type { Log } from "../util/log.ts";
import { type LogLevels, logLevels } from "../util/log-levels.ts";
import { type Running, startLoop } from "../util/running.ts";
import { inspect, v } from "../util/shape.ts";

/** Takes lines at any time, also before the logger is there. */
export interface LogRoad {
  /** Puts one finished line on its way; never throws, never waits. */
  push(line: string): void;
  /** Starts carrying; disposal makes one last attempt. */
  start(deps: LogRoadDeps): Running;
}

export interface LogRoadDeps {
  readonly clock: Clock;
  readonly log: Log;
  /**
   * Hands over lines, oldest first; rejects when the logger is not there. No lines at all are an
   * occasion to hear what the logger has to say.
   */
  readonly deliver: (lines: readonly string[], signal: AbortSignal) => Promise<void>;
}

export interface LogRoadConfig {
  /** Lines that may wait; above it the oldest go. */
  readonly linesMax: number;
  /** Lines in one delivery. */
  readonly batchMax: number;
  /** Time between two deliveries. */
  readonly pauseMs: number;
  /** Longest time without a delivery, of no lines when there are none. */
  readonly pollMs: number;
  /** Longest time between two attempts while the logger is away; each is twice the one before. */
  readonly pauseCeilingMs: number;
  /** Longest last attempt at the end. */
  readonly closeMs: number;
}

/** More would only leave the numbers. */
const doublingsMax = 20;

/** Opens a road nobody travels on yet. */
export function openLogRoad(config: LogRoadConfig): LogRoad {
  const waiting: string[] = [];
  let dropped = 0;
  const push = (line: string) => {
    waiting.push(line);
    while (waiting.length > config.linesMax) {
      waiting.shift();
      dropped += 1;
    }
  };
  return { push, start };

  function start({ clock, log, deliver }: LogRoadDeps): Running {
    /** Failures since the last delivery. */
    let refusals = 0;
    let deliveredMs = clock.monotonicMs();
    const isDue = () => clock.monotonicMs() - deliveredMs >= config.pollMs;
    /** Delivers all that waits; stops at the first failure, with the rest still waiting. */
    const carry = async (signal: AbortSignal): Promise<void> => {
      while ((waiting.length > 0 || isDue()) && !signal.aborted) {
        const batch = waiting.slice(0, config.batchMax);
        const before = dropped;
        try {
          await deliver(batch, signal);
        } catch (error) {
          // A line about it would be one more line that waits, each time.
          if (refusals === 0) log.debug("the logger takes no lines; they wait", { error });
          refusals += 1;
          return;
        }
        refusals = 0;
        deliveredMs = clock.monotonicMs();
        // What was dropped meanwhile came from the front of the batch.
        waiting.splice(0, Math.max(0, batch.length - (dropped - before)));
      }
      if (dropped > 0 && !signal.aborted) {
        const lines = dropped;
        dropped = 0;
        log.warn("log lines were dropped while the logger was away", { lines });
      }
    };
    const { pauseMs, pauseCeilingMs } = config;
    const loop = startLoop({
      clock,
      round: carry,
      pauseMs: () => Math.min(pauseCeilingMs, pauseMs * 2 ** Math.min(refusals, doublingsMax)),
    });
    return {
      ended: loop.ended,
      async [Symbol.asyncDispose]() {
        await loop[Symbol.asyncDispose]();
        const limit = new AbortController();
        const over = clock.sleep(config.closeMs, limit.signal).then(() => limit.abort());
        deliveredMs = clock.monotonicMs(); // nothing to hear any more
        await carry(limit.signal);
        limit.abort();
        await over;
      },
    };
  }
}

const levelsShape = v.object({
  levels: v.object({
    revision: v.pipe(v.string(), v.maxLength(100)),
    parts: v.record(
      v.string(),
      v.object({ level: v.picklist(logLevels), forMs: v.exactOptional(v.number()) }),
    ),
  }),
});

/** Takes the levels the logger's answer names, if it names any. */
export function hear(levels: LogLevels, reply: unknown): void {
  const found = inspect(levelsShape, reply);
  if (found.ok) levels.apply(found.value.levels);
}

// What every service looks like from outside once it has started: how it ends, and how to end it.
// It must not know any service.
import type { Clock } from "./clock.ts";

/**
 * A started service. Disposal is idempotent and bounded by a deadline of the service's own;
 * `ended` settles once, with the error that ended it or nothing, and never rejects.
 */
export interface Running extends AsyncDisposable {
  readonly ended: Promise<Error | undefined>;
}

/** Work that goes round until it is told to stop. */
export interface LoopOptions {
  readonly clock: Clock;
  /** Runs once per round; an error it throws ends the loop. `signal` aborts on disposal. */
  readonly round: (signal: AbortSignal) => Promise<void> | void;
  /** Waiting time between rounds, or a function of it; without one, rounds follow at once. */
  readonly pauseMs?: number | (() => number);
}

/** Starts a loop that rounds until disposed. Disposal waits for the round under way. */
export function startLoop(options: LoopOptions): Running {
  const stop = new AbortController();
  const ended = run(options, stop.signal);
  return {
    ended,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}

async function run(options: LoopOptions, signal: AbortSignal): Promise<Error | undefined> {
  const { clock, round, pauseMs } = options;
  try {
    while (!signal.aborted) {
      await round(signal);
      if (pauseMs !== undefined && !signal.aborted) {
        await clock.sleep(typeof pauseMs === "function" ? pauseMs() : pauseMs, signal);
      }
    }
    return undefined;
  } catch (error) {
    return asError(error);
  }
}

/** Whatever was thrown, as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/**
 * Waits for a promise no longer than a deadline.
 * @returns the value, or `undefined` when the time ran out first.
 */
export async function within<T>(
  clock: Clock,
  ms: number,
  promise: Promise<T>,
): Promise<T | undefined> {
  const over = new AbortController();
  try {
    return await Promise.race([promise, clock.sleep(ms, over.signal).then(() => undefined)]);
  } finally {
    over.abort();
  }
}

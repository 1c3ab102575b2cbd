// A clock that moves itself to the next sleeper whenever nothing else is left to do.
// It must not know what waits on it.
import type { Clock } from "../../src/util/clock.ts";

interface Sleeper {
  readonly dueMs: number;
  readonly wake: () => void;
}

export interface RacingClock extends Clock {
  /** Lets time pass until the promise settles; rejects when nothing is left that could settle it. */
  run<T>(promise: Promise<T>): Promise<T>;
  /** Lets this much time pass. */
  pass(ms: number): Promise<void>;
}

const idle = () => new Promise((done) => setImmediate(done));

export function racingClock(): RacingClock {
  let nowMs = 1000;
  const sleepers = new Set<Sleeper>();
  const clock: RacingClock = {
    wallMs: () => 1_700_000_000_000 + nowMs,
    monotonicMs: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) {
          resolve();
          return;
        }
        const wake = () => {
          sleepers.delete(sleeper);
          signal?.removeEventListener("abort", wake);
          resolve();
        };
        const sleeper: Sleeper = { dueMs: nowMs + Math.max(0, ms), wake };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", wake, { once: true });
      }),
    async run(promise) {
      let isOver = false;
      const settle = () => {
        isOver = true;
      };
      promise.then(settle, settle);
      await idle();
      while (!isOver) {
        let next: Sleeper | undefined;
        for (const sleeper of sleepers) {
          if (next === undefined || sleeper.dueMs < next.dueMs) next = sleeper;
        }
        if (next === undefined) throw new Error("nothing is left that could go on");
        nowMs = Math.max(nowMs, next.dueMs);
        next.wake();
        await idle();
      }
      return promise;
    },
    pass: (ms) => clock.run(clock.sleep(ms)),
  };
  return clock;
}

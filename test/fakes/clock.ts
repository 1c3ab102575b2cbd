// A clock that stands still until a test moves it. It must not know what waits on it.
import type { Clock } from "../../src/util/clock.ts";

interface Sleeper {
  readonly dueMs: number;
  readonly order: number;
  readonly wake: () => void;
}

export interface FakeClock extends Clock {
  /** Moves time on, waking sleepers in the order they are due, each with its work done first. */
  advance(ms: number): Promise<void>;
  /** Sets the wall clock without moving monotonic time. */
  setWall(ms: number): void;
  /** Sleepers waiting. */
  readonly waiting: number;
}

/** Starts at the given wall time; monotonic time starts at 1,000 ms. */
export function fakeClock(wallMs = 1_700_000_000_000): FakeClock {
  let mono = 1000;
  let offset = wallMs - mono;
  let order = 0;
  const sleepers: Sleeper[] = [];
  const settle = async () => {
    for (let round = 0; round < 20; round += 1) await new Promise((done) => setImmediate(done));
  };
  return {
    wallMs: () => mono + offset,
    monotonicMs: () => mono,
    setWall(ms) {
      offset = ms - mono;
    },
    get waiting() {
      return sleepers.length;
    },
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) {
          resolve();
          return;
        }
        order += 1;
        const remove = () => {
          const at = sleepers.indexOf(sleeper);
          if (at >= 0) sleepers.splice(at, 1);
          signal?.removeEventListener("abort", wake);
        };
        const wake = () => {
          remove();
          resolve();
        };
        const sleeper: Sleeper = { dueMs: mono + Math.max(0, ms), order, wake };
        sleepers.push(sleeper);
        signal?.addEventListener("abort", wake, { once: true });
      }),
    async advance(ms) {
      const target = mono + ms;
      await settle();
      for (;;) {
        const next = sleepers
          .filter((sleeper) => sleeper.dueMs <= target)
          .sort((a, b) => a.dueMs - b.dueMs || a.order - b.order)[0];
        if (next === undefined) break;
        mono = Math.max(mono, next.dueMs);
        next.wake();
        await settle();
      }
      mono = target;
      await settle();
    },
  };
}

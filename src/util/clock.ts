// Time as a parameter: the only file of the runtime that reads a clock or sets a timer.
// It must not know what time is used for.
import { readFileSync } from "node:fs";

/** Time for everything that waits, measures or stamps. Durations never use wall time. */
export interface Clock {
  /** Milliseconds since 1970 UTC, as the machine believes; may jump. */
  wallMs(): number;
  /** Milliseconds since the machine booted (CLOCK_MONOTONIC), fractional; never goes back. */
  monotonicMs(): number;
  /**
   * Waits. Resolves early, without an error, when `signal` aborts: the caller looks at the signal.
   * @param ms duration in milliseconds; 0 or less still yields once.
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** How far the wall clock can be trusted, weakest first. */
export type ClockSync = "none" | "rtc" | "ntp" | "central";

/** When something happened: wall clock, and the monotonic clock of a boot to correct it with. */
export interface Stamp {
  /** Milliseconds since 1970 UTC. */
  readonly wall: number;
  /** Boot id of the machine, 32 hexadecimal digits. */
  readonly boot: string;
  /** Milliseconds since that boot. */
  readonly mono: number;
  readonly sync: ClockSync;
}

/** setTimeout fires at once above this many milliseconds. */
const timerMaxMs = 2 ** 31 - 1;

/** From the process's own count of milliseconds to CLOCK_MONOTONIC; both run alike. */
const sinceBootMs = -performance.now() + Number(process.hrtime.bigint()) / 1e6;

/** The clock of the machine. */
// biome-ignore-start lint/style/noRestrictedGlobals: this file is the clock
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => sinceBootMs + performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) {
        resolve();
        return;
      }
      const finish = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", finish);
        resolve();
      };
      const timer = setTimeout(finish, Math.min(Math.max(ms, 0), timerMaxMs));
      signal?.addEventListener("abort", finish, { once: true });
    }),
};

/** The id of this boot of the machine, 32 hexadecimal digits; random where the kernel has none. */
export function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "ascii").trim().replaceAll("-", "");
  } catch {
    return crypto.randomUUID().replaceAll("-", "");
  }
}

/** Stamps the present moment. */
export function stampNow(clock: Clock, boot: string, sync: ClockSync): Stamp {
  return { wall: clock.wallMs(), boot, mono: Math.round(clock.monotonicMs()), sync };
}

/** Milliseconds since 1970 as ISO 8601 in UTC, for people and logs. */
export function isoTime(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
/** A moment of ISO 8601 in milliseconds since 1970, local unless it says its zone. */
export function parseTime(text: string): number | undefined {
  if (!/^\d{4}-\d{2}/.test(text)) return undefined;
  const time = Date.parse(text);
  return Number.isFinite(time) ? time : undefined;
}
// biome-ignore-end lint/style/noRestrictedGlobals: this file is the clock

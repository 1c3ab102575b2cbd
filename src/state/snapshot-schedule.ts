// When a snapshot is made: a while after the start when the newest is old, then at its interval.
// It must not know how one is made.
import type { Snapshots } from "../journal/journal.ts";
import type { Clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import { type Running, startLoop } from "../util/running.ts";

/** A start is busy enough, and a gateway that starts again and again writes no snapshot. */
const afterStartMs = 120_000;

/** How long to wait for the next: none is due before `everyMs` after the newest. */
export function waitFor(
  newestMs: number | undefined,
  { nowMs, everyMs }: { readonly nowMs: number; readonly everyMs: number },
): number {
  const least = Math.min(afterStartMs, everyMs);
  // One from the future was made before the clock was set back: its age is not known.
  if (newestMs === undefined || newestMs > nowMs) return least;
  return Math.min(everyMs, Math.max(least, newestMs + everyMs - nowMs));
}

/** Makes snapshots until disposed. Failures are told, not fatal. */
export function startSnapshots(
  { clock, log, snapshots }: { clock: Clock; log: Log; snapshots: Snapshots },
  { everyMs }: { readonly everyMs: number },
): Running {
  let isFirst = true;
  return startLoop({
    clock,
    round: async (signal) => {
      const newestMs = isFirst ? snapshots.list()[0]?.time : undefined;
      const pauseMs = isFirst ? waitFor(newestMs, { nowMs: clock.wallMs(), everyMs }) : everyMs;
      isFirst = false;
      await clock.sleep(pauseMs, signal);
      if (signal.aborted) return;
      try {
        const made = await snapshots.make();
        if (typeof made === "string") log.debug("no snapshot was made", { reason: made });
        else log.info("a snapshot was made", { name: made.name, bytes: made.bytes });
      } catch (error) {
        if (!(error instanceof PlantError)) throw error;
        log.error("no snapshot was made", { code: error.code, error });
      }
    },
  });
}

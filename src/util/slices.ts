// Long work in slices, so that others run between them. It must not know what the work is.
import type { Clock } from "./clock.ts";

/** A slice ends after this long, or after so many steps where the clock stands still. */
const sliceMs = 5;
const stepsMax = 256;

/** A function to await between small steps of long work: now and then it lets the loop turn. */
export function inSlices(clock: Clock): () => Promise<void> | undefined {
  let since = clock.monotonicMs();
  let steps = 0;
  return () => {
    steps += 1;
    if (steps < stepsMax && clock.monotonicMs() - since < sliceMs) return undefined;
    return new Promise((resolve) => {
      setImmediate(() => {
        since = clock.monotonicMs();
        steps = 0;
        resolve();
      });
    });
  };
}

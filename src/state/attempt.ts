// Work that the store does by itself: when it fails, that is told, and everything else goes on.
// It must not know the work.
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";

/** Does it; a PlantError is told as `what` came of it, and returned, not thrown. */
export async function attempt(
  log: Log,
  what: string,
  work: () => Promise<unknown>,
): Promise<PlantError | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (!(error instanceof PlantError)) throw error;
    log.error(what, { code: error.code, error });
    return error;
  }
}

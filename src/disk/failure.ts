// The codes of what the package and the medium report. It must not know what was asked of them.
import { statfsSync } from "node:fs";
import { PlantError } from "../util/errors.ts";

/** A medium with less than this counts as full when a commit fails. */
const mediumSpareBytes = 4 * 1_048_576;

/** The code of what keeps the environment or a table of it from opening, or rows from reading. */
export function asStoreError(error: unknown, folder: string): PlantError {
  if (error instanceof PlantError) return error;
  const { message } = error as Error;
  if (message.startsWith("MDB_READERS_FULL")) {
    return new PlantError("STORE_CROWDED", { folder }, { cause: error });
  }
  const isDamaged = /^MDB_(CORRUPTED|INVALID|PAGE_NOTFOUND|PANIC|VERSION_MISMATCH)/.test(message);
  const detail = { folder, reason: message };
  return new PlantError(isDamaged ? "STORE_DAMAGED" : "STORE_UNUSABLE", detail, { cause: error });
}

/**
 * The code of a failed commit; the package tells the cause by a second promise. `isOver` when the
 * medium refused it, not LMDB itself: then the package wrote about it beyond the memory it had.
 */
export async function asDiskError(
  error: unknown,
  folder: string,
  roomBytes: number,
): Promise<{ readonly failure: PlantError; readonly isOver: boolean }> {
  const { commitError } = error as { commitError?: Promise<never> };
  const cause = await (commitError ?? Promise.reject(error)).catch((reason: unknown) => reason);
  const { code, message } = cause as { code?: unknown; message?: unknown };
  const reason = `${message} (${code})`;
  const isMapFull = /MAP_FULL/.test(reason);
  if (isMapFull || isNoSpace(folder) || /ENOSPC|No space/i.test(reason)) {
    const failure = new PlantError("STORE_FULL", { folder, roomBytes }, { cause: error });
    return { failure, isOver: !isMapFull };
  }
  const failure = new PlantError("STORE_FAILED", { folder, reason }, { cause: error });
  return { failure, isOver: true };
}

/** LMDB calls a short write an input/output error: the file system knows better. */
function isNoSpace(folder: string): boolean {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize < mediumSpareBytes;
}

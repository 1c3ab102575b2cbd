// Another database in the place of the one of the store. It must not know what either holds.
import { copyFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { dataFile } from "../disk/disk.ts";
import { syncPath } from "../util/durable-file.ts";
import { PlantError } from "../util/errors.ts";

/**
 * Copies a database beside the data of `folder`, flushed: what can fail for want of room fails while
 * the store is open.
 * @returns what puts the copy in place, once the store is closed.
 * @throws PlantError STORE_FAILED, with the folder as it was.
 */
export function stageDatabase(folder: string, file: string): () => void {
  const staged = join(folder, "incoming.mdb");
  try {
    copyFileSync(file, staged);
    syncPath(staged);
  } catch (error) {
    rmSync(staged, { force: true });
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new PlantError("STORE_FAILED", { folder, reason }, { cause: error });
  }
  return () => {
    rmSync(join(folder, "lock.mdb"), { force: true });
    renameSync(staged, join(folder, dataFile));
    syncPath(folder);
  };
}

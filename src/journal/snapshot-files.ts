// Snapshots of the database: copies that were checked whole before they got their names, in a
// folder beside it. It must not know when they are made.
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

/** One snapshot. */
export interface SnapshotFile {
  /** `snapshot-<number>.mdb`: a higher number is newer, whatever the clock said. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  /** Milliseconds since 1970, by its modification. */
  readonly time: number;
}

const folderName = "snapshots";
const form = /^snapshot-(\d{9})\.mdb$/;

/** The folder of the snapshots of a store. */
export function snapshotFolder(storeFolder: string): string {
  return join(storeFolder, folderName);
}

/** Snapshots, newest first; what is no file is none. */
export function listSnapshots(storeFolder: string): SnapshotFile[] {
  const folder = snapshotFolder(storeFolder);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  return readdirSync(folder)
    .filter((name) => form.test(name))
    .sort()
    .reverse()
    .flatMap((name) => {
      const path = join(folder, name);
      const found = statSync(path, { throwIfNoEntry: false });
      if (found?.isFile() !== true) return [];
      return [{ name, path, bytes: found.size, time: Math.round(found.mtimeMs) }];
    });
}

/** The name of the next snapshot. */
export function nextSnapshot(storeFolder: string): string {
  const newest = listSnapshots(storeFolder)[0];
  const number = Number(form.exec(newest?.name ?? "")?.[1] ?? 0) + 1;
  return `snapshot-${String(number).padStart(9, "0")}.mdb`;
}

/** Removes all but the newest `countMax`. */
export function pruneSnapshots(storeFolder: string, countMax: number): void {
  for (const { path } of listSnapshots(storeFolder).slice(countMax)) {
    rmSync(path, { force: true });
    rmSync(path.replace(/\.mdb$/, ".json"), { force: true });
  }
}

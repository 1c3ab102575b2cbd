// Backups of the store: one sealed file each, made, listed, and put back.
// It must not know what the store holds.
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { inspectDatabase, type Journal } from "../journal/journal.ts";
import { type Clock, isoTime } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import { makeFolder } from "../util/folder.ts";
import type { Random } from "../util/random.ts";
import { sealFile, unsealFile } from "../util/seal.ts";

export interface BackupPlace {
  readonly clock: Clock;
  readonly random: Random;
  readonly journal: Journal;
  /** Folder of the backups. */
  readonly folder: string;
  readonly roomBytes: number;
}

/** One backup in the folder. */
export interface BackupFile {
  readonly path: string;
  readonly bytes: number;
  /** Milliseconds since 1970, by its modification. */
  readonly time: number;
}

const ending = ".plantbackup";
/** The operator takes old ones away: they are never deleted here. */
const backupsMax = 100;
/** The name that LMDB gives a data file in its folder. */
const dataName = "data.mdb";

type Progress = (done: number, total: number) => void;

/** Makes a backup; the file appears under its name only when it is whole and flushed. */
export async function createBackup(
  place: BackupPlace,
  passphrase: string,
  progress: Progress,
): Promise<{ path: string; bytes: number }> {
  const { clock, random, journal, folder } = place;
  if (listBackups(folder).length >= backupsMax) {
    throw new PlantError("LIMIT_REACHED", { limit: "backups in the folder", max: backupsMax });
  }
  const suffix = Buffer.from(random.bytes(3)).toString("hex");
  const name = `plantd-${isoTime(clock.wallMs()).replaceAll(/[:.]/g, "")}-${suffix}`;
  const copy = join(folder, `.${name}.mdb`);
  const path = join(folder, name + ending);
  try {
    await journal.backup(copy);
    const bytes = await sealFile({ from: copy, to: path, passphrase, progress }, random);
    return { path, bytes };
  } catch (error) {
    if (error instanceof PlantError) throw error;
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new PlantError("STORE_FAILED", { folder, reason }, { cause: error });
  } finally {
    rmSync(copy, { force: true });
  }
}

/** Backups, newest first. */
export function listBackups(folder: string): BackupFile[] {
  makeFolder(folder, 0o700);
  return readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .map((name) => {
      const path = join(folder, name);
      const { size, mtimeMs } = statSync(path);
      return { path, bytes: size, time: Math.round(mtimeMs) };
    })
    .sort((a, b) => b.time - a.time || (a.path < b.path ? 1 : -1));
}

/**
 * Opens a backup beside the store and tries it, without touching the store.
 * @returns the database file, and what removes it.
 * @throws PlantError PASSPHRASE_WRONG, BACKUP_UNREADABLE, STORE_FORMAT_NEWER, STORE_DAMAGED.
 */
export async function openBackup(
  place: BackupPlace,
  path: string,
  passphrase: string,
): Promise<{ file: string; remove: () => void }> {
  const { folder, roomBytes } = place;
  makeFolder(folder, 0o700);
  const trial = join(folder, ".restore");
  const remove = () => rmSync(trial, { recursive: true, force: true });
  remove();
  mkdirSync(trial, { mode: 0o700 });
  try {
    const file = join(trial, dataName);
    await unsealFile({ from: resolve(folder, path), to: file, passphrase });
    await inspectDatabase(trial, roomBytes);
    return { file, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

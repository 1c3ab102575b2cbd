// Backups of the store: one sealed file each, made, listed, checked and put back.
// It must not know what the store holds.
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { type CheckReport, inspectWhole, type Journal } from "../journal/journal.ts";
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

/** A backup that is open beside the store, and was checked whole. */
export interface OpenedBackup {
  /** The database file. */
  readonly file: string;
  readonly report: CheckReport;
  /** Bytes of the sealed file. */
  readonly bytes: number;
  readonly remove: () => void;
}

const ending = ".plantbackup";
/** The operator takes old ones away: they are never deleted here. */
const backupsMax = 100;
/** The name that LMDB gives a data file in its folder. */
const dataName = "data.mdb";
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.plantbackup$/;

type Progress = (done: number, total: number) => void;

/** Makes a backup; the file appears under its name only when it is whole and flushed. */
export async function createBackup(
  place: BackupPlace,
  passphrase: string,
  progress: Progress,
): Promise<{ path: string; bytes: number }> {
  const { clock, random, journal, folder } = place;
  refuseTooMany(folder);
  const suffix = Buffer.from(random.bytes(3)).toString("hex");
  const name = `plantd-${isoTime(clock.wallMs()).replaceAll(/[:.]/g, "")}-${suffix}`;
  const copy = join(folder, `.${name}.mdb`);
  const path = join(folder, name + ending);
  try {
    await journal.backup(copy);
    const bytes = await sealFile({ from: copy, to: path, passphrase, progress }, random);
    return { path, bytes };
  } catch (error) {
    throw asStoreError(error, folder);
  } finally {
    rmSync(copy, { force: true });
  }
}

/** What a power cut in the middle of a backup leaves: the copy, the half that was sealed or sent. */
const halfPattern = /^(?:\.plantd-.+\.mdb|\.restore|.+\.plantbackup\.(?:part|coming))$/;

/** Takes away what was left half-done; a medium that cannot be changed keeps it. */
export function sweepHalves(folder: string): void {
  try {
    for (const name of readdirSync(folder)) {
      if (halfPattern.test(name)) rmSync(join(folder, name), { recursive: true, force: true });
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (!["ENOENT", "EACCES", "EPERM", "EROFS"].includes(code)) throw error;
  }
}

/** @throws PlantError LIMIT_REACHED. */
export function refuseTooMany(folder: string): void {
  if (listBackups(folder).length < backupsMax) return;
  throw new PlantError("LIMIT_REACHED", { limit: "backups in the folder", max: backupsMax });
}

/** What the medium refuses, with a code. */
export function asStoreError(error: unknown, folder: string): PlantError {
  if (error instanceof PlantError) return error;
  const reason = (error as NodeJS.ErrnoException).code ?? String(error);
  return new PlantError("STORE_FAILED", { folder, reason }, { cause: error });
}

/** Backups, newest first; what is no file, or went meanwhile, is none. */
export function listBackups(folder: string): BackupFile[] {
  makeFolder(folder, 0o700);
  return readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .flatMap((name) => {
      const path = join(folder, name);
      const found = statSync(path, { throwIfNoEntry: false });
      if (found?.isFile() !== true) return [];
      return [{ path, bytes: found.size, time: Math.round(found.mtimeMs) }];
    })
    .sort((a, b) => b.time - a.time || (a.path < b.path ? 1 : -1));
}

/**
 * The path of a backup of the folder by its name.
 * @throws PlantError REQUEST_MALFORMED for a name that is none, or leads elsewhere.
 */
export function pathOfBackup(folder: string, name: string): string {
  if (namePattern.test(name)) return join(folder, name);
  throw new PlantError("REQUEST_MALFORMED", { reason: `name: NAME${ending}, without folders` });
}

/**
 * Opens a backup beside the store and checks every page and row of it in a process of its own,
 * without touching the store.
 * @throws PlantError PASSPHRASE_WRONG, BACKUP_UNREADABLE, STORE_FORMAT_NEWER, STORE_DAMAGED,
 * STORE_FAILED.
 */
export async function openBackup(
  place: BackupPlace,
  { path, passphrase, progress }: { path: string; passphrase: string; progress?: Progress },
): Promise<OpenedBackup> {
  const { clock, folder, roomBytes } = place;
  makeFolder(folder, 0o700);
  const trial = join(folder, ".restore");
  const remove = () => rmSync(trial, { recursive: true, force: true });
  remove();
  mkdirSync(trial, { mode: 0o700 });
  try {
    const file = join(trial, dataName);
    const from = resolve(folder, path);
    await unsealFile({ from, to: file, passphrase, ...(progress && { progress }) });
    const report = await inspectWhole(clock, { folder: trial, roomBytes });
    return { file, report, bytes: statSync(from).size, remove };
  } catch (error) {
    remove();
    throw asStoreError(error, folder);
  }
}

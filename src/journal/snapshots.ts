// Snapshots of the open database, made now and then: a compact copy, checked whole in a process of
// its own before it gets its name. It must not know what the records mean.
import { existsSync, mkdirSync, renameSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { dataFile } from "../disk/disk.ts";
import type { Clock } from "../util/clock.ts";
import { readJsonFile, replaceFile, syncPath } from "../util/durable-file.ts";
import { PlantError } from "../util/errors.ts";
import { makeFolder } from "../util/folder.ts";
import type { CheckReport } from "./check.ts";
import { inspectWhole } from "./inspection.ts";
import { listSnapshots, nextSnapshot, pruneSnapshots, snapshotFolder } from "./snapshot-files.ts";

/** What is copied. */
export interface Copied {
  /** Writes a compact copy to `path`; returns its bytes. */
  backup(path: string): Promise<number>;
  /** Changes whenever there is something new to copy. */
  readonly mark: () => string;
  /** About the bytes of a copy. */
  readonly liveBytes: () => number;
}

export interface SnapshotOptions {
  /** Folder of the database. */
  readonly folder: string;
  readonly roomBytes: number;
  readonly snapshotsMax: number;
}

/** One snapshot, as it is listed. Its facts are null when the note beside it is gone. */
export interface Snapshot {
  readonly name: string;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly epoch: string | null;
  readonly heads: CheckReport["heads"] | null;
}

/** Why none was made. */
export type Skipped = "unchanged" | "no-room";

interface Note {
  readonly mark: string;
  readonly report: CheckReport;
  readonly time: number;
}

export interface SnapshotsDeps {
  readonly clock: Clock;
  readonly source: Copied;
  /** Checks the copy; a process of its own when absent. @throws PlantError STORE_DAMAGED. */
  readonly verify?: (folder: string) => Promise<CheckReport>;
}

/** What the medium must have left after a snapshot. */
const spareBytes = 32 * 1_048_576;

export class Snapshots {
  readonly #deps: SnapshotsDeps;
  readonly #options: SnapshotOptions;
  #running: Promise<Snapshot | Skipped> | undefined;
  #bytesWritten = 0;
  #failed = 0;
  #skipped: Skipped | undefined;

  constructor(deps: SnapshotsDeps, options: SnapshotOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Snapshots, newest first. */
  list(): Snapshot[] {
    return listSnapshots(this.#options.folder).map(({ name, path, bytes, time }) => {
      const note = readJsonFile(noteOf(path)) as Partial<Note> | undefined;
      const { epoch = null, heads = null } = note?.report ?? {};
      return { name, bytes, time: note?.time ?? time, epoch, heads };
    });
  }

  /** Bytes written since the start; snapshots that failed; why the last try made none. */
  stats(): { bytesWritten: number; failed: number; skipped: Skipped | null } {
    const skipped = this.#skipped ?? null;
    return { bytesWritten: this.#bytesWritten, failed: this.#failed, skipped };
  }

  /**
   * Makes a snapshot unless nothing is new or there is no room; one at a time.
   * @throws PlantError STORE_DAMAGED when the copy is damaged: then the database is, too.
   */
  make(): Promise<Snapshot | Skipped> {
    this.#running ??= this.#make().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #make(): Promise<Snapshot | Skipped> {
    const { folder, snapshotsMax } = this.#options;
    const mark = this.#deps.source.mark();
    const newest = listSnapshots(folder)[0];
    const note = newest === undefined ? undefined : readJsonFile(noteOf(newest.path));
    this.#skipped = undefined;
    if ((note as Partial<Note> | undefined)?.mark === mark) this.#skipped = "unchanged";
    else if (!this.#hasRoom()) this.#skipped = "no-room";
    if (this.#skipped !== undefined) return this.#skipped;
    try {
      const name = await this.#write(mark);
      pruneSnapshots(folder, snapshotsMax);
      const made = this.list().find((one) => one.name === name);
      if (made !== undefined) return made;
      throw new PlantError("STORE_FAILED", { folder, reason: `${name} vanished` });
    } catch (error) {
      this.#failed += 1;
      if (error instanceof PlantError) throw error;
      const reason = (error as NodeJS.ErrnoException).code ?? String(error);
      throw new PlantError("STORE_FAILED", { folder, reason }, { cause: error });
    }
  }

  async #write(mark: string): Promise<string> {
    const { folder, roomBytes } = this.#options;
    const { clock, source, verify } = this.#deps;
    const home = snapshotFolder(folder);
    const trial = join(home, "making");
    makeFolder(home, 0o700);
    rmSync(trial, { recursive: true, force: true });
    mkdirSync(trial, { mode: 0o700 });
    try {
      const copy = join(trial, dataFile);
      this.#bytesWritten += await source.backup(copy);
      const report = await (verify?.(trial) ?? inspectWhole(clock, { folder: trial, roomBytes }));
      const name = nextSnapshot(folder);
      const path = join(home, name);
      const note: Note = { mark, report, time: clock.wallMs() };
      replaceFile(noteOf(path), JSON.stringify(note));
      renameSync(copy, path);
      syncPath(home);
      return name;
    } finally {
      rmSync(trial, { recursive: true, force: true });
    }
  }

  #hasRoom(): boolean {
    const { folder } = this.#options;
    if (!existsSync(folder)) return false;
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize >= this.#deps.source.liveBytes() * 1.25 + spareBytes;
  }
}

function noteOf(path: string): string {
  return path.replace(/\.mdb$/, ".json");
}

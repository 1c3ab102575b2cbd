// The only importer of lmdb: one environment, named tables of bytes, one durable commit at a time.
// It must not know what is stored.
import { renameSync, rmSync, statfsSync, statSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { type Database, open as openLmdb } from "lmdb";
import { PlantError } from "../util/errors.ts";
import { makeFolder } from "../util/folder.ts";
import { makeDataFile, makeStoreFolder, syncPath } from "./birth.ts";
import { dataVersion } from "./meta-pages.ts";
import { flawOfBranches, newerVersionOf } from "./pages.ts";

export { syncPath } from "./birth.ts";
export { flawOfPages, walkPages } from "./pages.ts";

/** One row of a table. */
export interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** One change of a commit: a put, or a removal when `value` is absent. */
export interface Write {
  readonly table: string;
  readonly key: Uint8Array;
  readonly value?: Uint8Array;
}

/** Which part of the room a commit may use. */
export type Room = "common" | "reserve";

/** Rows from `from` (included) to `to` (excluded), in key order; downwards when `reverse`. */
export interface RangeOptions {
  readonly from?: Uint8Array;
  readonly to?: Uint8Array;
  readonly reverse?: boolean;
  readonly limit?: number;
}

/** Counters since opening, and sizes. */
export interface DiskStats {
  readonly commits: number;
  /** Bytes of keys and values given to `commit`. */
  readonly bytesPut: number;
  /** Size of the file. */
  readonly fileBytes: number;
  /** Pages in use, in bytes, as of the last measure. */
  readonly liveBytes: number;
  readonly roomBytes: number;
}

/**
 * An embedded store in a folder. Values read are copies. A read does not see a commit that has
 * not resolved.
 */
export interface Disk extends AsyncDisposable {
  get(table: string, key: Uint8Array): Uint8Array | undefined;
  range(table: string, options?: RangeOptions): Iterable<Row>;
  /**
   * All of `writes` or none of them; resolves after the flush to the device. The last of the room
   * is a reserve for writes that say so: those without which no room can be made.
   * @throws PlantError STORE_FULL when the room or the medium is used up; LIMIT_REACHED above
   * `writesMax` writes; STORE_CLOSED after disposal.
   */
  commit(writes: readonly Write[], room?: Room): Promise<void>;
  /** Writes a compact copy to `path` (temporary file, fsync, rename); returns its bytes. */
  backup(path: string): Promise<number>;
  stats(): DiskStats;
}

export interface DiskOptions {
  readonly folder: string;
  /** Room for all tables; more is refused with STORE_FULL. */
  readonly roomBytes: number;
}

/** The most writes of one commit: above about 1,000, LMDB's free list makes later ones slow. */
export const writesMax = 1000;
/** The name of the data file within the folder. */
export const dataFile = "data.mdb";

const tablesMax = 32;
const keyBytesMax = 1900;
/** Pages that LMDB touches beside those of the data: branches, free list, named tables. */
const spareBytes = 64 * 1024;
/** A medium with less than this counts as full when a commit fails. */
const mediumSpareBytes = 4 * 1_048_576;
/** Commits between two measures of the room in use. */
const measureEvery = 64;

/**
 * Opens the environment in `folder`, making it when absent.
 * @throws PlantError STORE_LOCKED when a living process, or this one, has it open; STORE_DAMAGED
 * when the file is no environment or a part of one; STORE_UNUSABLE when it cannot be opened.
 */
export async function openDisk(options: DiskOptions): Promise<Disk> {
  const { folder, roomBytes } = options;
  try {
    makeStoreFolder(folder);
  } catch (error) {
    throw asOpenError(error, folder);
  }
  const lock = await lockFolder(folder);
  try {
    refuseDamaged(folder);
    await makeDataFile(folder, dataFile, async (path) => {
      await openLmdb({ ...environmentOf(path, roomBytes), ...binary }).close();
    });
    return new LmdbDisk(folder, roomBytes, lock);
  } catch (error) {
    lock.close();
    throw asOpenError(error, folder);
  }
}

/** LMDB itself would crash on what is refused here. */
function refuseDamaged(folder: string): void {
  const path = join(folder, dataFile);
  const found = newerVersionOf(path);
  if (found !== undefined) {
    throw new PlantError("STORE_FORMAT_NEWER", {
      found: `lmdb ${found}`,
      known: `lmdb ${dataVersion}`,
    });
  }
  const flaw = flawOfBranches(path);
  if (flaw !== undefined) throw new PlantError("STORE_DAMAGED", { folder, reason: flaw });
}

/** The code of what keeps the environment or a table of it from opening. */
function asOpenError(error: unknown, folder: string): PlantError {
  if (error instanceof PlantError) return error;
  const { message } = error as Error;
  const isDamaged = /^MDB_(CORRUPTED|INVALID|PAGE_NOTFOUND|PANIC|VERSION_MISMATCH)/.test(message);
  const detail = { folder, reason: message };
  return new PlantError(isDamaged ? "STORE_DAMAGED" : "STORE_UNUSABLE", detail, { cause: error });
}

/** A name of the kernel's that belongs to the folder's inode and dies with the process. */
function lockFolder(folder: string): Promise<Server> {
  const { dev, ino } = statSync(folder);
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE") reject(error);
      else reject(new PlantError("STORE_LOCKED", { folder }, { cause: error }));
    });
    server.listen(`\0plantd-disk-${dev}-${ino}`, () => {
      server.unref();
      resolve(server);
    });
  });
}

const binary = { encoding: "binary", keyEncoding: "binary", cache: false } as const;

function environmentOf(path: string, room: number) {
  // The package grows a map that is full without saying so: the room is bounded here instead.
  const mapSize = Math.ceil((room * 1.5) / 65_536) * 65_536;
  // `safeRestore` is missing in the package's types. Without `eventTurnBatching` no promise of
  // the package's own rejects unheard when a commit fails, which would end the process.
  const safety = { overlappingSync: false, safeRestore: true, eventTurnBatching: false };
  return { path, noSubdir: false, mapSize, maxDbs: tablesMax, ...safety };
}

class LmdbDisk implements Disk {
  readonly #folder: string;
  readonly #room: number;
  readonly #lock: Server;
  readonly #root;
  readonly #tables = new Map<string, Database<Buffer, Uint8Array>>();
  #commits = 0;
  #bytesPut = 0;
  /** Never below what is in use: the last measure and all that was put since. */
  #liveBytes = 0;
  #sinceMeasure = 0;
  #tail: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(folder: string, room: number, lock: Server) {
    this.#folder = folder;
    this.#room = room;
    this.#lock = lock;
    this.#root = openLmdb<Buffer, Uint8Array>({ ...environmentOf(folder, room), ...binary });
    this.#liveBytes = statSync(join(folder, dataFile)).size;
  }

  #table(name: string): Database<Buffer, Uint8Array> {
    if (this.#closing !== undefined) throw new PlantError("STORE_CLOSED");
    const known = this.#tables.get(name);
    if (known !== undefined) return known;
    try {
      const table = this.#root.openDB<Buffer, Uint8Array>({ name, ...binary });
      this.#tables.set(name, table);
      return table;
    } catch (error) {
      throw asOpenError(error, this.#folder);
    }
  }

  get(table: string, key: Uint8Array): Uint8Array | undefined {
    return this.#table(table).get(key);
  }

  *range(table: string, options: RangeOptions = {}): Iterable<Row> {
    const { from, to, reverse = false, limit } = options;
    // Downwards the package takes the upper bound, included, as the start: it is skipped here.
    const start = reverse ? to : from;
    const end = reverse ? from : to;
    let left = limit ?? Number.POSITIVE_INFINITY;
    if (left <= 0) return;
    const rows = this.#table(table).getRange({
      reverse,
      ...(start === undefined ? {} : { start }),
      ...(end === undefined || reverse ? {} : { end }),
    });
    for (const { key, value } of rows) {
      if (reverse && to !== undefined && Buffer.compare(key, to) >= 0) continue;
      if (reverse && from !== undefined && Buffer.compare(key, from) < 0) return;
      yield { key, value };
      left -= 1;
      if (left === 0) return;
    }
  }

  commit(writes: readonly Write[], room: Room = "common"): Promise<void> {
    const mine = this.#tail.then(() => this.#commit(writes, room));
    this.#tail = mine.catch(() => {});
    return mine;
  }

  async #commit(writes: readonly Write[], room: Room): Promise<void> {
    if (writes.length === 0) return;
    if (writes.length > writesMax) {
      throw new PlantError("LIMIT_REACHED", { limit: "writes of one commit", max: writesMax });
    }
    const tables = writes.map((write) => this.#table(write.table));
    const bytes = this.#admit(writes, room);
    try {
      await this.#root.batch(() => {
        writes.forEach(({ key, value }, at) => {
          const table = tables[at];
          const done = value === undefined ? table?.remove(key) : table?.put(key, asBuffer(value));
          // The batch reports for all of them.
          done?.catch(() => {});
        });
      });
    } catch (error) {
      throw await asDiskError(error, this.#folder, this.#room);
    }
    this.#commits += 1;
    this.#bytesPut += bytes;
  }

  /** Refuses what does not fit; what only removes always fits. */
  #admit(writes: readonly Write[], room: Room): number {
    let bytes = 0;
    let cost = 0;
    for (const { key, value } of writes) {
      if (key.length === 0 || key.length > keyBytesMax) {
        throw new PlantError("LIMIT_REACHED", { limit: "key bytes", max: keyBytesMax });
      }
      if (value === undefined) continue;
      bytes += key.length + value.length;
      // A value above half a page takes whole pages of its own.
      cost += value.length > 2000 ? Math.ceil((value.length + 16) / 4096) * 4096 : 0;
      cost += 2 * (key.length + 32 + (value.length > 2000 ? 0 : value.length));
    }
    this.#sinceMeasure += 1;
    const need = cost + spareBytes;
    const most = room === "reserve" ? this.#room : this.#room - reserveOf(this.#room);
    if (this.#sinceMeasure >= measureEvery || this.#liveBytes + need > most) this.#measure();
    if (cost > 0 && this.#liveBytes + need > most) {
      throw new PlantError("STORE_FULL", { folder: this.#folder, roomBytes: this.#room });
    }
    this.#liveBytes += cost;
    return bytes;
  }

  #measure(): void {
    let pages = 8;
    for (const table of this.#tables.values()) pages += pagesOf(table.getStats());
    this.#liveBytes = pages * 4096;
    this.#sinceMeasure = 0;
  }

  async backup(path: string): Promise<number> {
    const copying = `${path}.copy`;
    rmSync(copying, { recursive: true, force: true });
    makeFolder(copying, 0o700);
    try {
      await this.#root.backup(copying, true);
      const copy = join(copying, dataFile);
      syncPath(copy);
      renameSync(copy, path);
      syncPath(dirname(path));
    } finally {
      rmSync(copying, { recursive: true, force: true });
    }
    return statSync(path).size;
  }

  stats(): DiskStats {
    if (this.#closing === undefined && this.#sinceMeasure > 0) this.#measure();
    return {
      commits: this.#commits,
      bytesPut: this.#bytesPut,
      fileBytes: statSync(join(this.#folder, dataFile)).size,
      liveBytes: this.#liveBytes,
      roomBytes: this.#room,
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close(this.#tail);
    return this.#closing;
  }

  async #close(last: Promise<unknown>): Promise<void> {
    await last;
    await this.#root.close();
    await new Promise<void>((resolve) => this.#lock.close(() => resolve()));
  }
}

/** The part of the room that common writes leave free. */
function reserveOf(roomBytes: number): number {
  return Math.min(8 * 1_048_576, roomBytes / 8);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function pagesOf(stats: unknown): number {
  const { treeBranchPageCount, treeLeafPageCount, overflowPages } = stats as {
    treeBranchPageCount: number;
    treeLeafPageCount: number;
    overflowPages: number;
  };
  return treeBranchPageCount + treeLeafPageCount + overflowPages;
}

/** The code of a failed commit; the package tells the cause by a second promise. */
async function asDiskError(error: unknown, folder: string, roomBytes: number): Promise<PlantError> {
  const { commitError } = error as { commitError?: Promise<never> };
  const cause = await (commitError ?? Promise.reject(error)).catch((reason: unknown) => reason);
  const { code, message } = cause as { code?: unknown; message?: unknown };
  const reason = `${message} (${code})`;
  if (isNoSpace(folder) || /MAP_FULL|ENOSPC|No space/i.test(reason)) {
    return new PlantError("STORE_FULL", { folder, roomBytes }, { cause: error });
  }
  return new PlantError("STORE_FAILED", { folder, reason }, { cause: error });
}

/** LMDB calls a short write an input/output error: the file system knows better. */
function isNoSpace(folder: string): boolean {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize < mediumSpareBytes;
}

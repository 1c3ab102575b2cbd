// The only importer of lmdb: one environment, named tables of bytes, one durable commit at a time.
// It must not know what is stored.
import { renameSync, rmSync, statSync } from "node:fs";
import type { Server } from "node:net";
import { dirname, join } from "node:path";
import { type Database, open as openLmdb } from "lmdb";
import { syncPath } from "../util/durable-file.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import { makeFolder } from "../util/folder.ts";
import { makeDataFile, makeStoreFolder } from "./birth.ts";
import { binary, environmentOf, figuresOf, pagesOf } from "./environment.ts";
import { asDiskError, asStoreError } from "./failure.ts";
import { Fill, fileMaxOf, type Room } from "./fill.ts";
import { lockFolder } from "./folder-lock.ts";
import { dataVersion } from "./meta-pages.ts";
import type { Write } from "./need.ts";
import { flawOfBranches, newerVersionOf } from "./pages.ts";
import { Runway } from "./runway.ts";
import { startWear, type Wear, wearSourcesOf } from "./wear.ts";

export type { Room } from "./fill.ts";
export type { Write } from "./need.ts";
export { flawOfPages, walkPages } from "./pages.ts";
export { type FoundRow, openRemains, type Remains } from "./remains.ts";

/** One row of a table. */
export interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Rows from `from` (included) to `to` (excluded), in key order; downwards when `reverse`. */
export interface RangeOptions {
  readonly from?: Uint8Array;
  readonly to?: Uint8Array;
  readonly reverse?: boolean;
  readonly limit?: number;
}

/** Counters since opening, and sizes. */
export interface DiskStats extends Wear {
  readonly commits: number;
  /** Bytes of keys and values given to `commit`. */
  readonly bytesPut: number;
  /** Size of the file. */
  readonly fileBytes: number;
  /** Pages in use, in bytes, as of the last measure. */
  readonly liveBytes: number;
  readonly roomBytes: number;
  /** The part of the file that pages were ever written to. */
  readonly usedBytes: number;
  /** The map, fixed at opening. */
  readonly mapBytes: number;
  /** Places for readers in use, of this process and others; 126 there are. */
  readonly readers: number;
  /** Times the device was told to write what it holds: two per commit, and those of the zeros. */
  readonly flushes: number;
  /**
   * Bytes this store wrote since opening: pages, first pages, zeros, copies. All of them are
   * flushed at once, so they are what the device was given, but for the file system's own records.
   */
  readonly deviceBytes: number;
}

/**
 * An embedded store in a folder. Values read are copies. A read does not see a commit that has
 * not resolved.
 */
export interface Disk extends AsyncDisposable {
  /**
   * Settles when the medium refused what a commit wrote. From then on every commit fails: the
   * package, and its memory, are not to be trusted, so the process should end. A medium without room
   * is noticed before it is written to, unless another fills it in that moment.
   */
  readonly failed: Promise<PlantError>;
  /** @throws PlantError STORE_CROWDED, STORE_DAMAGED, STORE_CLOSED. */
  get(table: string, key: Uint8Array): Uint8Array | undefined;
  /** Rows as they were when the reading began. @throws as `get`. */
  range(table: string, options?: RangeOptions): Iterable<Row>;
  /**
   * All of `writes` or none of them; resolves after the flush to the device. The last of the room
   * is a reserve: `urgent` writes may use one half of it, and all of it is for those without which
   * no room can be made.
   * @throws PlantError STORE_FULL when the room or the medium is used up; LIMIT_REACHED above
   * `writesMax` writes; STORE_FAILED when the medium refused; STORE_CLOSED after disposal.
   */
  commit(writes: readonly Write[], room?: Room): Promise<void>;
  /**
   * Writes a compact copy to `path` (temporary file, fsync, rename); returns its bytes.
   * @throws an error of the system.
   */
  backup(path: string): Promise<number>;
  /** May look at every table, when something was written since the last time. */
  stats(): DiskStats;
}

/** Where an environment is, and how large it may get. */
export interface DiskOptions {
  /** Made when absent, with mode 0700. */
  readonly folder: string;
  /** Room for all tables, in bytes; more is refused with STORE_FULL. */
  readonly roomBytes: number;
  /** How far the file is written with zeros ahead of use, in bytes; 0 when absent. */
  readonly aheadBytes?: number;
}

/** The most writes of one commit: above about 1,000, LMDB's free list makes later ones slow. */
export const writesMax = 1000;
/** The name of the data file within the folder. */
export const dataFile = "data.mdb";

/** What a medium writes at least. */
const blockBytes = 4096;

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
    throw asStoreError(error, folder);
  }
  const lock = await lockFolder(folder);
  try {
    refuseDamaged(folder);
    await makeDataFile(folder, dataFile, async (path) => {
      await openLmdb({ ...environmentOf(path, roomBytes), ...binary }).close();
    });
    return new LmdbDisk(options, lock);
  } catch (error) {
    lock.close();
    throw asStoreError(error, folder);
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

class LmdbDisk implements Disk {
  readonly failed: Promise<PlantError>;
  readonly #fail: (failure: PlantError) => void;
  #failure: PlantError | undefined;
  readonly #folder: string;
  readonly #room: number;
  readonly #lock: Server;
  readonly #root;
  readonly #runway: Runway;
  readonly #wear: () => Wear;
  readonly #pageBytes: number;
  readonly #fill: Fill;
  readonly #tables = new Map<string, Database<Buffer, Uint8Array>>();
  /** Tables that were not there when they were read. */
  readonly #missing = new Set<string>();
  #commits = 0;
  #bytesPut = 0;
  #usedBytes = 0;
  #mapBytes = 0;
  #pagesWritten = 0;
  #copiedBytes = 0;
  #tail: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor({ folder, roomBytes, aheadBytes = 0 }: DiskOptions, lock: Server) {
    const { promise, resolve } = Promise.withResolvers<PlantError>();
    this.failed = promise;
    this.#fail = resolve;
    this.#folder = folder;
    this.#room = roomBytes;
    this.#lock = lock;
    this.#root = openLmdb<Buffer, Uint8Array>({ ...environmentOf(folder, roomBytes), ...binary });
    this.#wear = startWear(wearSourcesOf(folder));
    const path = join(folder, dataFile);
    this.#runway = new Runway({ path, aheadBytes, limitBytes: fileMaxOf(roomBytes) });
    try {
      this.#pageBytes = this.#seeFile();
    } catch (error) {
      // Without a reader's place nothing can be seen; what is open must not stay so.
      void this.#root.close();
      throw error;
    }
    this.#fill = new Fill(
      { folder, path, roomBytes, pageBytes: this.#pageBytes, pages: () => this.#pagesInUse() },
      this.#usedBytes,
    );
    this.#runway.extend(this.#usedBytes);
  }

  /** Looks how far the file is used; returns the size of a page. */
  #seeFile(): number {
    const { pageSize, lastPageNumber, mapSize, pagesWritten } = figuresOf(this.#root.getStats());
    this.#usedBytes = (lastPageNumber + 1) * pageSize;
    this.#mapBytes = mapSize;
    this.#pagesWritten = pagesWritten;
    return pageSize;
  }

  /** Nothing more is written from here on. */
  #giveUp(failure: PlantError): void {
    this.#failure ??= failure;
    this.#fail(failure);
  }

  /** A table to read; undefined when nothing was ever written to it. */
  #table(name: string): Database<Buffer, Uint8Array> | undefined {
    this.#refuseOver();
    const known = this.#tables.get(name);
    return known !== undefined || this.#missing.has(name) ? known : this.#openTable(name, false);
  }

  /** A table to write; one that is new is a commit of its own. */
  #tableToWrite(name: string): Database<Buffer, Uint8Array> | undefined {
    this.#refuseOver();
    const known = this.#tables.get(name);
    if (known !== undefined) return known;
    try {
      return this.#openTable(name, true);
    } catch (error) {
      if (hasCode(error, "STORE_UNUSABLE")) this.#giveUp(error);
      throw error;
    }
  }

  #refuseOver(): void {
    if (this.#closing !== undefined) throw new PlantError("STORE_CLOSED");
    if (this.#failure !== undefined) throw this.#failure;
  }

  #openTable(name: string, create: boolean): Database<Buffer, Uint8Array> | undefined {
    try {
      const asked = { name, create, ...binary };
      const table: Database<Buffer, Uint8Array> | undefined = this.#root.openDB(asked);
      if (table === undefined) this.#missing.add(name);
      else this.#tables.set(name, table);
      return table;
    } catch (error) {
      throw asStoreError(error, this.#folder);
    }
  }

  get(table: string, key: Uint8Array): Uint8Array | undefined {
    try {
      return this.#table(table)?.get(key);
    } catch (error) {
      throw asStoreError(error, this.#folder);
    }
  }

  *range(table: string, options: RangeOptions = {}): Iterable<Row> {
    try {
      yield* this.#range(table, options);
    } catch (error) {
      throw asStoreError(error, this.#folder);
    }
  }

  *#range(table: string, options: RangeOptions): Iterable<Row> {
    const { from, to, reverse = false, limit } = options;
    // Downwards the package takes the upper bound, included, as the start: it is skipped here.
    const start = reverse ? to : from;
    const end = reverse ? from : to;
    let left = limit ?? Number.POSITIVE_INFINITY;
    if (left <= 0) return;
    const rows = this.#table(table)?.getRange({
      reverse,
      ...(start === undefined ? {} : { start }),
      ...(end === undefined || reverse ? {} : { end }),
    });
    for (const { key, value } of rows ?? []) {
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
    // After a meta page that could not be written, the package never answers a second commit.
    if (this.#failure !== undefined) throw this.#failure;
    if (writes.length > writesMax) {
      throw new PlantError("LIMIT_REACHED", { limit: "writes of one commit", max: writesMax });
    }
    if (writes.some(({ table }) => !this.#tables.has(table))) {
      // A new table may be written where zeros are.
      await this.#runway.clear(Number.POSITIVE_INFINITY);
    }
    const tables = writes.map(({ table }) => this.#tableToWrite(table));
    const bytes = this.#fill.admit(writes, room);
    await this.#runway.clear(this.#fill.admitEnd(writes, this.#usedBytes));
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
      const { failure, isOver } = await asDiskError(error, this.#folder, this.#room);
      if (isOver) this.#giveUp(failure);
      throw failure;
    }
    this.#commits += 1;
    this.#bytesPut += bytes;
    this.#seeFile();
    this.#runway.extend(this.#usedBytes);
  }

  #pagesInUse(): number {
    let pages = 8;
    for (const table of this.#tables.values()) pages += pagesOf(table.getStats());
    return pages;
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
    const { size } = statSync(path);
    this.#copiedBytes += size;
    return size;
  }

  /** Of a first page one block is written. */
  #deviceBytes(): number {
    const blocks = this.#commits * blockBytes;
    const pages = this.#pagesWritten * this.#pageBytes;
    return pages + blocks + this.#runway.bytes + this.#copiedBytes;
  }

  stats(): DiskStats {
    const isOpen = this.#closing === undefined && this.#failure === undefined;
    if (isOpen) this.#fill.freshen();
    return {
      commits: this.#commits,
      bytesPut: this.#bytesPut,
      fileBytes: statSync(join(this.#folder, dataFile)).size,
      liveBytes: this.#fill.liveBytes,
      roomBytes: this.#room,
      usedBytes: this.#usedBytes,
      mapBytes: this.#mapBytes,
      readers: isOpen ? readersOf(this.#root) : 0,
      flushes: this.#commits * 2 + this.#runway.flushes,
      deviceBytes: this.#deviceBytes(),
      ...this.#wear(),
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close(this.#tail);
    return this.#closing;
  }

  async #close(last: Promise<unknown>): Promise<void> {
    await last;
    await this.#runway.close();
    // After a failed write its memory is damaged, and closing it may end the process or hang.
    if (this.#failure === undefined) await this.#root.close();
    await new Promise<void>((resolve) => this.#lock.close(() => resolve()));
  }
}

/** Rows of LMDB's own list, without its head. */
function readersOf(root: { readerList(): string }): number {
  return root
    .readerList()
    .split("\n")
    .filter((line) => /^\s*\d/.test(line)).length;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

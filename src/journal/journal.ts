// The log of the gateway: numbered records in streams, epochs, watermarks, checkpoints, and one
// queue of commits. It must not know what the records mean.
import { copyFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Disk, dataFile, openDisk, syncPath, type Write } from "../disk/disk.ts";
import type { Clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import { asError, type Running } from "../util/running.ts";
import { type Stream, streams } from "./block.ts";
import { type Appended, type AppendRequest, CommitQueue, type Flushed } from "./queue.ts";
import { type Changes, type ChangesQuery, LogReader } from "./reader.ts";
import { Retention } from "./retention.ts";
import type { SourceState } from "./source.ts";
import * as tables from "./tables.ts";
import { Watermarks } from "./watermarks.ts";

export { type JournalRecord, type Stream, streams } from "./block.ts";
export type { Appended, AppendRequest } from "./queue.ts";
export type { Changes, ChangesQuery } from "./reader.ts";
export type { SourceNumber } from "./source.ts";
export type { EpochEntry } from "./tables.ts";

export interface JournalDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface JournalOptions {
  readonly folder: string;
  readonly roomBytes: number;
  readonly flushMaxMs: number;
  readonly recordsPerCommitMax: number;
  readonly keepMs: number;
}

/** Where one stream stands, as a consumer sees it. */
export interface StreamPosition {
  /** Sequence of the first record kept; `head + 1` when none is. */
  readonly first: number;
  /** Sequence of the last flushed record; 0 before the first. */
  readonly head: number;
  readonly watermark: number;
  /** Wall clock of the oldest commit above the watermark. */
  readonly oldestWallMs?: number;
}

/** The journal of one gateway, open for writing. */
export interface Journal extends Running {
  /** The epoch of this opening, 32 hexadecimal digits. */
  readonly epoch: string;
  readonly lineage: readonly tables.EpochEntry[];
  head(stream: Stream): number;
  /**
   * Appends records and answers after the flush.
   * @throws PlantError SOURCE_NUMBER_OLD, STORE_FULL, STORE_BUSY, STORE_CLOSED, and what `build`
   * throws.
   */
  append(request: AppendRequest): Promise<Appended>;
  /** @throws PlantError SEQUENCE_AHEAD, SEQUENCE_GONE, STORE_DAMAGED. */
  read(query: ChangesQuery): Changes;
  /** Resolves when the stream grows, and when `signal` aborts. */
  grown(stream: Stream, signal: AbortSignal): Promise<void>;
  /**
   * Moves a consumer's watermark, durably; back no further than what is kept.
   * @throws PlantError SEQUENCE_AHEAD.
   */
  ack(consumer: string, stream: Stream, sequence: number): Promise<number>;
  /**
   * An `ack` by which a far consumer says anew what it holds. From the first one on, what it holds
   * is trimmed only up to here, and only while this is young.
   * @throws as `ack`.
   */
  welcome(consumer: string, stream: Stream, sequence: number): Promise<number>;
  /** Where a consumer stands; one not seen before is registered, durably, and holds records. */
  position(consumer: string): Promise<Record<Stream, StreamPosition>>;
  /** Rows of the last checkpoint. */
  checkpointRows(): Iterable<{ readonly index: number; readonly text: string }>;
  /** What the last checkpoint covers: the sequence of `state`, and a note of the owner's. */
  readonly checkpoint: tables.CheckpointMark;
  /** Writes rows (`undefined` removes), in commits of bounded size, and then the mark. */
  saveCheckpoint(
    rows: ReadonlyMap<number, string | undefined>,
    mark: tables.CheckpointMark,
  ): Promise<void>;
  /**
   * Removes blocks that every consumer acknowledged, older than `keepMs`, or of any age when room
   * runs short; returns how many.
   */
  trim(): Promise<number>;
  backup(path: string): Promise<number>;
  /**
   * Replaces all by the database in `file` and opens a new epoch. Until the last moment a failure
   * changes nothing; after it, `ended` settles with the error.
   */
  restore(file: string): Promise<string>;
  stats(): Readonly<Record<string, number>>;
}

const rowsPerCommit = 900;

/**
 * Opens the journal in a folder, with a new epoch durable before its first record.
 * @throws PlantError STORE_LOCKED, STORE_FORMAT_NEWER (the file stays as it is), STORE_DAMAGED.
 */
export async function openJournal(deps: JournalDeps, options: JournalOptions): Promise<Journal> {
  const disk = await openDisk(options);
  try {
    const opened = await openEpoch(disk, deps);
    return new DiskJournal(deps, options, disk, opened);
  } catch (error) {
    await disk[Symbol.asyncDispose]();
    throw error;
  }
}

interface Opened {
  readonly epoch: string;
  readonly lineage: tables.EpochEntry[];
  readonly heads: Record<Stream, number>;
}

async function openEpoch(disk: Disk, { random }: JournalDeps): Promise<Opened> {
  tables.checkFormat(disk);
  const lineage = tables.readLineage(disk);
  const heads = tables.readHeads(disk, lineage.at(-1));
  const epoch = Buffer.from(random.bytes(16)).toString("hex");
  const before = lineage.at(-1);
  // An epoch without a record is nobody's parent: a store that fails again and again must not
  // grow a lineage that no greeting can hold.
  const isEmpty =
    before !== undefined && streams.every((name) => before.cuts[name] === heads[name]);
  if (isEmpty) lineage.pop();
  const parent = (isEmpty ? before.parent : before?.epoch) ?? null;
  lineage.push({ epoch, parent, cuts: { ...heads } });
  await disk.commit([tables.formatWrite(), tables.lineageWrite(lineage)], "reserve");
  return { epoch, lineage, heads };
}

class DiskJournal implements Journal {
  readonly ended: Promise<Error | undefined>;
  readonly #deps: JournalDeps;
  readonly #options: JournalOptions;
  #disk: Disk;
  #opened: Opened;
  #queue: CommitQueue;
  #reader: LogReader;
  #marks: Watermarks;
  #retention: Retention;
  #checkpoint: tables.CheckpointMark;
  readonly #waiting = new Map<Stream, Set<() => void>>();
  readonly #end: (error: Error | undefined) => void;
  #closing: Promise<void> | undefined;
  #trimmed = 0;
  #damaged = 0;

  constructor(deps: JournalDeps, options: JournalOptions, disk: Disk, opened: Opened) {
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    this.ended = promise;
    this.#end = resolve;
    this.#deps = deps;
    this.#options = options;
    this.#disk = disk;
    this.#opened = opened;
    this.#queue = this.#makeQueue();
    this.#reader = new LogReader(disk);
    this.#marks = this.#readMarks();
    this.#checkpoint = tables.readCheckpoint(disk);
    this.#retention = this.#makeRetention();
  }

  #makeQueue(): CommitQueue {
    const { epoch, heads } = this.#opened;
    const sources: Map<string, SourceState> = tables.readSources(this.#disk);
    return new CommitQueue(
      {
        clock: this.#deps.clock,
        disk: this.#disk,
        epoch,
        heads: { ...heads },
        sources,
        flushed: (flushed) => this.#flushed(flushed),
      },
      this.#options,
    );
  }

  #readMarks(): Watermarks {
    const floor = (stream: Stream) => this.#reader.first(stream, this.head(stream)) - 1;
    return new Watermarks({ clock: this.#deps.clock, disk: this.#disk, floor });
  }

  #makeRetention(): Retention {
    const deps = {
      clock: this.#deps.clock,
      disk: this.#disk,
      reader: this.#reader,
      marks: this.#marks,
      lineage: this.#opened.lineage,
      head: (stream: Stream) => this.head(stream),
      checkpoint: () => this.#checkpoint,
    };
    return new Retention(deps, this.#options);
  }

  #flushed(flushed: Flushed): void {
    for (const stream of flushed.streams) {
      const waiting = this.#waiting.get(stream);
      this.#waiting.delete(stream);
      for (const wake of waiting ?? []) wake();
    }
  }

  get epoch(): string {
    return this.#opened.epoch;
  }

  get lineage(): readonly tables.EpochEntry[] {
    return this.#opened.lineage;
  }

  get checkpoint(): tables.CheckpointMark {
    return this.#checkpoint;
  }

  head(stream: Stream): number {
    return this.#queue.heads[stream];
  }

  append(request: AppendRequest): Promise<Appended> {
    return this.#queue.append(request);
  }

  read(query: ChangesQuery): Changes {
    try {
      return this.#reader.read(query, this.head(query.stream), this.epoch);
    } catch (error) {
      if (error instanceof PlantError && error.code === "STORE_DAMAGED") this.#damaged += 1;
      throw error;
    }
  }

  grown(stream: Stream, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) {
        resolve();
        return;
      }
      const waiting = this.#waiting.get(stream) ?? new Set();
      this.#waiting.set(stream, waiting);
      const wake = () => {
        waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }

  async ack(consumer: string, stream: Stream, sequence: number): Promise<number> {
    const head = this.head(stream);
    if (sequence > head) throw new PlantError("SEQUENCE_AHEAD", { stream, sequence, head });
    return await this.#marks.move(consumer, stream, sequence);
  }

  async welcome(consumer: string, stream: Stream, sequence: number): Promise<number> {
    const watermark = await this.ack(consumer, stream, sequence);
    await this.#marks.welcome(consumer, stream, watermark);
    return watermark;
  }

  async position(consumer: string): Promise<Record<Stream, StreamPosition>> {
    const marks = await this.#marks.register(consumer);
    return tables.forStreams((stream) => {
      const head = this.head(stream);
      const watermark = marks[stream];
      const oldestWallMs = this.#reader.wallOf(stream, watermark + 1, head);
      const place = { first: this.#reader.first(stream, head), head, watermark };
      return oldestWallMs === undefined ? place : { ...place, oldestWallMs };
    });
  }

  checkpointRows(): Iterable<{ readonly index: number; readonly text: string }> {
    return tables.readPoints(this.#disk);
  }

  async saveCheckpoint(
    rows: ReadonlyMap<number, string | undefined>,
    mark: tables.CheckpointMark,
  ): Promise<void> {
    let writes: Write[] = [];
    for (const [index, text] of rows) {
      writes.push(tables.pointWrite(index, text));
      if (writes.length < rowsPerCommit) continue;
      await this.#disk.commit(writes, "reserve");
      writes = [];
    }
    await this.#disk.commit([...writes, tables.checkpointWrite(mark)], "reserve");
    this.#checkpoint = mark;
  }

  async trim(): Promise<number> {
    const removed = await this.#retention.trim();
    this.#trimmed += removed;
    return removed;
  }

  async backup(path: string): Promise<number> {
    await this.#queue.drain();
    return await this.#disk.backup(path);
  }

  async restore(file: string): Promise<string> {
    const { folder } = this.#options;
    // Beside the data first: what can fail for want of room fails while the store is open.
    const staged = join(folder, "incoming.mdb");
    try {
      copyFileSync(file, staged);
      syncPath(staged);
    } catch (error) {
      rmSync(staged, { force: true });
      const reason = (error as NodeJS.ErrnoException).code ?? String(error);
      throw new PlantError("STORE_FAILED", { folder, reason }, { cause: error });
    }
    await this.#queue.close(new PlantError("STORE_BUSY", { max: 0 }));
    await this.#disk[Symbol.asyncDispose]();
    try {
      rmSync(join(folder, "lock.mdb"), { force: true });
      renameSync(staged, join(folder, dataFile));
      syncPath(folder);
      this.#disk = await openDisk(this.#options);
      this.#adopt(await openEpoch(this.#disk, this.#deps));
    } catch (error) {
      this.#end(asError(error));
      throw error;
    }
    this.#flushed({ streams });
    return this.epoch;
  }

  #adopt(opened: Opened): void {
    this.#opened = opened;
    this.#queue = this.#makeQueue();
    this.#reader = new LogReader(this.#disk);
    this.#marks = this.#readMarks();
    this.#checkpoint = tables.readCheckpoint(this.#disk);
    this.#retention = this.#makeRetention();
  }

  stats(): Readonly<Record<string, number>> {
    const waiting = this.#queue.stats();
    return {
      ...this.#disk.stats(),
      ...waiting,
      trimmedBlocks: this.#trimmed,
      damagedReads: this.#damaged,
      consumers: this.#marks.count,
      epochs: this.#opened.lineage.length,
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#queue.close(new PlantError("STORE_CLOSED"));
    this.#flushed({ streams });
    await this.#disk[Symbol.asyncDispose]();
    this.#end(undefined);
  }
}

/**
 * Whether a file is a database this version reads; nothing in it changes.
 * @throws PlantError STORE_FORMAT_NEWER, STORE_DAMAGED.
 */
export async function inspectDatabase(folder: string, roomBytes: number): Promise<void> {
  await using disk = await openDisk({ folder, roomBytes });
  tables.checkFormat(disk);
  if (tables.readLineage(disk).length === 0) {
    throw new PlantError("STORE_DAMAGED", { reason: "it has no epoch" });
  }
}

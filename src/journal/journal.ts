// The log of the gateway: numbered records in streams, epochs, watermarks, checkpoints, and one
// queue of commits. It must not know what the records mean.
import { type Disk, openDisk, type Write } from "../disk/disk.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import { asError } from "../util/running.ts";
import type { Appended, AppendRequest, Flushed } from "./append.ts";
import {
  type CheckpointPage,
  type CheckpointRows,
  readPages,
  savePages,
  saveRows,
} from "./checkpoint.ts";
import type { Journal, JournalDeps, JournalOptions, StreamPosition, Troubles } from "./contract.ts";
import { type Format, type Stream, streams } from "./head.ts";
import { type Opened, openEpoch } from "./opening.ts";
import { CommitQueue } from "./queue.ts";
import { type Block, type Changes, type ChangesQuery, LogReader } from "./reader.ts";
import { stageDatabase } from "./replacement.ts";
import { type Replacement, Retention, type StreamUse } from "./retention.ts";
import { type SideTable, sideTable } from "./side-table.ts";
import type { SourceState } from "./source.ts";
import * as tables from "./tables.ts";
import { type ConsumerMarks, Watermarks } from "./watermarks.ts";

export type { Appended, AppendRequest, FailedCommits } from "./append.ts";
export { blockOthers, blockPoints, decodeBlock, type NumberedRecord } from "./block.ts";
export type { CheckReport } from "./check.ts";
export type {
  Journal,
  JournalDeps,
  JournalOptions,
  StreamPosition,
  Troubles,
} from "./contract.ts";
export type { Guard, LastCheck } from "./guard.ts";
export { type BlockHead, type Format, type JournalRecord, type Stream, streams } from "./head.ts";
export { type Inspected, type Inspection, inspectWhole } from "./inspection.ts";
export type { Block, Changes, ChangesQuery } from "./reader.ts";
export type { Occurrences } from "./recent.ts";
export { openGuarded } from "./recovery.ts";
export { type Heads, type Lost, lossOf, type Recovery } from "./recovery-plan.ts";
export { type Replacement, replacedBlocksMax, type StreamUse } from "./retention.ts";
export type { SideRow, SideTable } from "./side-table.ts";
export { type Skipped, type Snapshot, Snapshots } from "./snapshots.ts";
export type { SourceNumber } from "./source.ts";
export { type EpochEntry, newestFormat, type SideName } from "./tables.ts";
export type { ConsumerMarks } from "./watermarks.ts";

/**
 * Opens the journal in a folder, with a new epoch durable before its first record.
 * @throws PlantError STORE_LOCKED, STORE_FORMAT_NEWER (the file stays as it is), STORE_DAMAGED.
 */
export async function openJournal(deps: JournalDeps, options: JournalOptions): Promise<Journal> {
  const opened = await open(deps, options);
  try {
    return new DiskJournal(deps, options, opened);
  } catch (error) {
    await opened.disk[Symbol.asyncDispose]();
    throw error;
  }
}

async function open({ random }: JournalDeps, options: JournalOptions): Promise<Opened> {
  const disk = await openDisk(options);
  try {
    return await openEpoch(disk, random, options.keepsFormat === true);
  } catch (error) {
    await disk[Symbol.asyncDispose]();
    throw error;
  }
}

class DiskJournal implements Journal {
  readonly ended: Promise<Error | undefined>;
  readonly #deps: JournalDeps;
  readonly #options: JournalOptions;
  #opened: Opened;
  #openedAtMs: number;
  #queue: CommitQueue;
  #reader: LogReader;
  #marks: Watermarks;
  #retention: Retention;
  #checkpoint: tables.CheckpointMark;
  /** Somebody needs the records of `state` above this. */
  #held: () => number = () => Number.POSITIVE_INFINITY;
  readonly #waiting = new Map<Stream, Set<() => void>>();
  readonly #end: (error: Error | undefined) => void;
  #closing: Promise<void> | undefined;
  #trimmed = 0;

  constructor(deps: JournalDeps, options: JournalOptions, opened: Opened) {
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    this.ended = promise;
    this.#end = resolve;
    this.#deps = deps;
    this.#options = options;
    this.#opened = opened;
    this.#endWith(opened);
    this.#openedAtMs = deps.clock.monotonicMs();
    this.#queue = this.#makeQueue();
    this.#reader = this.#makeReader();
    this.#marks = this.#readMarks();
    this.#checkpoint = tables.readCheckpoint(this.#disk);
    this.#retention = this.#makeRetention();
  }

  /** A medium that failed ends the journal: who runs it starts anew. */
  #endWith({ disk }: Opened): void {
    void disk.failed.then((error) => this.#end(error));
  }

  get #disk(): Disk {
    return this.#opened.disk;
  }

  #makeReader(): LogReader {
    const { clock } = this.#deps;
    return new LogReader(this.#disk, this.lineage, () => clock.monotonicMs());
  }

  #makeQueue(): CommitQueue {
    const { epoch, heads, format } = this.#opened;
    const sources: Map<string, SourceState> = tables.readSources(this.#disk);
    return new CommitQueue(
      {
        clock: this.#deps.clock,
        disk: this.#disk,
        format,
        runMs: () => this.runMs(),
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
      disk: this.#disk,
      format: this.format,
      reader: this.#reader,
      marks: this.#marks,
      lineage: this.#opened.lineage,
      head: (stream: Stream) => this.head(stream),
      settled: () => Math.min(this.#checkpoint.sequence, this.#held()),
      runMs: () => this.runMs(),
    };
    return new Retention(deps, this.#options);
  }

  #flushed(flushed: Flushed): void {
    for (const stream of flushed.streams) {
      const bytes = flushed.bytes[stream];
      if (bytes !== undefined) this.#retention.flushed(stream, bytes);
      const waiting = this.#waiting.get(stream);
      this.#waiting.delete(stream);
      for (const wake of waiting ?? []) wake();
    }
  }

  get epoch(): string {
    return this.#opened.epoch;
  }

  get format(): Format {
    return this.#opened.format;
  }

  runMs(): number {
    return this.#opened.runMs + this.#deps.clock.monotonicMs() - this.#openedAtMs;
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
    return this.#reader.read(query, this.head(query.stream), this.lineage);
  }

  blocks(stream: Stream, after: number): Iterable<Block> {
    return this.#reader.blocks(stream, after);
  }

  side(name: tables.SideName): SideTable {
    return sideTable(name, () => this.#disk);
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
    const watermark = await this.#marks.move(consumer, stream, sequence);
    this.#retention.note(stream);
    return watermark;
  }

  addConsumer(
    consumer: string,
    held: readonly Stream[],
    first?: () => Promise<unknown>,
  ): Promise<void> {
    return this.#marks.add(consumer, held, first);
  }

  removeConsumer(consumer: string, first?: () => Promise<unknown>): Promise<boolean> {
    return this.#marks.remove(consumer, first);
  }

  consumers(): readonly ConsumerMarks[] {
    return this.#marks.list();
  }

  use(stream: Stream): StreamUse {
    return this.#retention.use(stream);
  }

  hold(limit: () => number): void {
    this.#held = limit;
  }

  release(stream: Stream, bytes: number): Promise<number> {
    return this.#retention.release(stream, bytes);
  }

  replace(replacement: Replacement): Promise<number> {
    return this.#retention.replace(replacement);
  }

  async welcome(consumer: string, stream: Stream, sequence: number): Promise<number> {
    const watermark = await this.ack(consumer, stream, sequence);
    await this.#marks.welcome(consumer, stream, watermark);
    return watermark;
  }

  async position(
    consumer: string,
    { register = false } = {},
  ): Promise<Record<Stream, StreamPosition>> {
    const marks = register ? await this.#marks.register(consumer) : this.#marks.peek(consumer);
    return tables.forStreams((stream) => {
      const head = this.head(stream);
      // A stream it does not hold keeps it waiting for nothing.
      const watermark = Math.min(marks[stream], head);
      const oldestWallMs = this.#reader.wallOf(stream, watermark + 1, head);
      const place = { first: this.#reader.first(stream, head), head, watermark };
      return oldestWallMs === undefined ? place : { ...place, oldestWallMs };
    });
  }

  checkpointRows(): Iterable<{ readonly index: number; readonly text: string }> {
    return tables.readPoints(this.#disk);
  }

  checkpointPages(): Iterable<CheckpointPage> {
    return readPages(this.#disk);
  }

  async saveCheckpoint(
    pages: CheckpointRows<Uint8Array>,
    mark?: tables.CheckpointMark,
  ): Promise<void> {
    const marks = mark === undefined ? [] : this.#markWrites(mark);
    await savePages(this.#disk, pages, marks);
    if (mark !== undefined) this.#checkpoint = mark;
  }

  async saveCheckpointRows(
    rows: CheckpointRows<string>,
    mark: tables.CheckpointMark,
  ): Promise<void> {
    await saveRows(this.#disk, rows, this.#markWrites(mark));
    this.#checkpoint = mark;
  }

  #markWrites(mark: tables.CheckpointMark): Write[] {
    return [tables.checkpointWrite(mark), this.#retention.sizesWrite()];
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
    await this.#reopen(this.#options, stageDatabase(this.#options.folder, file));
    return this.epoch;
  }

  async upgrade(): Promise<Format> {
    await this.#reopen({ ...this.#options, keepsFormat: false });
    return this.format;
  }

  /** Closes the database and opens it again; `meanwhile` runs while it is closed. */
  async #reopen(options: JournalOptions, meanwhile?: () => void): Promise<void> {
    const reason = "its database is being replaced";
    await this.#queue.close(new PlantError("STORE_BUSY", { reason }));
    await this.#disk[Symbol.asyncDispose]();
    try {
      meanwhile?.();
      this.#adopt(await open(this.#deps, options));
    } catch (error) {
      this.#end(asError(error));
      throw error;
    }
    this.#flushed({ streams, bytes: {} });
  }

  #adopt(opened: Opened): void {
    this.#opened = opened;
    this.#endWith(opened);
    this.#openedAtMs = this.#deps.clock.monotonicMs();
    this.#queue = this.#makeQueue();
    this.#reader = this.#makeReader();
    this.#marks = this.#readMarks();
    this.#checkpoint = tables.readCheckpoint(this.#disk);
    this.#retention = this.#makeRetention();
  }

  written(): Readonly<Record<Stream, number>> {
    return { ...this.#queue.written };
  }

  stats(): Readonly<Record<string, number>> {
    const waiting = this.#queue.stats();
    return {
      ...this.#disk.stats(),
      ...waiting,
      ...this.#retention.stats(),
      trimmedBlocks: this.#trimmed,
      damagedReads: this.#reader.damaged().count,
      consumers: this.#marks.count,
      epochs: this.#opened.lineage.length,
    };
  }

  troubles(): Troubles {
    return { failedCommits: this.#queue.failed(), damagedReads: this.#reader.damaged() };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** What is lost of the running time only makes records younger than they are. */
  async #keepRunMs(): Promise<void> {
    try {
      await this.#disk.commit([tables.runWrite(this.runMs())], "reserve");
    } catch (error) {
      if (!hasCode(error, "STORE_FULL", "STORE_FAILED")) throw error;
      this.#deps.log.warn("the running time was not kept", { code: error.code, error });
    }
  }

  async #close(): Promise<void> {
    await this.#queue.close(new PlantError("STORE_CLOSED"));
    this.#flushed({ streams, bytes: {} });
    await this.#keepRunMs();
    await this.#disk[Symbol.asyncDispose]();
    this.#end(undefined);
  }
}

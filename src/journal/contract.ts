// What a journal is asked for and promises: the operations of the log, and their terms. It must not
// know how they are done.
import type { Clock } from "../util/clock.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import type { Running } from "../util/running.ts";
import type { Appended, AppendRequest, FailedCommits } from "./append.ts";
import type { CheckpointPage, CheckpointRows } from "./checkpoint.ts";
import type { Format, Stream } from "./head.ts";
import type { Block, Changes, ChangesQuery } from "./reader.ts";
import type { Occurrences } from "./recent.ts";
import type { Replacement, StreamUse } from "./retention.ts";
import type { SideTable } from "./side-table.ts";
import type { CheckpointMark, EpochEntry, SideName } from "./tables.ts";
import type { ConsumerMarks } from "./watermarks.ts";

/** What a journal works with. */
export interface JournalDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** How a journal is kept; the settings of the section `store` in bytes and milliseconds. */
export interface JournalOptions {
  /** Folder of the database; made when absent. */
  readonly folder: string;
  /** Room for all tables, in bytes; the file may grow to 1.5 times as much. */
  readonly roomBytes: number;
  /** The longest wait of a group for its flush, in milliseconds; 0 commits each at once. */
  readonly flushMaxMs: number;
  /** Records of one commit; five times as many may wait. */
  readonly recordsPerCommitMax: number;
  /** How long acknowledged records stay: ms of running time from the acknowledgement. */
  readonly keepMs: number;
  /** Flushes in an hour above which groups wait longer; 0, or absent, for any number. */
  readonly flushesPerHourMax?: number;
  /** How far the file is written with zeros ahead of use; 0 when absent. */
  readonly aheadBytes?: number;
  /** Shares of the room that streams may fill before they make room, in percent. */
  readonly quota?: Readonly<Record<Stream, number>>;
  /**
   * An existing database stays in the format it has: that of the release before, until an update
   * is confirmed.
   */
  readonly keepsFormat?: boolean;
}

/** Where one stream stands, as a consumer sees it. */
export interface StreamPosition {
  /** Sequence of the first record kept; `head + 1` when none is. */
  readonly first: number;
  /** Sequence of the last flushed record; 0 before the first. */
  readonly head: number;
  /** The last sequence it acknowledged; at most `head`. */
  readonly watermark: number;
  /** Wall clock of the oldest commit above the watermark, in ms since 1970. */
  readonly oldestWallMs?: number;
}

/** The journal of one gateway, open for writing. */
export interface Journal extends Running {
  /** The epoch of this opening, 32 hexadecimal digits. */
  readonly epoch: string;
  /** Epochs with records, the newest last. */
  readonly lineage: readonly EpochEntry[];
  /** What it is written in. In format 1 a record stands for one sequence. */
  readonly format: Format;
  /** Milliseconds the store has run since its database was made; a crash may cost the last ones. */
  runMs(): number;
  /** Sequence of the last flushed record; 0 before the first. */
  head(stream: Stream): number;
  /**
   * Appends records and answers after the flush.
   * @throws PlantError SOURCE_NUMBER_OLD, LIMIT_REACHED, STORE_FULL, STORE_FAILED, STORE_BUSY,
   * STORE_CLOSED, and what `build` throws.
   */
  append(request: AppendRequest): Promise<Appended>;
  /**
   * Flushed records after a sequence, of one epoch, in order.
   * @throws PlantError SEQUENCE_AHEAD, SEQUENCE_GONE, STORE_DAMAGED.
   */
  read(query: ChangesQuery): Changes;
  /** Whole blocks in order, from the one that holds the sequence after `after`. */
  blocks(stream: Stream, after: number): Iterable<Block>;
  /** Derived rows: what can be made anew from the log. */
  side(name: SideName): SideTable;
  /** Resolves when the stream grows, and when `signal` aborts. */
  grown(stream: Stream, signal: AbortSignal): Promise<void>;
  /**
   * Moves a consumer's watermark, durably; back no further than what is kept.
   * @returns where it stands then.
   * @throws PlantError SEQUENCE_AHEAD; LIMIT_REACHED where it is new and there are too many.
   */
  ack(consumer: string, stream: Stream, sequence: number): Promise<number>;
  /**
   * An `ack` by which a far consumer says anew what it holds. From the first one on, what it holds
   * is trimmed only up to here, and only while this is young.
   * @throws as `ack`.
   */
  welcome(consumer: string, stream: Stream, sequence: number): Promise<number>;
  /**
   * Where a consumer stands, or would stand: before all that is kept.
   * @param options `register`: one not known is registered, durably, and holds records.
   * @throws PlantError LIMIT_REACHED where it is new and there are too many.
   */
  position(
    consumer: string,
    options?: { readonly register?: boolean },
  ): Promise<Record<Stream, StreamPosition>>;
  /**
   * From now on a consumer holds records of some streams, and of no others.
   * @param first what must be done before it, once nothing refuses it; when it fails, nothing is.
   * @throws PlantError LIMIT_REACHED; what `first` throws.
   */
  addConsumer(
    consumer: string,
    held: readonly Stream[],
    first?: () => Promise<unknown>,
  ): Promise<void>;
  /** Forgets a consumer; whether there was one. @param first as in `addConsumer`. */
  removeConsumer(consumer: string, first?: () => Promise<unknown>): Promise<boolean>;
  /** Who holds records, and where each stands. */
  consumers(): readonly ConsumerMarks[];
  /** What a stream takes of the room, and what of it may change. */
  use(stream: Stream): StreamUse;
  /** Records of `state` above what `limit` answers are from now on neither removed nor replaced. */
  hold(limit: () => number): void;
  /**
   * Removes acknowledged blocks of any age, the oldest first, until they come to `bytes`.
   * @returns the bytes it freed.
   */
  release(stream: Stream, bytes: number): Promise<number>;
  /**
   * Puts records in the place of whole blocks of one epoch, in one commit; nothing above the limit
   * of `use`, nothing in format 1.
   * @returns the bytes it freed; 0 when these were fewer than wanted and nothing was done.
   * @throws PlantError STORE_FULL, STORE_FAILED, with everything as it was.
   */
  replace(replacement: Replacement): Promise<number>;
  /** Pages of the last checkpoint, 64 points each, as their owner made them. */
  checkpointPages(): Iterable<CheckpointPage>;
  /** Rows of a checkpoint of format 1. */
  checkpointRows(): Iterable<{ readonly index: number; readonly text: string }>;
  /** What the last checkpoint covers: the sequence of `state`, and a note of the owner's. */
  readonly checkpoint: CheckpointMark;
  /**
   * Writes pages (`undefined` removes), in commits of bounded size, and then the mark, which says
   * that all pages are as new as it or newer. Without a mark more pages follow.
   * @throws PlantError STORE_FULL, STORE_FAILED, STORE_CLOSED; some pages may be written then.
   */
  saveCheckpoint(pages: CheckpointRows<Uint8Array>, mark?: CheckpointMark): Promise<void>;
  /** The same in the layout of format 1: a JSON text per point, and always a mark. */
  saveCheckpointRows(rows: CheckpointRows<string>, mark: CheckpointMark): Promise<void>;
  /**
   * Removes blocks that every consumer acknowledged `keepMs` of running time ago, or at any time
   * where their stream is above its quota or room runs short; returns how many.
   */
  trim(): Promise<number>;
  /**
   * Writes a compact copy to `path`, with all that waited for its flush.
   * @returns its bytes.
   * @throws an error of the system.
   */
  backup(path: string): Promise<number>;
  /**
   * Replaces all by the database in `file` and opens a new epoch. Until the last moment a failure
   * changes nothing; after it, `ended` settles with the error.
   * @returns the new epoch.
   * @throws PlantError STORE_FAILED, and as `openJournal`.
   */
  restore(file: string): Promise<string>;
  /** Bytes of blocks put since opening, per stream. */
  written(): Readonly<Record<Stream, number>>;
  /**
   * Closes the database and opens it again, in the newest format and with a new epoch. Where that
   * fails, `ended` settles with the error.
   */
  upgrade(): Promise<Format>;
  /** Counters since opening, and sizes in bytes: see `stats` in docs/reference/services.md. */
  stats(): Readonly<Record<string, number>>;
  /** What went wrong since the opening: commits that failed, reads that found damage. */
  troubles(): Troubles;
}

/** What went wrong, how often, and when. */
export interface Troubles {
  readonly failedCommits: FailedCommits;
  readonly damagedReads: Occurrences;
}

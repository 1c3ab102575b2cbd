// What leaves the log, and when: blocks that every consumer acknowledged, blocks that a cover takes
// the place of, and the epochs that end with them. It must not know what the records mean.
import type { Disk, Write } from "../disk/disk.ts";
import { assert } from "../util/assert.ts";
import { hasCode } from "../util/errors.ts";
import { AckAges } from "./ages.ts";
import { encodeBlock } from "./block.ts";
import { type BlockHead, type Format, type JournalRecord, type Stream, streams } from "./head.ts";
import type { LogReader } from "./reader.ts";
import { isCover, roomOf, Sizes } from "./sizes.ts";
import * as tables from "./tables.ts";
import type { Watermarks } from "./watermarks.ts";

export interface RetentionDeps {
  readonly disk: Disk;
  readonly format: Format;
  readonly reader: LogReader;
  readonly marks: Watermarks;
  /** Shortened in place when an epoch has left it. */
  readonly lineage: tables.EpochEntry[];
  readonly head: (stream: Stream) => number;
  /** Records of `state` up to here are in the checkpoint, and nobody else needs them. */
  readonly settled: () => number;
  readonly runMs: () => number;
}

export interface RetentionOptions {
  /** How long acknowledged records stay, in running time from the acknowledgement. */
  readonly keepMs: number;
  readonly roomBytes: number;
  /** Shares of the room that streams may fill, in percent. */
  readonly quota?: Readonly<Record<Stream, number>>;
}

/** A stream as those see it who make room in it. */
export interface StreamUse {
  /** Sequence of the first record kept; `head + 1` when none is. */
  readonly first: number;
  readonly head: number;
  /** No block that ends above may be replaced: it is the newest, or somebody needs it. */
  readonly limit: number;
  /** Up to here every consumer holds the records, and they may go. */
  readonly acked: number;
  readonly bytes: number;
  readonly coverBytes: number;
  readonly quotaBytes: number;
}

/** A stretch of whole blocks of one epoch, and what takes their place. */
export interface Replacement {
  readonly stream: Stream;
  readonly from: number;
  readonly to: number;
  /** Records that stand for all of `from` to `to`, in order; one is a block of its own. */
  readonly records: readonly JournalRecord[];
  /** It is not done unless it frees this many bytes. */
  readonly bytesLeast: number;
}

/** Blocks replaced in one commit. */
export const replacedBlocksMax = 900;

const defaultQuota = { state: 55, event: 8, log: 8, metric: 4 };
/** Above this share of the room, acknowledged records are not kept for their age. */
const keepRoomShare = 0.7;
/** Blocks removed in one commit. */
const trimBlocksMax = 500;

export class Retention {
  readonly #deps: RetentionDeps;
  readonly #options: RetentionOptions;
  readonly #sizes: Sizes;
  readonly #ages: AckAges;
  #replaced = 0;

  constructor(deps: RetentionDeps, options: RetentionOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#sizes = new Sizes(deps.disk, deps.head);
    this.#ages = new AckAges(tables.readAges(deps.disk), options.keepMs);
  }

  /** Blocks of a stream were flushed. */
  flushed(stream: Stream, bytes: number): void {
    this.#sizes.add({ stream, bytes, coverBytes: 0 });
    if (this.#deps.marks.count === 0) this.note(stream);
  }

  /** A watermark may have moved: acknowledged records age from now on. */
  note(stream: Stream): void {
    const { marks, head, runMs } = this.#deps;
    const sequence = Math.min(head(stream), marks.acknowledged(stream));
    this.#ages.note(stream, { runMs: runMs(), sequence });
  }

  /** The row of sizes, for a commit that is made anyway. */
  sizesWrite(): Write {
    return this.#sizes.write(this.#firsts());
  }

  #firsts(): Record<Stream, number> {
    const { reader, head } = this.#deps;
    return tables.forStreams((stream) => reader.first(stream, head(stream)));
  }

  use(stream: Stream): StreamUse {
    const { reader, head, marks } = this.#deps;
    const { quota = defaultQuota, roomBytes } = this.#options;
    return {
      first: reader.first(stream, head(stream)),
      head: head(stream),
      limit: this.#limit(stream),
      acked: marks.lowest(stream, true),
      ...this.#sizes.of(stream),
      quotaBytes: Math.floor((roomBytes * quota[stream]) / 100),
    };
  }

  /** Removes blocks that may go; returns how many. */
  async trim(): Promise<number> {
    const { disk, marks, runMs } = this.#deps;
    const now = runMs();
    let removed = 0;
    for (const stream of streams) {
      this.note(stream);
      const limit = Math.min(marks.lowest(stream, false), this.#ages.agedTo(stream, now));
      removed += await this.#remove(stream, limit, Number.POSITIVE_INFINITY);
      const { bytes, quotaBytes, acked } = this.use(stream);
      const isFull = bytes > quotaBytes;
      const most = isFull ? bytes - quotaBytes : Number.POSITIVE_INFINITY;
      if (isFull || this.#isShort) removed += await this.#remove(stream, acked, most);
    }
    const ages = this.#ages.due(now);
    if (ages !== undefined) await disk.commit([tables.agesWrite(ages)], "reserve");
    if (removed > 0) await this.#trimLineage();
    return removed;
  }

  /** Removes acknowledged blocks of any age, until they come to `bytes`; returns what they freed. */
  async release(stream: Stream, bytes: number): Promise<number> {
    const before = this.#sizes.of(stream).bytes;
    const removed = await this.#remove(stream, this.use(stream).acked, bytes);
    if (removed > 0) await this.#trimLineage();
    return before - this.#sizes.of(stream).bytes;
  }

  /** Removes whole blocks from the front, up to a sequence, until they come to `bytes`. */
  async #remove(stream: Stream, upTo: number, bytes: number): Promise<number> {
    const { reader } = this.#deps;
    const limit = Math.min(upTo, this.#limit(stream));
    let removed = 0;
    let left = bytes;
    while (left > 0) {
      const { keys, next, ...size } = oldBlocks(reader, stream, { limit, bytes: left });
      if (keys.length === 0) break;
      const change = { stream, bytes: -size.bytes, coverBytes: -size.coverBytes };
      const firsts = { ...this.#firsts(), [stream]: next };
      const writes = keys.map((key): Write => ({ table: tables.logTable, key }));
      await this.#removeBlocks(writes, this.#sizes.write(firsts, change));
      this.#sizes.add(change);
      reader.forget();
      removed += keys.length;
      left -= size.bytes;
    }
    return removed;
  }

  /** What only removes always fits; the sizes are found again without their row. */
  async #removeBlocks(removals: readonly Write[], sizes: Write): Promise<void> {
    const { disk } = this.#deps;
    try {
      await disk.commit([...removals, sizes], "reserve");
    } catch (error) {
      if (!hasCode(error, "STORE_FULL")) throw error;
      await disk.commit(removals);
    }
  }

  /**
   * Puts records in the place of whole blocks, in one commit.
   * @returns the bytes it freed; 0 when it was not done.
   * @throws PlantError STORE_FULL, STORE_FAILED, with everything as it was.
   */
  async replace({ stream, from, to, records, bytesLeast }: Replacement): Promise<number> {
    const { disk, reader, format } = this.#deps;
    assert(format !== 1 && to <= this.#limit(stream), "only what is old and settled is replaced");
    const old: BlockHead[] = [];
    const gone: { bytes: number; coverBytes: number } = { bytes: 0, coverBytes: 0 };
    for (const { head, bytes } of reader.blocks(stream, from - 1)) {
      if (head.first > to) break;
      assert(head.epoch === (old[0] ?? head).epoch, "blocks of one epoch are replaced together");
      old.push(head);
      gone.bytes += roomOf(bytes);
      gone.coverBytes += isCover(head) ? roomOf(bytes) : 0;
    }
    const [first] = old;
    const last = old.at(-1);
    assert(
      first?.first === from && last?.last === to && old.length <= replacedBlocksMax,
      "whole blocks are replaced",
    );
    const blocks = records.map((record) => {
      const sequence = record.sequence as number;
      // As old as the newest of what it stands for; waiting since the oldest.
      const { epoch, runMs } = last;
      const head = { stream, epoch, first: sequence, wallMs: first.wallMs, runMs };
      return { sequence, bytes: encodeBlock(head, [record]), isCover: record.kind === "cover" };
    });
    const come = blocks.reduce((sum, { bytes }) => sum + roomOf(bytes), 0);
    if (gone.bytes - come < bytesLeast) return 0;
    const covers = blocks.reduce(
      (sum, block) => sum + (block.isCover ? roomOf(block.bytes) : 0),
      0,
    );
    const change = { stream, bytes: come - gone.bytes, coverBytes: covers - gone.coverBytes };
    const starts = new Set(blocks.map(({ sequence }) => sequence));
    const removals = old.filter((head) => !starts.has(head.first));
    await disk.commit(
      [
        ...removals.map(({ first: key }): Write => {
          return { table: tables.logTable, key: tables.blockKey(stream, key) };
        }),
        ...blocks.map(({ sequence, bytes }): Write => {
          return { table: tables.logTable, key: tables.blockKey(stream, sequence), value: bytes };
        }),
        this.#sizes.write(this.#firsts(), change),
      ],
      "reserve",
    );
    this.#sizes.add(change);
    this.#replaced += old.length;
    reader.forget();
    return gone.bytes - come;
  }

  /**
   * The last sequence of a stream that may go or change. The block of the newest record stays: the
   * numbers of the next epoch go on from it, unless those of this one began right there.
   */
  #limit(stream: Stream): number {
    const { head: headOf, lineage, settled } = this.#deps;
    const head = headOf(stream);
    const isOfThisEpoch = head > (lineage.at(-1)?.cuts[stream] ?? 0);
    const limit = isOfThisEpoch ? head - 1 : head;
    return stream === "state" ? Math.min(limit, settled()) : limit;
  }

  get #isShort(): boolean {
    const { liveBytes, roomBytes } = this.#deps.disk.stats();
    return liveBytes > roomBytes * keepRoomShare;
  }

  /** An epoch leaves the lineage when its last record is gone, ancestors first. */
  async #trimLineage(): Promise<void> {
    const { lineage, disk } = this.#deps;
    const firsts = this.#firsts();
    let gone = 0;
    for (const child of lineage.slice(1)) {
      if (streams.some((stream) => firsts[stream] <= child.cuts[stream])) break;
      gone += 1;
    }
    if (gone === 0) return;
    await disk.commit([tables.lineageWrite(lineage.slice(gone))], "reserve");
    lineage.splice(0, gone);
  }

  stats(): Readonly<Record<string, number>> {
    const of = (stream: Stream) => this.#sizes.of(stream).bytes;
    return {
      replacedBlocks: this.#replaced,
      stateBytes: of("state"),
      eventBytes: of("event"),
      logBytes: of("log"),
      metricBytes: of("metric"),
    };
  }
}

/** The first blocks of a stream, wholly at or below `limit`, until they come to `bytes`. */
function oldBlocks(
  reader: LogReader,
  stream: Stream,
  { limit, bytes: most }: { readonly limit: number; readonly bytes: number },
): { keys: Uint8Array[]; next: number; bytes: number; coverBytes: number } {
  const found = { keys: [] as Uint8Array[], next: 0, bytes: 0, coverBytes: 0 };
  for (const { head, bytes } of reader.blocks(stream, -1)) {
    if (head.last > limit || found.keys.length >= trimBlocksMax || found.bytes >= most) break;
    found.keys.push(tables.blockKey(stream, head.first));
    found.next = head.last + 1;
    found.bytes += roomOf(bytes);
    found.coverBytes += isCover(head) ? roomOf(bytes) : 0;
  }
  return found;
}

// Reads the log: records after a sequence, the first one kept, blocks old enough to go.
// It must not know who reads, or write anything.
import { coverBody } from "../batch/batch.ts";
import type { Disk, Row } from "../disk/disk.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import { checkedHead, checksumOf, decodeBlock, type NumberedRecord } from "./block.ts";
import { type BlockHead, lastOfRecord, type Stream } from "./head.ts";
import { type Occurrences, Recent } from "./recent.ts";
import { blockBounds, blockKey, type EpochEntry, firstOfKey, logTable } from "./tables.ts";

/** What to read: at most `limit` records and about `bytesMax` bytes, but always one if any. */
export interface ChangesQuery {
  readonly stream: Stream;
  readonly after: number;
  readonly limit: number;
  readonly bytesMax: number;
  /**
   * Records that are damaged come as a cover `corrupt` in their place, so that a reader can go on;
   * without it they are STORE_DAMAGED.
   */
  readonly coversDamage?: boolean | undefined;
}

/** Records of one epoch, in order, without a gap. */
export interface Changes {
  readonly epoch: string;
  readonly records: readonly NumberedRecord[];
  /** Sequence of the last record here; `after` when there is none. */
  readonly last: number;
  readonly head: number;
}

/** One block of the log, for those who read blocks whole: see `decodeBlock` and `blockPoints`. */
export interface Block {
  readonly head: BlockHead;
  readonly bytes: Uint8Array;
}

/** About the bytes of a point, and of a line, as JSON, without what it says. */
const pointWeight = 230;
const lineWeight = 50;

/** The epoch of a block that cannot be read and is older than the lineage. */
const noEpoch = "0".repeat(32);

/** A block that was decoded and not read to its end. */
interface Opened {
  readonly checksum: number;
  readonly bytes: number;
  readonly head: BlockHead;
  readonly records: readonly NumberedRecord[];
}

export class LogReader {
  readonly #disk: Disk;
  readonly #lineage: readonly EpochEntry[];
  /** First sequence kept per stream; absent until asked for. */
  readonly #firsts = new Map<Stream, number>();
  /** The next page goes on in it. */
  #opened: Opened | undefined;
  readonly #nowMs: () => number;
  readonly #damaged = new Recent();

  /**
   * @param lineage epochs, the newest last; shortened in place.
   * @param nowMs monotonic time.
   */
  constructor(disk: Disk, lineage: readonly EpochEntry[], nowMs: () => number) {
    this.#disk = disk;
    this.#lineage = lineage;
    this.#nowMs = nowMs;
  }

  /** Reads that found damage. */
  damaged(): Occurrences {
    return this.#damaged.tell(this.#nowMs());
  }

  /** Forgets what it knows of the log's beginning: blocks were removed. */
  forget(): void {
    this.#firsts.clear();
  }

  /** Sequence of the first record kept; `head + 1` when there is none. */
  first(stream: Stream, head: number): number {
    const known = this.#firsts.get(stream);
    if (known !== undefined) return known;
    for (const row of this.#disk.range(logTable, { ...blockBounds(stream), limit: 1 })) {
      const first = firstOfKey(row.key);
      this.#firsts.set(stream, first);
      return first;
    }
    return head + 1;
  }

  /** Wall clock of the commit that holds `sequence`. */
  wallOf(stream: Stream, sequence: number, head: number): number | undefined {
    if (sequence > head) return undefined;
    for (const { head: found } of this.blocks(stream, sequence - 1)) {
      if (found.count > 0) return found.wallMs;
    }
    return undefined;
  }

  /**
   * @param lineage epochs, the newest last.
   * @throws PlantError SEQUENCE_AHEAD, SEQUENCE_GONE, STORE_DAMAGED.
   */
  read(query: ChangesQuery, head: number, lineage: readonly EpochEntry[]): Changes {
    const { stream, after } = query;
    if (after > head) throw new PlantError("SEQUENCE_AHEAD", { stream, sequence: after, head });
    const first = this.first(stream, head);
    if (after < first - 1) {
      throw new PlantError("SEQUENCE_GONE", { stream, sequence: after + 1, first });
    }
    const page = new Page(query, head);
    if (after === head) return page.answer(epochOf(lineage, stream, head + 1));
    for (const { key, value } of this.#blocksFrom(stream, after + 1)) {
      const begins = firstOfKey(key);
      const block = this.#open(value);
      if (block === undefined || begins > page.last + 1) {
        // What was found before it goes first.
        if (page.epoch !== undefined) break;
        return this.#overDamage(query, head, { lineage, missing: block !== undefined, begins });
      }
      if (page.epoch !== undefined && block.head.epoch !== page.epoch) break;
      if (block.head.last <= after) continue;
      page.epoch = block.head.epoch;
      if (!page.take(block.records)) {
        this.#opened = block;
        break;
      }
    }
    return page.answer(page.epoch ?? epochOf(lineage, stream, after + 1));
  }

  /** A block, decoded; undefined for a damaged one. */
  #open(value: Uint8Array): Opened | undefined {
    const checksum = checksumOf(value);
    const known = this.#opened;
    this.#opened = undefined;
    if (known?.checksum === checksum && known.bytes === value.length) return known;
    try {
      return { checksum, bytes: value.length, ...decodeBlock(value) };
    } catch (error) {
      if (!hasCode(error, "STORE_DAMAGED")) throw error;
      return undefined;
    }
  }

  /**
   * A cover in the place of damaged records, from what the keys around them say, or their error.
   * @param place `missing` when the damage is a gap before the block that `begins` there.
   */
  #overDamage(
    { stream, after, coversDamage }: ChangesQuery,
    head: number,
    place: {
      readonly lineage: readonly EpochEntry[];
      readonly missing: boolean;
      readonly begins: number;
    },
  ): Changes {
    const { lineage, missing, begins } = place;
    this.#damaged.note(this.#nowMs());
    if (coversDamage !== true) {
      const reason = missing ? `a gap in ${stream}` : `a block of ${stream} has another checksum`;
      throw new PlantError("STORE_DAMAGED", { reason, sequence: after + 1 });
    }
    const sequence = missing ? after + 1 : begins;
    let to = missing ? begins - 1 : (this.#firstAbove(stream, begins) ?? head + 1) - 1;
    // A cover belongs to one epoch.
    for (const { cuts } of lineage) if (cuts[stream] >= sequence) to = Math.min(to, cuts[stream]);
    const count = to - sequence + 1;
    const body = coverBody({ reason: "corrupt", count, definitions: [], last: [] });
    const records = [{ sequence, kind: "cover", to, body }];
    return { epoch: epochOf(lineage, stream, sequence), records, last: to, head };
  }

  #firstAbove(stream: Stream, sequence: number): number | undefined {
    const above = { from: blockKey(stream, sequence + 1), to: blockBounds(stream).to, limit: 1 };
    for (const { key } of this.#disk.range(logTable, above)) return firstOfKey(key);
    return undefined;
  }

  /**
   * Blocks of a stream in order, from the one that holds the sequence after `after`. Of a damaged
   * one the head says what its neighbours tell of it: no records, and no age.
   */
  *blocks(stream: Stream, after: number): Iterable<Block> {
    for (const { key, value } of this.#blocksFrom(stream, after + 1)) {
      const head = this.#headOf(stream, firstOfKey(key), value);
      if (head.last > after) yield { head, bytes: value };
    }
  }

  #headOf(stream: Stream, first: number, value: Uint8Array): BlockHead {
    try {
      return checkedHead(value);
    } catch (error) {
      if (!hasCode(error, "STORE_DAMAGED")) throw error;
      const last = (this.#firstAbove(stream, first) ?? first + 1) - 1;
      const found = this.#lineage.findLast(({ cuts }) => cuts[stream] < first);
      return { stream, epoch: found?.epoch ?? noEpoch, first, last, count: 0, wallMs: 0, runMs: 0 };
    }
  }

  /** Blocks in order, the one that holds `sequence` first. */
  *#blocksFrom(stream: Stream, sequence: number): Iterable<Row> {
    const { from: low, to: high } = blockBounds(stream);
    let from = low;
    const below = { from: low, to: blockKey(stream, sequence + 1), reverse: true, limit: 1 };
    for (const row of this.#disk.range(logTable, below)) from = row.key;
    yield* this.#disk.range(logTable, { from, to: high });
  }
}

/** Records being put together, up to a query's bounds. */
class Page {
  epoch: string | undefined;
  last: number;
  readonly #query: ChangesQuery;
  readonly #head: number;
  readonly #records: NumberedRecord[] = [];
  #bytes = 0;

  constructor(query: ChangesQuery, head: number) {
    this.#query = query;
    this.#head = head;
    this.last = query.after;
  }

  /** Takes records of a block; false when not all of them. */
  take(records: readonly NumberedRecord[]): boolean {
    const { after, limit, bytesMax } = this.#query;
    for (const record of records) {
      const reached = lastOfRecord(record, record.sequence);
      if (reached <= after) continue;
      this.#bytes += weightOf(record);
      const taken = this.#records.length;
      const isOver = taken >= limit || (taken > 0 && this.#bytes > bytesMax);
      if (isOver || record.sequence > this.#head) return false;
      this.#records.push(record);
      this.last = reached;
    }
    return true;
  }

  answer(epoch: string): Changes {
    return { epoch, records: this.#records, last: this.last, head: this.#head };
  }
}

/** The epoch that a sequence of a stream is of; the newest one for the next to come. */
function epochOf(lineage: readonly EpochEntry[], stream: Stream, sequence: number): string {
  const found = lineage.findLast(({ cuts }) => cuts[stream] < sequence);
  return (found ?? lineage[0])?.epoch ?? "";
}

/** About the bytes of a record as JSON. */
function weightOf(record: NumberedRecord): number {
  const { kind, text, value } = record;
  if (kind === "line" && typeof text === "string") return lineWeight + text.length;
  if (kind !== "point") return JSON.stringify(record).length;
  if (typeof value === "string") return pointWeight + value.length;
  if (typeof value !== "object" || value === null) return pointWeight;
  return pointWeight + JSON.stringify(value).length;
}

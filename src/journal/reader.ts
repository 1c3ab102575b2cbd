// Reads the log: records after a sequence, the first one kept, blocks old enough to go.
// It must not know who reads, or write anything.
import type { Disk } from "../disk/disk.ts";
import { PlantError } from "../util/errors.ts";
import { decodeBlock, decodeHead, type NumberedRecord } from "./block.ts";
import { type BlockHead, lastOfRecord, type Stream } from "./head.ts";
import { blockBounds, blockKey, logTable } from "./tables.ts";

/** What to read: at most `limit` records and about `bytesMax` bytes, but always one if any. */
export interface ChangesQuery {
  readonly stream: Stream;
  readonly after: number;
  readonly limit: number;
  readonly bytesMax: number;
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

/** About the bytes of a point as JSON, without its value. */
const pointWeight = 230;

export class LogReader {
  readonly #disk: Disk;
  /** First sequence kept per stream; absent until asked for. */
  readonly #firsts = new Map<Stream, number>();

  constructor(disk: Disk) {
    this.#disk = disk;
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
      const { first } = decodeHead(row.value);
      this.#firsts.set(stream, first);
      return first;
    }
    return head + 1;
  }

  /** Wall clock of the commit that holds `sequence`. */
  wallOf(stream: Stream, sequence: number, head: number): number | undefined {
    if (sequence > head) return undefined;
    for (const { value } of this.#blocksFrom(stream, sequence)) return decodeHead(value).wallMs;
    return undefined;
  }

  read({ stream, after, limit, bytesMax }: ChangesQuery, head: number, epoch: string): Changes {
    if (after > head) throw new PlantError("SEQUENCE_AHEAD", { stream, sequence: after, head });
    const first = this.first(stream, head);
    if (after < first - 1) {
      throw new PlantError("SEQUENCE_GONE", { stream, sequence: after + 1, first });
    }
    if (after === head) return { epoch, records: [], last: after, head };
    const records: NumberedRecord[] = [];
    let last = after;
    let bytes = 0;
    let found: string | undefined;
    for (const { value } of this.#blocksFrom(stream, after + 1)) {
      const block = decodeHead(value);
      if (found !== undefined && block.epoch !== found) break;
      if (block.last <= after) continue;
      if (block.first > last + 1)
        throw new PlantError("STORE_DAMAGED", { reason: `a gap in ${stream}` });
      found = block.epoch;
      for (const record of decodeBlock(value).records) {
        const reached = lastOfRecord(record, record.sequence);
        if (reached <= after) continue;
        bytes += weightOf(record);
        const isOver = records.length >= limit || (records.length > 0 && bytes > bytesMax);
        if (isOver || record.sequence > head) return { epoch: found, records, last, head };
        records.push(record);
        last = reached;
      }
    }
    return { epoch: found ?? epoch, records, last, head };
  }

  /** Blocks of a stream in order, from the one that holds the sequence after `after`. */
  *blocks(stream: Stream, after: number): Iterable<Block> {
    for (const { value } of this.#blocksFrom(stream, after + 1)) {
      const head = decodeHead(value);
      if (head.last > after) yield { head, bytes: value };
    }
  }

  /** Blocks in order, the one that holds `sequence` first. */
  *#blocksFrom(stream: Stream, sequence: number): Iterable<{ value: Uint8Array }> {
    const { from: low, to: high } = blockBounds(stream);
    let from = low;
    const below = { from: low, to: blockKey(stream, sequence + 1), reverse: true, limit: 1 };
    for (const row of this.#disk.range(logTable, below)) from = row.key;
    yield* this.#disk.range(logTable, { from, to: high });
  }
}

/** About the bytes of a record as JSON. */
function weightOf(record: NumberedRecord): number {
  if (record.kind !== "point") return JSON.stringify(record).length;
  const { value } = record;
  if (typeof value === "string") return pointWeight + value.length;
  if (typeof value !== "object" || value === null) return pointWeight;
  return pointWeight + JSON.stringify(value).length;
}

// Reads the log: records after a sequence, the first one kept, blocks old enough to go.
// It must not know who reads, or write anything.
import type { Disk } from "../disk/disk.ts";
import { PlantError } from "../util/errors.ts";
import { decodeBlock, decodeHead, type JournalRecord, type Stream } from "./block.ts";
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
  readonly records: readonly (JournalRecord & { readonly sequence: number })[];
  /** Sequence of the last record here; `after` when there is none. */
  readonly last: number;
  readonly head: number;
}

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
    const records: (JournalRecord & { readonly sequence: number })[] = [];
    let bytes = 0;
    let found: string | undefined;
    if (after === head) return { epoch, records, last: after, head };
    for (const row of this.#blocksFrom(stream, after + 1)) {
      const block = decodeBlock(row.value);
      if (found !== undefined && block.head.epoch !== found) break;
      if (block.head.first + block.head.count - 1 <= after) continue;
      const expected = after + records.length + 1;
      const from = expected - block.head.first;
      if (from < 0) throw new PlantError("STORE_DAMAGED", { reason: `a gap in ${stream}` });
      found = block.head.epoch;
      for (const [at, text] of block.texts.slice(from).entries()) {
        const sequence = expected + at;
        bytes += text.length;
        const over = records.length >= limit || (records.length > 0 && bytes > bytesMax);
        if (over || sequence > head) return { epoch: found, records, last: sequence - 1, head };
        records.push({ sequence, ...parseRecord(text) });
      }
    }
    return { epoch: found ?? epoch, records, last: after + records.length, head };
  }

  /** Blocks in order, the one that holds `sequence` first. */
  *#blocksFrom(stream: Stream, sequence: number): Iterable<{ value: Uint8Array }> {
    const { from: low, to: high } = blockBounds(stream);
    let from = low;
    const below = { from: low, to: blockKey(stream, sequence + 1), reverse: true, limit: 1 };
    for (const row of this.#disk.range(logTable, below)) from = row.key;
    yield* this.#disk.range(logTable, { from, to: high });
  }

  /** Keys of blocks wholly at or below `limit` and older than `beforeWallMs`, oldest first. */
  oldBlocks(
    stream: Stream,
    { limit, beforeWallMs, max }: { limit: number; beforeWallMs: number; max: number },
  ): Uint8Array[] {
    const keys: Uint8Array[] = [];
    for (const { key, value } of this.#disk.range(logTable, blockBounds(stream))) {
      const { first, count, wallMs } = decodeHead(value);
      if (first + count - 1 > limit || wallMs > beforeWallMs || keys.length >= max) break;
      keys.push(key);
    }
    return keys;
  }
}

function parseRecord(text: string): JournalRecord {
  return JSON.parse(text) as JournalRecord;
}

// How much of the room each stream takes: kept while blocks come and go, and found again at the
// next opening without reading them. It must not know why blocks go.
import type { Disk, Write } from "../disk/disk.ts";
import { hasCode } from "../util/errors.ts";
import { checkedHead } from "./block.ts";
import type { BlockHead, Stream } from "./head.ts";
import * as tables from "./tables.ts";

/** What the blocks of one stream take, in bytes of the data file. */
interface Size {
  readonly bytes: number;
  /** Of these, blocks that stand for more sequences than they have records. */
  readonly coverBytes: number;
}

const pageBytes = 4096;
/** A value above half a page takes whole pages of its own. */
const ownPagesFrom = 2000;

/** What a block takes of the data file, about. */
export function roomOf(block: Uint8Array): number {
  const { length } = block;
  return length > ownPagesFrom ? Math.ceil((length + 16) / pageBytes) * pageBytes : length + 48;
}

/** Whether a block stands for more sequences than it has records. */
export function isCover({ first, last, count }: BlockHead): boolean {
  return last - first + 1 > count;
}

/** A change of a stream's size. */
type Change = Size & { readonly stream: Stream };

export class Sizes {
  readonly #sizes: Record<Stream, Size>;
  readonly #head: (stream: Stream) => number;

  /** @param head the last flushed sequence of a stream. */
  constructor(disk: Disk, head: (stream: Stream) => number) {
    this.#head = head;
    const kept = tables.readSizes(disk);
    this.#sizes = tables.forStreams((stream) => measure(disk, stream, kept?.[stream]));
  }

  of(stream: Stream): Size {
    return this.#sizes[stream];
  }

  /** Blocks came, or went where figures are negative. */
  add({ stream, bytes, coverBytes }: Change): void {
    const { [stream]: size } = this.#sizes;
    this.#sizes[stream] = {
      bytes: Math.max(0, size.bytes + bytes),
      coverBytes: Math.max(0, size.coverBytes + coverBytes),
    };
  }

  /**
   * The row to write with a commit that makes `change`.
   * @param first of each stream, after it.
   */
  write(firsts: Readonly<Record<Stream, number>>, change?: Change): Write {
    const rows = tables.forStreams((stream) => {
      const { bytes, coverBytes } = this.#sizes[stream];
      const mine = change?.stream === stream ? change : { bytes: 0, coverBytes: 0 };
      return {
        first: firsts[stream],
        upTo: this.#head(stream),
        bytes: Math.max(0, bytes + mine.bytes),
        coverBytes: Math.max(0, coverBytes + mine.coverBytes),
      };
    });
    return tables.sizesWrite(rows);
  }
}

/** What was kept, with the blocks behind it; a release that knew no sizes may have trimmed. */
function measure(disk: Disk, stream: Stream, kept: tables.SizeRow | undefined): Size {
  const bounds = tables.blockBounds(stream);
  let first: number | undefined;
  for (const row of disk.range(tables.logTable, { ...bounds, limit: 1 })) {
    first = tables.firstOfKey(row.key);
  }
  const isKept = kept !== undefined && (first === undefined || first === kept.first);
  let { bytes, coverBytes } = isKept ? kept : { bytes: 0, coverBytes: 0 };
  const from = isKept ? tables.blockKey(stream, kept.upTo + 1) : bounds.from;
  for (const { value } of disk.range(tables.logTable, { ...bounds, from })) {
    bytes += roomOf(value);
    if (isSoundCover(value)) coverBytes += roomOf(value);
  }
  return first === undefined ? { bytes: 0, coverBytes: 0 } : { bytes, coverBytes };
}

/** What a damaged block was nobody knows. */
function isSoundCover(block: Uint8Array): boolean {
  try {
    return isCover(checkedHead(block));
  } catch (error) {
    if (!hasCode(error, "STORE_DAMAGED")) throw error;
    return false;
  }
}

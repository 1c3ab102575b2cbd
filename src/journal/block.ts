// The bytes of one block of the log: records of one commit and stream, with a checksum.
// It must not know what the records mean, or where blocks are kept.
import { crc32 } from "node:zlib";
import { PlantError } from "../util/errors.ts";

/** The streams of a gateway, in the order of their numbers on disk. */
export const streams = ["state", "event", "log", "metric"] as const;
export type Stream = (typeof streams)[number];

/** One record as the journal sees it: JSON, numbered by its place. */
export type JournalRecord = Readonly<Record<string, unknown>>;

/** Facts about a block, from its head. */
export interface BlockHead {
  readonly stream: Stream;
  /** 32 hexadecimal digits. */
  readonly epoch: string;
  /** Sequence of the first record. */
  readonly first: number;
  readonly count: number;
  /** Wall clock at the commit, in milliseconds since 1970. */
  readonly wallMs: number;
}

const version = 1;
/** Body: one JSON text per record, separated by a newline. */
const plainLines = 0;
const headBytes = 48;

// crc32 u32 | version u8 | stream u8 | codec u8 | 0 | count u32 | 0 u32 | first u64 | wall f64
// | epoch 16 bytes | body; the checksum covers all that follows it. Integers are big-endian.

/** The bytes of a block whose records are already JSON texts. */
export function encodeBlock(head: Omit<BlockHead, "count">, texts: readonly string[]): Uint8Array {
  const body = Buffer.from(texts.join("\n"));
  const bytes = Buffer.allocUnsafe(headBytes + body.length);
  bytes[4] = version;
  bytes[5] = streams.indexOf(head.stream);
  bytes[6] = plainLines;
  bytes[7] = 0;
  bytes.writeUInt32BE(texts.length, 8);
  bytes.writeUInt32BE(0, 12);
  bytes.writeBigUInt64BE(BigInt(head.first), 16);
  bytes.writeDoubleBE(head.wallMs, 24);
  bytes.write(head.epoch, 32, "hex");
  body.copy(bytes, headBytes);
  bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

/**
 * The head of a block, without looking at its checksum.
 * @throws PlantError STORE_DAMAGED, STORE_FORMAT_NEWER.
 */
export function decodeHead(block: Uint8Array): BlockHead {
  const bytes = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  if (bytes.length < headBytes) throw damaged("a block is shorter than its head");
  const found = bytes[4] ?? 0;
  if (found > version) throw new PlantError("STORE_FORMAT_NEWER", { found, known: version });
  const stream = streams[bytes[5] ?? 0];
  if (stream === undefined) throw damaged("a block is of no known stream");
  const count = bytes.readUInt32BE(8);
  const first = Number(bytes.readBigUInt64BE(16));
  const epoch = bytes.toString("hex", 32, 48);
  return { stream, epoch, first, count, wallMs: bytes.readDoubleBE(24) };
}

/**
 * The head and the JSON texts of a block.
 * @throws PlantError STORE_DAMAGED when the checksum does not fit; STORE_FORMAT_NEWER.
 */
export function decodeBlock(block: Uint8Array): { head: BlockHead; texts: string[] } {
  const bytes = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  if (bytes.length < headBytes) throw damaged("a block is shorter than its head");
  if (crc32(bytes.subarray(4)) !== bytes.readUInt32BE(0)) {
    throw damaged("the checksum of a block does not fit");
  }
  const head = decodeHead(block);
  if (bytes[6] !== plainLines) {
    throw new PlantError("STORE_FORMAT_NEWER", { found: `codec ${bytes[6]}`, known: plainLines });
  }
  const texts = bytes.toString("utf8", headBytes).split("\n");
  if (texts.length !== head.count) throw damaged("a block has another count than its head says");
  return { head, texts };
}

function damaged(reason: string): PlantError {
  return new PlantError("STORE_DAMAGED", { reason });
}

// The bytes of one block of the log: records of one commit and stream, with a checksum.
// It must not know what the records mean, or where blocks are kept.
import { constants, crc32, zstdCompressSync, zstdDecompressSync } from "node:zlib";
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
/** The same, compressed by Zstandard. @see RFC 8878 */
const zstdLines = 1;
const headBytes = 48;
/** Bodies below this are kept as they are. */
const compressFrom = 512;
/** A body that grows beyond this is not expanded. */
const bodyBytesMax = 268_435_456;
const fast = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

// crc32 u32 | version u8 | stream u8 | codec u8 | 0 | count u32 | 0 u32 | first u64 | wall f64
// | epoch 16 bytes | body; the checksum covers all that follows it. Integers are big-endian.

/** The bytes of a block whose records are already JSON texts. */
export function encodeBlock(head: Omit<BlockHead, "count">, texts: readonly string[]): Uint8Array {
  const plain = Buffer.from(texts.join("\n"));
  const isPlain = plain.length < compressFrom;
  const body = isPlain ? plain : zstdCompressSync(plain, fast);
  const bytes = Buffer.allocUnsafe(headBytes + body.length);
  bytes[4] = version;
  bytes[5] = streams.indexOf(head.stream);
  bytes[6] = isPlain ? plainLines : zstdLines;
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
  const texts = expand(bytes[6] ?? 0, bytes.subarray(headBytes)).split("\n");
  if (texts.length !== head.count) throw damaged("a block has another count than its head says");
  return { head, texts };
}

function expand(codec: number, body: Buffer): string {
  if (codec === plainLines) return body.toString("utf8");
  if (codec !== zstdLines) {
    throw new PlantError("STORE_FORMAT_NEWER", { found: `codec ${codec}`, known: zstdLines });
  }
  try {
    return zstdDecompressSync(body, { maxOutputLength: bodyBytesMax }).toString("utf8");
  } catch (error) {
    throw new PlantError("STORE_DAMAGED", { reason: "a block does not expand" }, { cause: error });
  }
}

function damaged(reason: string): PlantError {
  return new PlantError("STORE_DAMAGED", { reason });
}

// Blocks as database format 1 has them: one JSON text per record. Read for ever; written while a
// database is held in that format. It must not know what the records mean.
import { constants, crc32, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { assert } from "../util/assert.ts";
import { PlantError } from "../util/errors.ts";
import { type BlockHead, type JournalRecord, type NewBlock, streams } from "./head.ts";

/** Version of these blocks, in their fifth byte. */
export const version1 = 1;
/** Body: one JSON text per record, separated by a newline. */
const plainLines = 0;
/** The same, compressed by Zstandard. @see RFC 8878 */
export const zstdLines = 1;
const headBytes = 48;
/** Bodies below this are kept as they are. */
const compressFrom = 512;
/** A body that grows beyond this is not expanded. */
const bodyBytesMax = 268_435_456;
const fast = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

// crc32 u32 | version u8 | stream u8 | codec u8 | 0 | count u32 | running time in seconds u32
// | first u64 | wall f64 | epoch 16 bytes | body; the checksum covers all that follows it. Integers
// are big-endian. The first readers of this format pass over the running time.

/** The bytes of a block of format 1; records of it stand for one sequence each. */
export function encodeBlock1(head: NewBlock, records: readonly JournalRecord[]): Uint8Array {
  const texts = records.map((record, at) => {
    const isOne = record.kind !== "cover" || record.to === head.first + at;
    assert(isOne, "format 1 has no cover of several sequences");
    return JSON.stringify(record);
  });
  const plain = Buffer.from(texts.join("\n"));
  const isPlain = plain.length < compressFrom;
  const body = isPlain ? plain : zstdCompressSync(plain, fast);
  const bytes = Buffer.allocUnsafe(headBytes + body.length);
  bytes[4] = version1;
  bytes[5] = streams.indexOf(head.stream);
  bytes[6] = isPlain ? plainLines : zstdLines;
  bytes[7] = 0;
  bytes.writeUInt32BE(texts.length, 8);
  bytes.writeUInt32BE(Math.floor(head.runMs / 1000), 12);
  bytes.writeBigUInt64BE(BigInt(head.first), 16);
  bytes.writeDoubleBE(head.wallMs, 24);
  bytes.write(head.epoch, 32, "hex");
  body.copy(bytes, headBytes);
  bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

/** The head of a block of format 1. @throws PlantError STORE_DAMAGED. */
export function decodeHead1(bytes: Buffer): BlockHead {
  if (bytes.length < headBytes) throw damaged("a block is shorter than its head");
  const stream = streams[bytes[5] ?? 0];
  if (stream === undefined) throw damaged("a block is of no known stream");
  const count = bytes.readUInt32BE(8);
  const first = Number(bytes.readBigUInt64BE(16));
  const last = first + count - 1;
  const epoch = bytes.toString("hex", 32, 48);
  const runMs = bytes.readUInt32BE(12) * 1000;
  return { stream, epoch, first, last, count, wallMs: bytes.readDoubleBE(24), runMs };
}

/** The records of a block of format 1, whose checksum was tried. @throws PlantError STORE_DAMAGED. */
export function decodeRecords1(bytes: Buffer): JournalRecord[] {
  return recordsOfLines(expandBody(bytes[6] === zstdLines, bytes.subarray(headBytes)));
}

/** Records from JSON texts, one a line. @throws PlantError STORE_DAMAGED. */
export function recordsOfLines(body: Buffer): JournalRecord[] {
  try {
    return body
      .toString("utf8")
      .split("\n")
      .map((text) => recordOf(JSON.parse(text)));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new PlantError("STORE_DAMAGED", { reason: "a record is not JSON" }, { cause: error });
  }
}

function recordOf(value: unknown): JournalRecord {
  if (typeof value === "object" && value !== null) return value as JournalRecord;
  throw damaged("a record is no object");
}

/** @throws PlantError STORE_DAMAGED when the body does not expand. */
export function expandBody(isZstd: boolean, body: Buffer): Buffer {
  if (!isZstd) return body;
  try {
    return zstdDecompressSync(body, { maxOutputLength: bodyBytesMax });
  } catch (error) {
    throw new PlantError("STORE_DAMAGED", { reason: "a block does not expand" }, { cause: error });
  }
}

function damaged(reason: string): PlantError {
  return new PlantError("STORE_DAMAGED", { reason });
}

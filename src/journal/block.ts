// The bytes of one block of the log: records of one commit and stream in columns, with a checksum.
// It must not know where blocks are kept.
import { constants, crc32, zstdCompressSync } from "node:zlib";
import {
  areExact,
  type BatchRecord,
  decodeBatch,
  decodeOthers,
  decodePoints,
  encodeBatch,
  type PointColumns,
  pointColumns,
} from "../batch/batch.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import {
  decodeHead1,
  decodeRecords1,
  encodeBlock1,
  expandBody,
  recordsOfLines,
  version1,
} from "./format1.ts";
import {
  type BlockHead,
  type Format,
  type JournalRecord,
  lastOfRecord,
  type NewBlock,
  streams,
} from "./head.ts";

/** A record with its place in its stream. */
export type NumberedRecord = JournalRecord & { readonly sequence: number };

const version = 2;
/** Bodies: JSON texts, one a line, for records that sections do not hold exactly; and sections. */
const codecs = { lines: 0, zstdLines: 1, sections: 2, zstdSections: 3 } as const;
const headBytes = 64;
/** Bodies below this are kept as they are. */
const compressFrom = 256;
/** Of points, levels above this one make little smaller and take twice the time or more. */
const level = { params: { [constants.ZSTD_c_compressionLevel]: 3 } };
/**
 * Records in one block, by format: many are small together, but a reader decodes all to have one.
 */
const recordsMax = { 1: 1000, 2: 4096 } as const;
/** A body beyond this is cut in two: it is decoded in one go, and kept in one piece. */
const bodyBytesMax = 2_097_152;

// crc32 u32 | version u8 | stream u8 | codec u8 | 0 | count u32 | 0 u32 | first u64 | last u64
// | wall f64 | running time f64 | epoch 16 bytes | body; the checksum covers all that follows it.
// Integers are big-endian.

/** A block to be put into the log. */
export interface EncodedBlock {
  readonly first: number;
  readonly last: number;
  readonly bytes: Uint8Array;
}

/**
 * The blocks of records of one commit: as few as bounds allow, each made when it is asked for.
 * @param records numbered by their place from `head.first`; their own `sequence` is not looked at.
 */
export function* encodeBlocks(
  head: NewBlock,
  records: readonly JournalRecord[],
  format: Format,
): Iterable<EncodedBlock> {
  let { first } = head;
  for (let at = 0; at < records.length; at += recordsMax[format]) {
    const isAll = records.length <= recordsMax[format];
    const part = isAll ? records : records.slice(at, at + recordsMax[format]);
    for (const block of halves({ ...head, first }, part, format)) {
      yield block;
      first = block.last + 1;
    }
  }
}

function* halves(
  head: NewBlock,
  records: readonly JournalRecord[],
  format: Format,
): Iterable<EncodedBlock> {
  const { first } = head;
  const last = lastFrom(first, records);
  if (format === 1) {
    yield { first, last, bytes: encodeBlock1(head, records) };
    return;
  }
  const body = bodyOfRecords(first, records);
  if (body.plain.length <= bodyBytesMax || records.length === 1) {
    yield { first, last, bytes: sealBlock({ ...head, last, count: records.length }, body) };
    return;
  }
  const middle = records.length >> 1;
  const lower = records.slice(0, middle);
  yield* halves(head, lower, format);
  yield* halves({ ...head, first: lastFrom(first, lower) + 1 }, records.slice(middle), format);
}

/** The bytes of one block of the newest format. @param records as of `encodeBlocks`. */
export function encodeBlock(head: NewBlock, records: readonly JournalRecord[]): Uint8Array {
  const last = lastFrom(head.first, records);
  const body = bodyOfRecords(head.first, records);
  return sealBlock({ ...head, last, count: records.length }, body);
}

interface Body {
  readonly plain: Uint8Array;
  readonly codec: number;
}

function bodyOfRecords(first: number, records: readonly JournalRecord[]): Body {
  if (areExact(records)) {
    const plain = encodeBatch(records as unknown as readonly BatchRecord[], first);
    return { plain, codec: codecs.sections };
  }
  const lines = records.map((record) => JSON.stringify(record));
  return { plain: Buffer.from(lines.join("\n")), codec: codecs.lines };
}

function sealBlock(head: BlockHead, { plain, codec }: Body): Uint8Array {
  const isPlain = plain.length < compressFrom;
  const body = isPlain ? plain : zstdCompressSync(plain, level);
  const bytes = Buffer.allocUnsafeSlow(headBytes + body.length);
  bytes[4] = version;
  bytes[5] = streams.indexOf(head.stream);
  bytes[6] = codec + (isPlain ? 0 : 1);
  bytes[7] = 0;
  bytes.writeUInt32BE(head.count, 8);
  bytes.writeUInt32BE(0, 12);
  bytes.writeBigUInt64BE(BigInt(head.first), 16);
  bytes.writeBigUInt64BE(BigInt(head.last), 24);
  bytes.writeDoubleBE(head.wallMs, 32);
  bytes.writeDoubleBE(head.runMs, 40);
  bytes.write(head.epoch, 48, "hex");
  bytes.set(body, headBytes);
  bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

/** The last sequence that records stand for. */
function lastFrom(first: number, records: readonly JournalRecord[]): number {
  let last = first - 1;
  for (const record of records) last = lastOfRecord(record, last + 1);
  return last;
}

function numberedFrom(first: number, records: readonly JournalRecord[]): NumberedRecord[] {
  let sequence = first;
  return records.map((record) => {
    const numbered = { ...record, sequence };
    sequence = lastOfRecord(record, sequence) + 1;
    return numbered;
  });
}

function bufferOf(block: Uint8Array): Buffer {
  return Buffer.from(block.buffer, block.byteOffset, block.byteLength);
}

function decodeHead(bytes: Buffer): BlockHead {
  const found = bytes[4] ?? 0;
  if (found > version) throw new PlantError("STORE_FORMAT_NEWER", { found, known: version });
  if (found === version1) return decodeHead1(bytes);
  if (found !== version || bytes.length < headBytes) {
    throw damaged("a block is shorter than its head");
  }
  const stream = streams[bytes[5] ?? 0];
  if (stream === undefined) throw damaged("a block is of no known stream");
  return {
    stream,
    epoch: bytes.toString("hex", 48, 64),
    first: Number(bytes.readBigUInt64BE(16)),
    last: Number(bytes.readBigUInt64BE(24)),
    count: bytes.readUInt32BE(8),
    wallMs: bytes.readDoubleBE(32),
    runMs: bytes.readDoubleBE(40),
  };
}

/**
 * The head and the records of a block of either format.
 * @throws PlantError STORE_DAMAGED when the checksum does not fit; STORE_FORMAT_NEWER.
 */
export function decodeBlock(block: Uint8Array): { head: BlockHead; records: NumberedRecord[] } {
  const bytes = bufferOf(block);
  const head = checkedHead(bytes);
  if (bytes[4] === version && hasSections(bytes)) {
    const records = inSections(bytes, (body) => decodeBatch(body, head, head.count));
    if (records.length !== head.count) throw damaged("a block has another count than it says");
    return { head, records: records as unknown as NumberedRecord[] };
  }
  const records = numberedFrom(
    head.first,
    bytes[4] === version1 ? decodeRecords1(bytes) : recordsOfLines(bodyOf(bytes)),
  );
  const last = records.at(-1);
  const isWhole = last !== undefined && lastOfRecord(last, last.sequence) === head.last;
  if (!isWhole || records.length !== head.count) {
    throw damaged("a block has another count than it says");
  }
  return { head, records };
}

/**
 * The points of a block in columns, without an object for each; undefined when it has none.
 * @throws PlantError STORE_DAMAGED when the checksum does not fit; STORE_FORMAT_NEWER.
 */
export function blockPoints(block: Uint8Array): PointColumns | undefined {
  const bytes = bufferOf(block);
  const head = checkedHead(bytes);
  if (bytes[4] === version && hasSections(bytes)) {
    return inSections(bytes, (body) => decodePoints(body, head, head.count));
  }
  const { records } = decodeBlock(block);
  return pointColumns(records as unknown as readonly BatchRecord[], head.first);
}

/** The records of a block that are no points. @throws PlantError as `decodeBlock`. */
export function blockOthers(block: Uint8Array): NumberedRecord[] {
  const bytes = bufferOf(block);
  const head = checkedHead(bytes);
  if (bytes[4] === version && hasSections(bytes)) {
    const records = inSections(bytes, (body) => decodeOthers(body, head, head.count));
    return records as unknown as NumberedRecord[];
  }
  return decodeBlock(block).records.filter(({ kind }) => kind !== "point");
}

/** The checksum that a block says it has. */
export function checksumOf(block: Uint8Array): number {
  return block.length < 4 ? 0 : bufferOf(block).readUInt32BE(0);
}

/**
 * The head of a block whose checksum fits; its records are not looked at.
 * @throws PlantError STORE_DAMAGED, STORE_FORMAT_NEWER.
 */
export function checkedHead(block: Uint8Array): BlockHead {
  const bytes = bufferOf(block);
  if (bytes.length < 4 || crc32(bytes.subarray(4)) !== bytes.readUInt32BE(0)) {
    throw damaged("the checksum of a block does not fit");
  }
  return decodeHead(bytes);
}

function hasSections(bytes: Buffer): boolean {
  const codec = bytes[6] ?? 0;
  if (codec > codecs.zstdSections) {
    throw new PlantError("STORE_FORMAT_NEWER", { found: `codec ${codec}`, known: version });
  }
  return codec >= codecs.sections;
}

function bodyOf(bytes: Buffer): Buffer {
  return expandBody((bytes[6] ?? 0) % 2 === 1, bytes.subarray(headBytes));
}

/** What is wrong with sections behind a checksum that fits is damage, too. */
function inSections<T>(bytes: Buffer, read: (body: Buffer) => T): T {
  const body = bodyOf(bytes);
  try {
    return read(body);
  } catch (error) {
    if (!hasCode(error, "BATCH_MALFORMED", "BATCH_TOO_LARGE")) throw error;
    const reason = "the sections of a block cannot be read";
    throw new PlantError("STORE_DAMAGED", { reason }, { cause: error });
  }
}

function damaged(reason: string): PlantError {
  return new PlantError("STORE_DAMAGED", { reason });
}

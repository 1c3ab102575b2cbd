// Reads a database as the first releases did, by the rules they had: what they cannot read throws.
// It must not know the readers of this version.
import { crc32, zstdDecompressSync } from "node:zlib";
import type { Disk } from "../../src/disk/disk.ts";

const streams = ["state", "event", "log", "metric"];

interface Found {
  readonly version: number;
  readonly records: Record<string, unknown[]>;
  readonly marks: Record<string, Record<string, number>>;
  readonly sources: Record<string, { readonly recent: readonly unknown[] }>;
  readonly lineage: readonly unknown[];
}

function parse(value: Uint8Array | undefined) {
  return JSON.parse(Buffer.from(value ?? []).toString());
}

/** Everything an old reader reads at its opening, and all records. */
export function readFormat1(disk: Disk): Found {
  const meta = (name: string) => parse(disk.get("meta", Buffer.from(name)));
  const { version } = meta("format");
  if (!(version <= 1)) throw new Error(`the database is of format ${version}`);
  const records: Record<string, unknown[]> = {};
  for (const { value } of disk.range("log")) {
    const block = readBlock(Buffer.from(value));
    const all = records[block.stream] ?? [];
    records[block.stream] = all;
    if (block.first !== all.length + 1) throw new Error("a gap between blocks");
    for (const text of block.texts) all.push(JSON.parse(text));
  }
  const marks: Found["marks"] = {};
  for (const { key, value } of disk.range("meta")) {
    const name = Buffer.from(key).toString();
    if (name.startsWith("mark/")) marks[name.slice(5)] = parse(value);
  }
  const sources: Found["sources"] = {};
  for (const { key, value } of disk.range("source")) {
    sources[Buffer.from(key).toString()] = parse(value);
  }
  return { version, records, marks, sources, lineage: meta("lineage") };
}

function readBlock(bytes: Buffer): { stream: string; first: number; texts: string[] } {
  if (crc32(bytes.subarray(4)) !== bytes.readUInt32BE(0)) throw new Error("a wrong checksum");
  if ((bytes[4] ?? 9) > 1) throw new Error("a block of a newer format");
  const stream = streams[bytes[5] ?? 9];
  const codec = bytes[6] ?? 9;
  if (stream === undefined || codec > 1) throw new Error("a block of another kind");
  const body = codec === 0 ? bytes.subarray(48) : zstdDecompressSync(bytes.subarray(48));
  const texts = body.toString("utf8").split("\n");
  if (texts.length !== bytes.readUInt32BE(8)) throw new Error("another count than it says");
  return { stream, first: Number(bytes.readBigUInt64BE(16)), texts };
}

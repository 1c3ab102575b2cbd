// Keys and values of the centre's rows: devices, codes, epochs, definitions, latest, history.
// Pure. It must not know when rows are written.
import { createHash } from "node:crypto";
import type { Quality, Stream } from "../batch/batch.ts";
import type { Stamp } from "../util/clock.ts";
import type { Epoch } from "./lineage.ts";
import { type Change, jsonChange, jsonOf, type ShelfReader, underPrefix } from "./shelf.ts";

/** A device, from its creation on. Times are milliseconds since 1970 UTC. */
export interface DeviceRow {
  readonly id: string;
  readonly createdAt: number;
  /** Absent until it has enrolled. */
  readonly enrolledAt?: number;
  /** Raw 32 bytes of its public key, base64url. */
  readonly publicKey?: string;
  readonly kid?: string;
  /** Keys it had before: what they signed stays readable. */
  readonly formerKeys?: readonly { readonly kid: string; readonly publicKey: string }[];
}

/** A one-time code that waits for its device. The code itself is not kept. */
export interface CodeRow {
  /** Names the code without telling it. */
  readonly hint: string;
  readonly device: string;
  /** Key of the proofs, derived from the code, base64url. */
  readonly secret: string;
  readonly expiresAt: number;
  readonly triesLeft: number;
  /** Identifier of the key that used it; the same key may ask again until the code ends. */
  readonly usedBy?: string;
}

/** What an index of a lineage stands for. */
export interface Definition {
  readonly index: number;
  /** Sequence of its record. */
  readonly sequence: number;
  readonly scope: string;
  readonly key: string;
  readonly type?: string;
  readonly unit?: string;
}

/** The latest value of one point. */
export interface Latest {
  readonly scope: string;
  readonly key: string;
  readonly type?: string;
  readonly unit?: string;
  readonly value: unknown;
  readonly quality: Quality;
  readonly reason?: string;
  readonly time: Stamp;
  readonly source?: string;
  readonly epoch: string;
  readonly generation: number;
  readonly sequence: number;
  /** A tombstone: the point ceased to exist. */
  readonly isDeleted?: true;
}

/** A stretch of one stream as it came: the signed batch, and which of its records count here. */
export interface Block {
  readonly generation: number;
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array;
}

/** Sequences that will never come, with the reason. */
export interface Gap {
  readonly stream: Stream;
  readonly epoch: string;
  readonly generation: number;
  readonly from: number;
  readonly to: number;
  readonly reason: "gone";
  readonly at: number;
}

/** Numbers in keys have 16 digits, so that keys sort as numbers do. */
function digits(value: number): string {
  return String(value).padStart(16, "0");
}

/** Buckets a device's latest values are kept in: one row each, so a commit stays small. */
const bucketCount = 64;

const deviceRows = underPrefix("device/");
const deviceKey = (device: string) => `device/${device}`;
const codeKey = (hint: string) => `code/${hint}`;
const headKey = (device: string) => `head/${device}`;

export function readDevice(reader: ShelfReader, device: string): DeviceRow | undefined {
  const row = reader.get(deviceKey(device));
  return row === undefined ? undefined : (jsonOf(row) as DeviceRow);
}

export function deviceChange(row: DeviceRow): Change {
  return jsonChange(deviceKey(row.id), row);
}

export function listDevices(reader: ShelfReader): DeviceRow[] {
  return [...reader.range(deviceRows)].map(({ value }) => jsonOf(value) as DeviceRow);
}

export function readCode(reader: ShelfReader, hint: string): CodeRow | undefined {
  const row = reader.get(codeKey(hint));
  return row === undefined ? undefined : (jsonOf(row) as CodeRow);
}

export function listCodes(reader: ShelfReader): CodeRow[] {
  return [...reader.range(underPrefix("code/"))].map(({ value }) => jsonOf(value) as CodeRow);
}

export function codeChange(row: CodeRow): Change {
  return jsonChange(codeKey(row.hint), row);
}

export function codeRemoval(hint: string): Change {
  return { key: codeKey(hint) };
}

export function readEpochs(reader: ShelfReader, device: string): Epoch[] {
  const rows = reader.range(underPrefix(`epoch/${device}/`));
  return [...rows].map(({ value }) => jsonOf(value) as Epoch);
}

export function epochChange(device: string, epoch: Epoch): Change {
  return jsonChange(`epoch/${device}/${epoch.id}`, epoch);
}

export function readHead(reader: ShelfReader, device: string): string | undefined {
  const row = reader.get(headKey(device));
  return row === undefined ? undefined : (jsonOf(row) as { epoch: string }).epoch;
}

export function headChange(device: string, epoch: string): Change {
  return jsonChange(headKey(device), { epoch });
}

export function readDefinitions(reader: ShelfReader, device: string, epoch: string): Definition[] {
  const rows = reader.range(underPrefix(`define/${device}/${epoch}/`));
  return [...rows].flatMap(({ value }) => jsonOf(value) as Definition[]);
}

/** The definitions of one batch, in one row; `first` is the sequence of the first of them. */
export function definitionsChange(
  device: string,
  epoch: string,
  definitions: readonly Definition[],
): Change {
  const first = digits(definitions[0]?.sequence ?? 0);
  return jsonChange(`define/${device}/${epoch}/${first}`, definitions);
}

/** The bucket of a point, from 0. */
export function bucketOf(scope: string, key: string): number {
  const hash = createHash("sha1").update(`${scope}\0${key}`).digest();
  return (hash[0] ?? 0) % bucketCount;
}

export function readLatest(reader: ShelfReader, device: string): Latest[] {
  const rows = reader.range(underPrefix(`latest/${device}/`));
  return [...rows].flatMap(({ value }) => jsonOf(value) as Latest[]);
}

export function latestChange(device: string, bucket: number, values: readonly Latest[]): Change {
  return jsonChange(`latest/${device}/${String(bucket).padStart(2, "0")}`, values);
}

function historyPrefix(device: string, stream: Stream): string {
  return `history/${device}/${stream}/`;
}

/** One value per batch: eight bytes for the last sequence that counts, then the batch. */
export function blockChange(device: string, stream: Stream, block: Block): Change {
  const head = Buffer.alloc(8);
  head.writeBigUInt64BE(BigInt(block.to));
  const place = `${digits(block.generation)}/${digits(block.from)}`;
  return {
    key: `${historyPrefix(device, stream)}${place}`,
    value: Buffer.concat([head, block.bytes]),
  };
}

/** Where to read history; blocks that hold nothing behind `after` may come too. */
export interface HistoryRange {
  readonly after?: { readonly generation: number; readonly sequence: number };
  readonly isReverse?: boolean;
}

/** Blocks of a stream in the order of generation and sequence, or against it. */
export function* readBlocks(
  reader: ShelfReader,
  device: string,
  stream: Stream,
  range: HistoryRange = {},
): Generator<Block> {
  const prefix = historyPrefix(device, stream);
  const { from, to } = underPrefix(prefix);
  const { after, isReverse = false } = range;
  const place =
    after === undefined
      ? undefined
      : `${prefix}${digits(after.generation)}/${digits(after.sequence)}`;
  const rows =
    place === undefined
      ? reader.range({ from, to, isReverse })
      : isReverse
        ? reader.range({ from, to: place, isReverse })
        : reader.range({ from: startKey(reader, prefix, place), to });
  for (const { key, value } of rows) {
    const [generation = "", first = ""] = key.slice(prefix.length).split("/");
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    yield {
      generation: Number(generation),
      from: Number(first),
      to: Number(bytes.readBigUInt64BE(0)),
      bytes: bytes.subarray(8),
    };
  }
}

/** The key of the block that holds a place, or of the next one. */
function startKey(reader: ShelfReader, prefix: string, place: string): string {
  const before = { from: prefix, to: `${place}\x00`, isReverse: true, limit: 1 };
  for (const row of reader.range(before)) return row.key;
  return place;
}

export function gapChange(device: string, gap: Gap): Change {
  const place = `${digits(gap.generation)}/${digits(gap.from)}`;
  return jsonChange(`gap/${device}/${gap.stream}/${place}`, gap);
}

export function readGaps(reader: ShelfReader, device: string): Gap[] {
  return [...reader.range(underPrefix(`gap/${device}/`))].map(({ value }) => jsonOf(value) as Gap);
}

/** The id of this centre; made with the store, so another store is another centre. */
export function readCentreId(reader: ShelfReader): string | undefined {
  const row = reader.get("meta/centre");
  return row === undefined ? undefined : (jsonOf(row) as { id: string }).id;
}

export function centreIdChange(id: string): Change {
  return jsonChange("meta/centre", { id, format: 1 });
}

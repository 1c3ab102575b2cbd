// A disk whose small rows carry checksums, as database format 2 has them and format 1 had not.
// It must not know what the rows say.
import { crc32 } from "node:zlib";
import type { Disk, DiskStats, RangeOptions, Room, Row, Write } from "../disk/disk.ts";
import { PlantError } from "../util/errors.ts";
import type { Format } from "./head.ts";
import { formatKey, logTable, metaTable, pointTable, sourceTable } from "./tables.ts";

// A sealed row: mark u8 | crc32 u32 of key and content | content. The rows of format 1 are JSON and
// never begin with the mark.
const mark = 2;
const headBytes = 5;
/** Tables that format 1 has, too, where rows are JSON: one without a seal is of its time. */
const oldTables: readonly string[] = [metaTable, sourceTable, pointTable];

/** Seals rows as they are written, and tries the seal of those read; blocks have their own. */
export class SealedDisk implements Disk {
  readonly #disk: Disk;
  readonly #format: Format;

  /** @param format 1 leaves the rows of its tables as they were. */
  constructor(disk: Disk, format: Format) {
    this.#disk = disk;
    this.#format = format;
  }

  get failed(): Promise<PlantError> {
    return this.#disk.failed;
  }

  /** @throws PlantError STORE_DAMAGED when the seal does not fit. */
  get(table: string, key: Uint8Array): Uint8Array | undefined {
    const value = this.#disk.get(table, key);
    return value === undefined ? undefined : openRow({ table, key, value });
  }

  /** @throws PlantError STORE_DAMAGED when a seal does not fit. */
  *range(table: string, options?: RangeOptions): Iterable<Row> {
    if (table === logTable) {
      yield* this.#disk.range(table, options);
      return;
    }
    for (const { key, value } of this.#disk.range(table, options)) {
      yield { key, value: openRow({ table, key, value }) };
    }
  }

  commit(writes: readonly Write[], room?: Room): Promise<void> {
    return this.#disk.commit(
      writes.map((write) => this.#sealed(write)),
      room,
    );
  }

  #sealed(write: Write): Write {
    const { table, key, value } = write;
    if (value === undefined || table === logTable || isFormatRow(table, key)) return write;
    if (this.#format === 1 && oldTables.includes(table)) return write;
    const row = Buffer.allocUnsafe(headBytes + value.length);
    row[0] = mark;
    row.writeUInt32BE(crc32(value, crc32(key)), 1);
    row.set(value, headBytes);
    return { table, key, value: row };
  }

  backup(path: string): Promise<number> {
    return this.#disk.backup(path);
  }

  stats(): DiskStats {
    return this.#disk.stats();
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#disk[Symbol.asyncDispose]();
  }
}

/** Whether a row has a seal, as those of format 2 have. */
export function isSealed(row: Uint8Array): boolean {
  return row[0] === mark;
}

/** The row that readers of every format must be able to read. */
function isFormatRow(table: string, key: Uint8Array): boolean {
  return table === metaTable && Buffer.compare(key, formatKey) === 0;
}

/**
 * The content of a row as it lies in its table.
 * @throws PlantError STORE_DAMAGED when its seal does not fit.
 */
export function openRow({ table, key, value }: Row & { readonly table: string }): Uint8Array {
  if (table === logTable) return value;
  const row = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (row[0] !== mark && oldTables.includes(table)) return value;
  const content = row.subarray(headBytes);
  const isWhole = row.length >= headBytes && row[0] === mark;
  if (!isWhole || row.readUInt32BE(1) !== crc32(content, crc32(key))) {
    throw new PlantError("STORE_DAMAGED", { reason: `the checksum of a row of ${table} is wrong` });
  }
  return content;
}

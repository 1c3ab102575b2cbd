// Which indices a point had under its name, in the log's lifetime: a hash of 64 bits per index.
// It must not know what the indices stand for, or when rows are written.
import type { SideRow, SideTable } from "../journal/journal.ts";

/** Indices in one row. */
const perRow = 64;
/** The newest indices that are known; older ones of the same name are not followed. */
const indicesMax = 1_048_576;
const rowMark = 3;

export class PointNames {
  /** The first index of the window, a multiple of `perRow`. */
  #from = 0;
  #hashes = new Uint32Array(2 * perRow);
  readonly #dirty = new Set<number>();

  load(table: SideTable): void {
    const bounds = { from: Buffer.from([rowMark]), to: Buffer.from([rowMark + 1]) };
    for (const { key, value } of table.range(bounds)) {
      const row = Buffer.from(key).readUInt32BE(1);
      const bytes = Buffer.from(value);
      for (let at = 0; at + 8 <= bytes.length; at += 8) {
        this.#put(row * perRow + at / 8, bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4));
      }
    }
  }

  define(index: number, scope: string, key: string): void {
    const [low, high] = hashOf(scope, key);
    if (index < this.#from) return;
    this.#put(index, low, high);
    this.#dirty.add(Math.floor(index / perRow));
  }

  #put(index: number, low: number, high: number): void {
    const need = 2 * (index - this.#from + 1);
    if (need > this.#hashes.length) this.#grow(index);
    if (index < this.#from) return;
    this.#hashes[2 * (index - this.#from)] = low;
    this.#hashes[2 * (index - this.#from) + 1] = high;
  }

  /** Makes room for an index; the oldest go where there would be too many. */
  #grow(index: number): void {
    const least = Math.max(0, Math.floor((index + 1 - indicesMax) / perRow) * perRow);
    const from = Math.max(this.#from, least);
    const length = Math.max(
      2 * (index - from + 1),
      Math.min(2 * indicesMax, this.#hashes.length * 2),
    );
    const hashes = new Uint32Array(Math.ceil(length / (2 * perRow)) * 2 * perRow);
    hashes.set(this.#hashes.subarray(2 * (from - this.#from)).subarray(0, hashes.length));
    this.#from = from;
    this.#hashes = hashes;
  }

  /** Indices a name had, oldest first. */
  indicesOf(scope: string, key: string): number[] {
    const [low, high] = hashOf(scope, key);
    const found: number[] = [];
    for (let at = 0; at < this.#hashes.length; at += 2) {
      if (this.#hashes[at] === low && this.#hashes[at + 1] === high) {
        found.push(this.#from + at / 2);
      }
    }
    return found;
  }

  /** Rows that changed since they were `written`. */
  *rows(): Iterable<SideRow> {
    for (const row of this.#dirty) {
      const from = row * perRow - this.#from;
      if (from < 0) continue;
      const value = Buffer.alloc(8 * perRow);
      for (let at = 0; at < 2 * perRow; at += 1) {
        value.writeUInt32LE(this.#hashes[2 * from + at] ?? 0, 4 * at);
      }
      const key = Buffer.alloc(5);
      key[0] = rowMark;
      key.writeUInt32BE(row, 1);
      yield { key, value };
    }
  }

  written(): void {
    this.#dirty.clear();
  }
}

/** Two hashes of 32 bits, never both 0: so an index without a name has none. */
function hashOf(scope: string, key: string): readonly [number, number] {
  const text = `${scope}\0${key}`;
  let low = 0x9e3779b9;
  let high = 0x85ebca6b;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    low = Math.imul(low ^ unit, 0x01000193);
    low ^= low >>> 15;
    high = Math.imul(high + unit, 0xcc9e2d51);
    high = (high << 13) | (high >>> 19);
  }
  low = Math.imul(low ^ (low >>> 16), 0x7feb352d) ^ (high >>> 15);
  high = Math.imul(high ^ (high >>> 13), 0xc2b2ae35) ^ (low >>> 16);
  return [(low | 1) >>> 0, high >>> 0];
}

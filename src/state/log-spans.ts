// Which part of the log has values of which time: spans of sequences with the least and the newest
// time in them, so that values of an hour are read without the rest. It must not read the log.
import type { SideRow, SideTable } from "../journal/journal.ts";

/** A run of records and the times in it, corrected; both ends are included. */
export interface LogSpan {
  readonly first: number;
  readonly last: number;
  readonly leastMs: number;
  readonly newestMs: number;
}

/** Values in one span. */
const valuesMax = 65_536;
const rowMark = 4;

export class LogSpans {
  #spans: LogSpan[] = [];
  #unwritten = 0;
  #open:
    | { first: number; last: number; leastMs: number; newestMs: number; count: number }
    | undefined;

  load(table: SideTable): void {
    const bounds = { from: Buffer.from([rowMark]), to: Buffer.from([rowMark + 1]) };
    for (const { key, value } of table.range(bounds)) {
      const bytes = Buffer.from(value);
      const first = Number(Buffer.from(key).readBigUInt64BE(1));
      const [last, leastMs, newestMs] = [0, 8, 16].map((at) => bytes.readDoubleBE(at));
      if (last === undefined || leastMs === undefined || newestMs === undefined) continue;
      this.#spans.push({ first, last, leastMs, newestMs });
    }
    this.#unwritten = this.#spans.length;
  }

  /** Takes in a block of records; `count` values with times from `leastMs` to `newestMs`. */
  add(block: LogSpan, count: number): void {
    const open = this.#open;
    if (open === undefined) {
      this.#open = { ...block, count };
      return;
    }
    open.last = block.last;
    open.leastMs = Math.min(open.leastMs, block.leastMs);
    open.newestMs = Math.max(open.newestMs, block.newestMs);
    open.count += count;
    if (open.count >= valuesMax) this.close();
  }

  /** Ends the open span. */
  close(): void {
    if (this.#open === undefined) return;
    const { first, last, leastMs, newestMs } = this.#open;
    this.#spans.push({ first, last, leastMs, newestMs });
    this.#open = undefined;
  }

  /** Forgets what is above a sequence: it is read again. */
  cut(position: number): void {
    this.#open = undefined;
    this.#spans = this.#spans.filter(({ last }) => last <= position);
    this.#unwritten = Math.min(this.#unwritten, this.#spans.length);
  }

  /** Spans with values of [fromMs, toMs), oldest first. */
  within(fromMs: number, toMs: number): LogSpan[] {
    const open = this.#open;
    const all = open === undefined ? this.#spans : [...this.#spans, open];
    return all
      .filter(({ leastMs, newestMs }) => newestMs >= fromMs && leastMs < toMs)
      .map(({ first, last, leastMs, newestMs }) => ({ first, last, leastMs, newestMs }));
  }

  /** The least time of what is kept from a sequence on; undefined when nothing is. */
  leastFrom(sequence: number): number | undefined {
    const open = this.#open;
    const all = open === undefined ? this.#spans : [...this.#spans, open];
    let least: number | undefined;
    for (const span of all) {
      if (span.last >= sequence) least = Math.min(least ?? span.leastMs, span.leastMs);
    }
    return least;
  }

  /** Rows not written yet, and the removal of those below what is kept. */
  rows(kept: number): SideRow[] {
    const rows: SideRow[] = [];
    for (const span of this.#spans.slice(this.#unwritten)) {
      const value = Buffer.alloc(24);
      value.writeDoubleBE(span.last, 0);
      value.writeDoubleBE(span.leastMs, 8);
      value.writeDoubleBE(span.newestMs, 16);
      rows.push({ key: keyOf(span.first), value });
    }
    for (const { first, last } of this.#spans) {
      if (last < kept) rows.push({ key: keyOf(first), value: undefined });
    }
    return rows;
  }

  written(kept: number): void {
    this.#spans = this.#spans.filter(({ last }) => last >= kept);
    this.#unwritten = this.#spans.length;
  }
}

function keyOf(first: number): Uint8Array {
  const key = Buffer.alloc(9);
  key[0] = rowMark;
  key.writeBigUInt64BE(BigInt(first), 1);
  return key;
}

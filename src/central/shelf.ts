// What the centre asks of its store: rows by key, read in order, changed in one transaction.
// It must not know what the rows mean.

/** A row to write, or to remove when the value is absent. */
export interface Change {
  readonly key: string;
  readonly value?: Uint8Array;
}

/** Which rows to read: `from` ≤ key < `to`, in order of keys, or against it. */
export interface RowRange {
  readonly from: string;
  readonly to: string;
  readonly limit?: number;
  readonly isReverse?: boolean;
}

export interface Row {
  readonly key: string;
  readonly value: Uint8Array;
}

/** Reading: what was committed last. */
export interface ShelfReader {
  get(key: string): Uint8Array | undefined;
  range(range: RowRange): Iterable<Row>;
}

/** Rows by key. Keys are ASCII and compare by their bytes. */
export interface Shelf extends ShelfReader {
  /**
   * Applies all changes or none; resolved means durable.
   * @throws PlantError what the disk reports.
   */
  commit(changes: readonly Change[]): Promise<void>;
}

/** The rows whose keys start with `prefix`. */
export function underPrefix(prefix: string): { readonly from: string; readonly to: string } {
  return { from: prefix, to: `${prefix}\x7f` };
}

/** A row of JSON. */
export function jsonChange(key: string, value: unknown): Change {
  return { key, value: Buffer.from(JSON.stringify(value)) };
}

/** The JSON of a row written by `jsonChange`. */
export function jsonOf(value: Uint8Array): unknown {
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString());
}

/** Rows as they will be once `pending` is committed. */
export function readThrough(
  reader: ShelfReader,
  pending: ReadonlyMap<string, Uint8Array | undefined>,
): ShelfReader {
  return {
    get: (key) => (pending.has(key) ? pending.get(key) : reader.get(key)),
    *range(range) {
      const { from, to, isReverse = false, limit = Infinity } = range;
      const ahead = [...pending.keys()].filter((key) => key >= from && key < to).sort();
      if (isReverse) ahead.reverse();
      let left = limit;
      for (const row of merge(reader.range({ from, to, isReverse }), ahead, isReverse)) {
        const value = pending.has(row.key) ? pending.get(row.key) : row.value;
        if (value === undefined) continue;
        if (left <= 0) return;
        left -= 1;
        yield { key: row.key, value };
      }
    },
  };
}

/** Committed rows and pending keys in one order, each key once. */
function* merge(
  rows: Iterable<Row>,
  ahead: string[],
  isReverse: boolean,
): Generator<{ readonly key: string; readonly value?: Uint8Array }> {
  const isBefore = (a: string, b: string) => (isReverse ? a > b : a < b);
  for (const row of rows) {
    for (let next = ahead[0]; next !== undefined && isBefore(next, row.key); next = ahead[0]) {
      ahead.shift();
      yield { key: next };
    }
    if (ahead[0] === row.key) ahead.shift();
    yield row;
  }
  for (const key of ahead) yield { key };
}

// A store of rows in memory, with commits that can be made to fail. It must not know the rows.
import type { Change, RowRange, Shelf } from "../../src/central/shelf.ts";

export interface FakeShelf extends Shelf {
  readonly rows: Map<string, Uint8Array>;
  /** Size of each commit so far, in changes. */
  readonly commits: number[];
  /** While set, commits reject with it and change nothing. */
  failure: Error | undefined;
}

export function fakeShelf(rows = new Map<string, Uint8Array>()): FakeShelf {
  return {
    rows,
    commits: [],
    failure: undefined,
    get: (key) => rows.get(key),
    *range({ from, to, limit, isReverse }: RowRange) {
      const keys = [...rows.keys()].filter((key) => key >= from && key < to).sort();
      if (isReverse) keys.reverse();
      for (const key of keys.slice(0, limit)) yield { key, value: rows.get(key)! };
    },
    async commit(changes: readonly Change[]) {
      if (this.failure !== undefined) throw this.failure;
      this.commits.push(changes.length);
      for (const { key, value } of changes) {
        if (value === undefined) rows.delete(key);
        else rows.set(key, value);
      }
    },
  };
}

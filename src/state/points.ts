// Current values in memory, their definitions, and the records that change them.
// Pure: records in, values out. It must not know the disk, the bus or the clock.
import type { JournalRecord } from "../journal/journal.ts";
import type { Stamp } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";

export type Quality = "good" | "uncertain" | "bad";
export type PointType = "bool" | "i64" | "u64" | "f64" | "text" | "json";

/** A change of one point, checked, before it has a place in the log. */
export interface PointChange {
  readonly scope: string;
  readonly key: string;
  readonly value: unknown;
  readonly type?: PointType | undefined;
  readonly unit?: string | undefined;
  readonly quality: Quality;
  readonly reason?: string | undefined;
  readonly time: Stamp;
}

/** A point with its current value. */
export interface Point extends PointChange {
  /** Sequence of its record in the stream `state`. */
  readonly revision: number;
  readonly source: string;
}

interface Definition {
  readonly index: number;
  readonly scope: string;
  readonly key: string;
  readonly type?: PointType | undefined;
  readonly unit?: string | undefined;
}

/** A definition and, once its first record was applied, the point. */
interface Slot {
  readonly definition: Definition;
  point?: Point;
}

/** Where a list goes on. */
export interface Place {
  readonly scope: string;
  readonly key: string;
}

export class PointTable {
  readonly #pointsMax: number;
  readonly #scopes = new Map<string, Map<string, Slot>>();
  readonly #slots = new Map<number, Slot>();
  /** Sorted keys of a scope; dropped when one is added or removed. */
  readonly #sorted = new Map<string, string[]>();
  /** Definitions of the commit being put together; null for a point it deletes. */
  readonly #staged = new Map<string, Definition | null>();
  #dirty = new Set<number>();
  #count = 0;
  #nextIndex = 1;
  #stagedIndex = 1;

  constructor(pointsMax: number) {
    this.#pointsMax = pointsMax;
  }

  get count(): number {
    return this.#count;
  }

  get nextIndex(): number {
    return this.#nextIndex;
  }

  /** Takes over the rows of a checkpoint. */
  load(rows: Iterable<{ readonly index: number; readonly text: string }>, nextIndex: number): void {
    for (const { index, text } of rows) {
      const point = JSON.parse(text) as Point;
      const { scope, key, type, unit } = point;
      const slot = { definition: { index, scope, key, type, unit }, point };
      this.#slots.set(index, slot);
      this.#place(slot);
    }
    this.#nextIndex = Math.max(this.#nextIndex, nextIndex);
    this.#stagedIndex = this.#nextIndex;
  }

  /**
   * The records of a row of changes; staged until `settle`.
   * @throws PlantError LIMIT_REACHED, with nothing staged.
   */
  recordsOfChanges(changes: readonly PointChange[], source: string): JournalRecord[] {
    this.#admit(changes);
    const records: JournalRecord[] = [];
    for (const change of changes) {
      const { scope, key, value, type, unit, quality, reason, time } = change;
      let definition = this.#definitionOf(scope, key);
      const isNew =
        definition === undefined ||
        (type !== undefined && type !== definition.type) ||
        (unit !== undefined && unit !== definition.unit);
      if (definition === undefined || isNew) {
        definition = {
          index: this.#stagedIndex,
          scope,
          key,
          type: type ?? definition?.type,
          unit: unit ?? definition?.unit,
        };
        this.#stagedIndex += 1;
        this.#staged.set(idOf(scope, key), definition);
        records.push({ kind: "define", ...definition });
      }
      const { index } = definition;
      records.push({ kind: "point", index, value, quality, reason, time, source });
    }
    return records;
  }

  /** The records that delete points; those that are not there are passed over. */
  recordsOfDeletes(places: readonly Place[], time: Stamp): JournalRecord[] {
    const records: JournalRecord[] = [];
    for (const { scope, key } of places) {
      const definition = this.#definitionOf(scope, key);
      if (definition === undefined) continue;
      this.#staged.set(idOf(scope, key), null);
      records.push({ kind: "delete", index: definition.index, time });
    }
    return records;
  }

  #admit(changes: readonly PointChange[]): void {
    if (this.#count + this.#staged.size + changes.length <= this.#pointsMax) return;
    const added = new Set<string>();
    for (const [id, definition] of this.#staged) if (definition !== null) added.add(id);
    for (const { scope, key } of changes) added.add(idOf(scope, key));
    let count = this.#count;
    for (const id of added) {
      const [scope = "", key = ""] = id.split("\0");
      if (this.#scopes.get(scope)?.has(key) !== true) count += 1;
    }
    if (count > this.#pointsMax) {
      throw new PlantError("LIMIT_REACHED", { limit: "store.pointsMax", max: this.#pointsMax });
    }
  }

  #definitionOf(scope: string, key: string): Definition | undefined {
    if (this.#staged.size > 0) {
      const staged = this.#staged.get(idOf(scope, key));
      if (staged !== undefined) return staged ?? undefined;
    }
    return this.#scopes.get(scope)?.get(key)?.definition;
  }

  /** Applies the records of a flushed commit, or forgets what a failed one staged. */
  settle(isFlushed: boolean, records: readonly JournalRecord[], first: number): Point[] {
    if (!isFlushed) {
      this.#staged.clear();
      this.#stagedIndex = this.#nextIndex;
      return [];
    }
    const changed: Point[] = [];
    let sequence = first;
    for (const record of records) {
      const point = this.apply(record, sequence);
      if (point !== undefined) changed.push(point);
      sequence += 1;
    }
    return changed;
  }

  /** Applies one record of the stream `state`; returns the point it changed. */
  apply(record: JournalRecord, sequence: number): Point | undefined {
    const index = record.index as number;
    switch (record.kind) {
      case "define":
        this.#define(record as unknown as Definition);
        return undefined;
      case "point": {
        const slot = this.#slots.get(index);
        if (slot === undefined) return undefined;
        const { scope, key, type, unit } = slot.definition;
        const { value, quality, reason, time, source } = record as unknown as Point;
        const revision = sequence;
        slot.point = { scope, key, value, type, unit, quality, reason, time, revision, source };
        this.#place(slot);
        this.#dirty.add(index);
        return slot.point;
      }
      case "delete":
        this.#remove(index);
        return undefined;
      default:
        return undefined;
    }
  }

  #define({ index, scope, key, type, unit }: Definition): void {
    this.#slots.set(index, { definition: { index, scope, key, type, unit } });
    this.#nextIndex = Math.max(this.#nextIndex, index + 1);
    this.#stagedIndex = Math.max(this.#stagedIndex, this.#nextIndex);
    this.#staged.delete(idOf(scope, key));
  }

  #place(slot: Slot): void {
    const { scope, key, index } = slot.definition;
    let keys = this.#scopes.get(scope);
    if (keys === undefined) {
      keys = new Map();
      this.#scopes.set(scope, keys);
    }
    const before = keys.get(key);
    if (before === slot) return;
    if (before === undefined) {
      this.#count += 1;
      this.#sorted.delete(scope);
    } else if (before.definition.index !== index) {
      this.#slots.delete(before.definition.index);
      this.#dirty.add(before.definition.index);
    }
    keys.set(key, slot);
  }

  #remove(index: number): void {
    const slot = this.#slots.get(index);
    this.#slots.delete(index);
    this.#dirty.add(index);
    if (slot === undefined) return;
    const { scope, key } = slot.definition;
    const id = idOf(scope, key);
    if (this.#staged.get(id) === null) this.#staged.delete(id);
    const keys = this.#scopes.get(scope);
    if (keys?.get(key) !== slot) return;
    keys.delete(key);
    this.#count -= 1;
    this.#sorted.delete(scope);
    if (keys.size === 0) this.#scopes.delete(scope);
  }

  get(scope: string, key: string): Point | undefined {
    return this.#scopes.get(scope)?.get(key)?.point;
  }

  /** Sequence of the current value of an index; undefined when nothing has it. */
  revisionAt(index: number): number | undefined {
    return this.#slots.get(index)?.point?.revision;
  }

  hasScope(scope: string): boolean {
    return this.#scopes.has(scope);
  }

  scopes(): string[] {
    return [...this.#scopes.keys()].sort();
  }

  keys(scope: string): readonly string[] {
    const known = this.#sorted.get(scope);
    if (known !== undefined) return known;
    const sorted = [...(this.#scopes.get(scope)?.keys() ?? [])].sort();
    this.#sorted.set(scope, sorted);
    return sorted;
  }

  /** Points by scope and key, after a place; a scope that keeps the list to itself. */
  *list(after: Place | undefined, only: string | undefined): Iterable<Point> {
    const scopes = only === undefined ? this.scopes() : [only];
    for (const scope of scopes) {
      if (after !== undefined && scope < after.scope) continue;
      const keys = this.keys(scope);
      let at = 0;
      if (after?.scope === scope) at = firstAbove(keys, after.key);
      for (; at < keys.length; at += 1) {
        const point = this.get(scope, keys[at] ?? "");
        if (point !== undefined) yield point;
      }
    }
  }

  /** Rows that changed since the last call, for a checkpoint; undefined removes. */
  takeDirty(): Map<number, string | undefined> {
    const rows = new Map<number, string | undefined>();
    for (const index of this.#dirty) {
      const point = this.#slots.get(index)?.point;
      rows.set(index, point === undefined ? undefined : JSON.stringify(point));
    }
    this.#dirty = new Set();
    return rows;
  }

  /** Puts back rows whose checkpoint failed. */
  returnDirty(indices: Iterable<number>): void {
    for (const index of indices) this.#dirty.add(index);
  }

  get hasDirty(): boolean {
    return this.#dirty.size > 0;
  }
}

/** Scope and key hold printable characters only. */
function idOf(scope: string, key: string): string {
  return `${scope}\0${key}`;
}

/** The place of the first key above `key` in a sorted list. */
function firstAbove(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((keys[middle] ?? "") <= key) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Current values in memory, their definitions, and the records that change them.
// Pure: records in, values out. It must not know the disk, the bus or the clock.
import type { JournalRecord } from "../journal/journal.ts";
import type { Stamp } from "../util/clock.ts";
import { Expiry } from "./expiry.ts";
import { PointOrder } from "./order.ts";
import type { Place, Point, PointChange } from "./point.ts";
import { type Definition, type Said, Slots } from "./slots.ts";
import { type Expected, Staging, ttlOf } from "./staging.ts";

export type { Place, Point, PointChange, PointType, Quality } from "./point.ts";

/** Who hears of what changed, after the flush. */
export interface PointObserver {
  changed(index: number): void;
  deleted(place: Place, revision: number): void;
}

/** Indices in one page of a checkpoint. */
export const indicesPerPage = 64;
const pageShift = 6;

/** How far a point of a checkpoint is: its sequence, and when it goes in running time. */
export interface Standing {
  readonly revision: number;
  readonly due?: number | undefined;
}

export class PointTable {
  /** Hears of changes, once it is there. */
  observer: PointObserver | undefined;
  readonly slots = new Slots();
  readonly #staging: Staging;
  readonly #order = new PointOrder(this.slots);
  readonly #expiry = new Expiry();
  /** Definitions whose first value is yet to come. */
  readonly #defined = new Map<number, Definition>();
  #dirty = new Set<number>();
  #lastDirty = -1;
  #nextIndex = 1;

  /** @param valuesMiB room for values that are texts or JSON, in 2^20 characters. */
  constructor(pointsMax: number, valuesMiB: number = Number.POSITIVE_INFINITY) {
    this.#staging = new Staging(this.slots, pointsMax, valuesMiB);
  }

  get count(): number {
    return this.slots.count;
  }

  get nextIndex(): number {
    return this.#nextIndex;
  }

  /** Points that go by themselves. */
  get expiring(): number {
    return this.#expiry.count;
  }

  /** Takes over a point of a checkpoint; of two with one name the later defined one is right. */
  take(definition: Definition, said: Said, { revision, due }: Standing): void {
    const { index, scope, key } = definition;
    const { slots } = this;
    this.#use(index);
    let slot = slots.find(scope, key);
    if (slot < 0) {
      slot = slots.add(definition);
      this.#order.add(slot);
    } else {
      const before = slots.index[slot] as number;
      if (before > index) return;
      this.#expiry.clear(before);
      if (before < index) slots.redefine(slot, definition);
    }
    slots.put(slot, said, revision);
    if (due !== undefined) this.#expiry.set(index, due);
  }

  /** The first index that is free, by what a checkpoint says. */
  begin(nextIndex: number): void {
    this.#nextIndex = Math.max(this.#nextIndex, nextIndex);
    this.#staging.begin(this.#nextIndex);
  }

  /** An index is used from here on. */
  #use(index: number): void {
    this.#nextIndex = Math.max(this.#nextIndex, index + 1);
    this.#staging.skipTo(this.#nextIndex);
  }

  /** The records of a row of changes. @throws as `Staging.recordsOfChanges`. */
  recordsOfChanges(
    changes: readonly PointChange[],
    source: string,
    first?: number,
  ): JournalRecord[] {
    return this.#staging.recordsOfChanges(changes, source, first);
  }

  /** The records that delete points; those that are not there are passed over. */
  recordsOfDeletes(
    places: readonly Place[],
    time: Stamp,
    by: { source?: string; first?: number } = {},
  ): JournalRecord[] {
    return this.#staging.recordsOfDeletes(places, time, by);
  }

  /** The records that delete points which are due at `now`; those set anew meanwhile stay. */
  recordsOfExpired(indices: readonly number[], now: number, time: Stamp): JournalRecord[] {
    const places: Place[] = [];
    for (const index of indices) {
      const slot = this.slots.findIndex(index);
      if (slot < 0 || !this.isExpired(slot, now)) continue;
      const place = { scope: this.slots.scopeOf(slot), key: this.slots.keyOf(slot) };
      if (this.#staging.isUntouched(place, index)) places.push(place);
    }
    return this.recordsOfDeletes(places, time, { source: "ttl" });
  }

  /** What a point will be after all that is built before; undefined when it will not be. */
  expected(scope: string, key: string): Expected | undefined {
    return this.#staging.expected(scope, key);
  }

  /** Applies the records of a flushed commit, or forgets what a failed one staged. */
  settle(
    isFlushed: boolean,
    records: readonly JournalRecord[],
    first: number,
    runMs: number = Number.POSITIVE_INFINITY,
  ): void {
    if (!isFlushed) {
      this.#staging.forget(this.#nextIndex);
      return;
    }
    this.#staging.settled(records);
    let sequence = first;
    for (const record of records) {
      this.apply(record, sequence, runMs);
      sequence += 1;
    }
  }

  /**
   * Applies one record of the stream `state`. What a table knows already changes nothing: records
   * may be applied again over values that are as new as they are, or newer.
   * @param runMs running time of its commit, for points that go by themselves.
   */
  apply(record: JournalRecord, sequence: number, runMs: number = Number.POSITIVE_INFINITY): void {
    switch (record.kind) {
      case "point":
        this.#put(record, sequence, runMs);
        return;
      case "define":
        this.#define(record as unknown as Definition);
        return;
      case "delete":
        this.#remove(record.index as number, sequence);
        return;
      default:
    }
  }

  #define(definition: Definition): void {
    const { index, scope, key, type, unit, profile } = definition;
    this.#use(index);
    this.#staging.defined(definition);
    if (this.slots.findIndex(index) >= 0) return;
    this.#defined.set(index, { index, scope, key, type, unit, profile });
  }

  #put(record: JournalRecord, sequence: number, runMs: number): void {
    const index = record.index as number;
    const slot = this.#slotOf(index);
    if (slot < 0) return;
    const { slots } = this;
    if ((slots.revision[slot] as number) > sequence) return;
    slots.put(slot, record as unknown as Said, sequence);
    const ttlMs = ttlOf(slots.profileOf(slot));
    if (ttlMs !== undefined && runMs !== Number.POSITIVE_INFINITY) {
      this.#expiry.set(index, runMs + ttlMs);
    }
    this.#soil(index);
    this.observer?.changed(index);
  }

  /** The slot of an index, made when its definition has none yet; -1 when nobody knows it. */
  #slotOf(index: number): number {
    const { slots } = this;
    const known = slots.findIndex(index);
    if (known >= 0) return known;
    const definition = this.#defined.get(index);
    if (definition === undefined) return -1;
    this.#defined.delete(index);
    const held = slots.find(definition.scope, definition.key);
    if (held < 0) {
      const slot = slots.add(definition);
      this.#order.add(slot);
      return slot;
    }
    const before = slots.index[held] as number;
    // A definition that was replaced later is of no use any more.
    if (before > index) return -1;
    this.#soil(before);
    this.#expiry.clear(before);
    slots.redefine(held, definition);
    return held;
  }

  #remove(index: number, sequence: number): void {
    this.#soil(index);
    const defined = this.#defined.get(index);
    this.#defined.delete(index);
    const { slots } = this;
    const slot = slots.findIndex(index);
    if (slot < 0) {
      if (defined !== undefined) this.#staging.deleted(defined);
      return;
    }
    const place = { scope: slots.scopeOf(slot), key: slots.keyOf(slot) };
    this.#staging.deleted(place);
    this.#expiry.clear(index);
    this.#order.remove(slot);
    slots.remove(slot);
    slots.free(slot);
    this.observer?.deleted(place, sequence);
  }

  #soil(index: number): void {
    const page = index >>> pageShift;
    if (page === this.#lastDirty) return;
    this.#lastDirty = page;
    this.#dirty.add(page);
  }

  get(scope: string, key: string): Point | undefined {
    const slot = this.slots.find(scope, key);
    return slot < 0 ? undefined : this.slots.pointOf(slot);
  }

  /** Sequence of the current value of an index; undefined when nothing has it. */
  revisionAt(index: number): number | undefined {
    const slot = this.slots.findIndex(index);
    return slot < 0 ? undefined : this.slots.revision[slot];
  }

  /** Whether the time of a point is over. */
  isExpired(slot: number, now: number): boolean {
    const due = this.#expiry.dueOf(this.slots.index[slot] as number);
    return due !== undefined && due <= now;
  }

  /** When a point goes, in running time; undefined when it stays. */
  dueOf(slot: number): number | undefined {
    return this.#expiry.dueOf(this.slots.index[slot] as number);
  }

  /** A point as JSON, with what is left of its time; undefined when that is over. */
  jsonOf(slot: number, now: number): string | undefined {
    const json = this.slots.openJsonOf(slot);
    const due = this.#expiry.dueOf(this.slots.index[slot] as number);
    if (due === undefined) return `${json}}`;
    return due <= now ? undefined : `${json},"expiresMs":${Math.ceil(due - now)}}`;
  }

  get nextDue(): number {
    return this.#expiry.nextDue;
  }

  takeDue(now: number, max: number): number[] {
    return this.#expiry.takeDue(now, max);
  }

  putBackDue(indices: readonly number[]): void {
    this.#expiry.putBack(indices);
  }

  hasScope(scope: string): boolean {
    return this.slots.scopes.find(scope) !== undefined;
  }

  /** Goes on with the sorting for about a millisecond. @returns whether the order is there. */
  sortSlice(): boolean {
    return this.#order.buildSlice();
  }

  /** Slots from scope and key on, in order; the points must not change meanwhile. */
  from(scope: string, key: string): Iterable<number> {
    return this.#order.from(scope, key);
  }

  scopes(): string[] {
    return [...this.slots.scopes.texts()].sort();
  }

  keys(scope: string): string[] {
    const keys: string[] = [];
    for (const slot of this.from(scope, "")) {
      if (this.slots.scopeOf(slot) !== scope) break;
      keys.push(this.slots.keyOf(slot));
    }
    return keys;
  }

  /** Points by scope and key, after a place; a scope that keeps the list to itself. */
  *list(after: Place | undefined, only: string | undefined): Iterable<Point> {
    const { slots } = this;
    // The first text above another one is that one with the lowest character behind it.
    const key = after === undefined ? "" : `${after.key}\0`;
    for (const slot of this.from(after?.scope ?? only ?? "", key)) {
      if (only !== undefined && slots.scopeOf(slot) !== only) return;
      yield slots.pointOf(slot);
    }
  }

  /** Slots of points that changed after a revision. */
  changedSince(revision: number): number[] {
    const { slots } = this;
    const found: number[] = [];
    for (let slot = 0; slot < slots.end; slot += 1) {
      if ((slots.revision[slot] as number) > revision && slots.index[slot] !== 0) found.push(slot);
    }
    return found;
  }

  /** Pages that changed since the last call, for a checkpoint. */
  takeDirty(): Set<number> {
    const pages = this.#dirty;
    this.#dirty = new Set();
    this.#lastDirty = -1;
    return pages;
  }

  /** Puts back pages whose checkpoint failed. */
  returnDirty(pages: Iterable<number>): void {
    for (const page of pages) this.#dirty.add(page);
  }

  /** Every page counts as changed. */
  soilAll(): void {
    const { slots } = this;
    for (let slot = 0; slot < slots.end; slot += 1) {
      const index = slots.index[slot] as number;
      if (index !== 0) this.#soil(index);
    }
  }

  /** The indices of one page that were ever used. */
  indicesOfPage(page: number): number[] {
    const indices = Array.from({ length: indicesPerPage }, (_, at) => page * indicesPerPage + at);
    return indices.filter((index) => index > 0 && index < this.#nextIndex);
  }

  /** The slots of the points of one page, by index. */
  slotsOfPage(page: number): number[] {
    const slots: number[] = [];
    for (let at = 0; at < indicesPerPage; at += 1) {
      const slot = this.slots.findIndex(page * indicesPerPage + at);
      if (slot >= 0) slots.push(slot);
    }
    return slots;
  }
}

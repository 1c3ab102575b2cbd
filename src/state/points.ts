// Current values in memory, their definitions, and the records that change them.
// Pure: records in, values out. It must not know the disk, the bus or the clock.
import type { JournalRecord } from "../journal/journal.ts";
import type { Stamp } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import { Expiry } from "./expiry.ts";
import { PointOrder } from "./order.ts";
import type { Place, Point, PointChange } from "./point.ts";
import { type Definition, type Said, Slots } from "./slots.ts";

export type { Place, Point, PointChange, PointType, Quality } from "./point.ts";

/** Who hears of what changed, after the flush. */
export interface PointObserver {
  changed(index: number): void;
  deleted(place: Place, revision: number): void;
}

/** Indices in one page of a checkpoint. */
export const indicesPerPage = 64;
const pageShift = 6;
/** Columns of indices have 32 bits. */
const indexMax = 2 ** 32 - 1;
/** What a profile begins with that says for how long a point lives. */
const ttlPrefix = "ttl=";

/** How far a point of a checkpoint is: its sequence, and when it goes in running time. */
export interface Standing {
  readonly revision: number;
  readonly due?: number | undefined;
}

/** Records that are built and not settled. */
interface Unsettled {
  readonly records: readonly JournalRecord[];
  readonly first: number;
  /** Of their values. */
  readonly characters: number;
}

/** A point's value as the commit being put together will leave it. */
export interface Expected {
  readonly value: unknown;
  readonly revision: number;
}

export class PointTable {
  /** Hears of changes, once it is there. */
  observer: PointObserver | undefined;
  readonly slots = new Slots();
  readonly #pointsMax: number;
  readonly #charactersMax: number;
  /** Characters of the values that are built and not settled. */
  #stagedCharacters = 0;
  readonly #order = new PointOrder(this.slots);
  readonly #expiry = new Expiry();
  /** Definitions whose first value is yet to come. */
  readonly #defined = new Map<number, Definition>();
  /** Definitions of the commit being put together, by scope and key; null for a deletion. */
  readonly #staged = new Map<string, Map<string, Definition | null>>();
  #stagedCount = 0;
  /** Records that are built and not settled, and what they leave, as far as somebody asked. */
  #unsettled: Unsettled[] = [];
  readonly #outcomes = new Map<number, Expected | null>();
  #outcomesOf = 0;
  #dirty = new Set<number>();
  #lastDirty = -1;
  #nextIndex = 1;
  #stagedIndex = 1;

  /** @param valuesMiB room for values that are texts or JSON, in 2^20 characters. */
  constructor(pointsMax: number, valuesMiB: number = Number.POSITIVE_INFINITY) {
    this.#pointsMax = pointsMax;
    this.#charactersMax = valuesMiB * 1_048_576;
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
    this.#nextIndex = Math.max(this.#nextIndex, index + 1);
    this.#stagedIndex = Math.max(this.#stagedIndex, this.#nextIndex);
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
    this.#stagedIndex = this.#nextIndex;
  }

  /**
   * The records of a row of changes; staged until `settle`. Definitions stand before the points, so
   * that records of a kind stand together.
   * @throws PlantError LIMIT_REACHED, with nothing staged.
   */
  recordsOfChanges(
    changes: readonly PointChange[],
    source: string,
    first = this.#unsettledEnd(),
  ): JournalRecord[] {
    this.#admit(changes);
    const characters = this.#admitValues(changes);
    const records: JournalRecord[] = [];
    const points: JournalRecord[] = [];
    for (const change of changes) {
      const { scope, key, value, quality, reason, time, source: by = source } = change;
      let index = this.#indexAsDefined(change);
      if (index === 0) {
        const before = this.#definitionOf(scope, key);
        // A second definition of a name comes after the values of the first.
        if (before !== undefined) for (const point of points.splice(0)) records.push(point);
        const definition = this.#stage(change, before);
        index = definition.index;
        records.push({ kind: "define", ...definition });
      }
      points.push(
        reason === undefined
          ? { kind: "point", index, value, quality, time, source: by }
          : { kind: "point", index, value, quality, reason, time, source: by },
      );
    }
    const all = records.length === 0 ? points : records.concat(points);
    this.#unsettled.push({ records: all, first, characters });
    this.#stagedCharacters += characters;
    return all;
  }

  /** The index of a point whose definition is what a change wants; 0 when it is not. */
  #indexAsDefined({ scope, key, type, unit, ttlMs }: PointChange): number {
    const { slots } = this;
    if (this.#stagedCount > 0 && this.#staged.get(scope)?.has(key) === true) {
      const staged = this.#staged.get(scope)?.get(key) ?? undefined;
      if (staged === undefined || (type !== undefined && type !== staged.type)) return 0;
      if (unit !== undefined && unit !== staged.unit) return 0;
      return staged.profile === profileOf(ttlMs) ? staged.index : 0;
    }
    const slot = slots.find(scope, key);
    if (slot < 0 || (type !== undefined && type !== slots.typeOf(slot))) return 0;
    if (unit !== undefined && unit !== slots.unitOf(slot)) return 0;
    return slots.profileOf(slot) === profileOf(ttlMs) ? (slots.index[slot] as number) : 0;
  }

  #stage(change: PointChange, before: Definition | undefined): Definition {
    const { scope, key, type = before?.type, unit = before?.unit, ttlMs } = change;
    const index = this.#stagedIndex;
    this.#stagedIndex += 1;
    const profile = profileOf(ttlMs);
    const definition = {
      index,
      scope,
      key,
      ...(type === undefined ? {} : { type }),
      ...(unit === undefined ? {} : { unit }),
      ...(profile === undefined ? {} : { profile }),
    };
    this.#stageAt(scope, key, definition);
    return definition;
  }

  #stageAt(scope: string, key: string, definition: Definition | null): void {
    let keys = this.#staged.get(scope);
    if (keys === undefined) {
      keys = new Map();
      this.#staged.set(scope, keys);
    }
    if (!keys.has(key)) this.#stagedCount += 1;
    keys.set(key, definition);
  }

  #unstage(scope: string, key: string): void {
    const keys = this.#staged.get(scope);
    if (keys?.delete(key) !== true) return;
    this.#stagedCount -= 1;
    if (keys.size === 0) this.#staged.delete(scope);
  }

  /** The records that delete points; those that are not there are passed over. */
  recordsOfDeletes(
    places: readonly Place[],
    time: Stamp,
    { source, first = this.#unsettledEnd() }: { source?: string; first?: number } = {},
  ): JournalRecord[] {
    const records: JournalRecord[] = [];
    for (const { scope, key } of places) {
      const definition = this.#definitionOf(scope, key);
      if (definition === undefined) continue;
      this.#stageAt(scope, key, null);
      const { index } = definition;
      const record = { kind: "delete", index, time };
      records.push(source === undefined ? record : { ...record, source });
    }
    if (records.length > 0) this.#unsettled.push({ records, first, characters: 0 });
    return records;
  }

  /** The records that delete points which are due at `now`; those set anew meanwhile stay. */
  recordsOfExpired(indices: readonly number[], now: number, time: Stamp): JournalRecord[] {
    const places: Place[] = [];
    for (const index of indices) {
      const slot = this.slots.findIndex(index);
      if (slot < 0 || !this.isExpired(slot, now)) continue;
      const place = { scope: this.slots.scopeOf(slot), key: this.slots.keyOf(slot) };
      if (this.#definitionOf(place.scope, place.key)?.index !== index) continue;
      if (this.#outcome(index) === undefined) places.push(place);
    }
    return this.recordsOfDeletes(places, time, { source: "ttl" });
  }

  #admit(changes: readonly PointChange[]): void {
    this.#admitDefinitions(changes);
    if (this.count + this.#stagedCount + changes.length <= this.#pointsMax) return;
    let { count } = this;
    const added = new Set<string>();
    const add = (scope: string, key: string) => {
      const id = `${scope}\0${key}`;
      if (added.has(id) || this.slots.find(scope, key) >= 0) return;
      added.add(id);
      count += 1;
    };
    for (const [scope, keys] of this.#staged) {
      for (const [key, definition] of keys) if (definition !== null) add(scope, key);
    }
    for (const { scope, key } of changes) add(scope, key);
    if (count > this.#pointsMax) {
      throw new PlantError("LIMIT_REACHED", { limit: "store.pointsMax", max: this.#pointsMax });
    }
  }

  /** Indices are never used again: at their end points that are as they were are still set. */
  #admitDefinitions(changes: readonly PointChange[]): void {
    if (this.#stagedIndex + changes.length <= indexMax) return;
    const fresh = changes.filter((change) => this.#indexAsDefined(change) === 0).length;
    if (fresh === 0 || this.#stagedIndex + fresh <= indexMax) return;
    throw new PlantError("LIMIT_REACHED", { limit: "definitions of a store", max: indexMax });
  }

  /** @returns the characters of the values. @throws PlantError LIMIT_REACHED. */
  #admitValues(changes: readonly PointChange[]): number {
    let added = 0;
    for (const { value } of changes) added += charactersOf(value);
    const room = this.#charactersMax - this.slots.characters - this.#stagedCharacters;
    if (added <= room || added === 0) return added;
    // What replaces as much as it brings finds room where there is none.
    const grown = new Map<number, number>();
    let fresh = 0;
    for (const { scope, key, value } of changes) {
      const slot = this.slots.find(scope, key);
      if (slot < 0) fresh += charactersOf(value);
      else grown.set(slot, charactersOf(value) - this.slots.charactersOf(slot));
    }
    for (const one of grown.values()) fresh += one;
    if (fresh <= Math.max(0, room)) return added;
    const max = this.#charactersMax / 1_048_576;
    throw new PlantError("LIMIT_REACHED", { limit: "store.valuesMiB", max });
  }

  #definitionOf(scope: string, key: string): Definition | undefined {
    if (this.#stagedCount > 0) {
      const staged = this.#staged.get(scope)?.get(key);
      if (staged !== undefined) return staged ?? undefined;
    }
    const slot = this.slots.find(scope, key);
    return slot < 0 ? undefined : this.slots.definitionOf(slot);
  }

  /** What a point will be after all that is built before; undefined when it will not be. */
  expected(scope: string, key: string): Expected | undefined {
    const definition = this.#definitionOf(scope, key);
    if (definition === undefined) return undefined;
    const outcome = this.#outcome(definition.index);
    if (outcome !== undefined) return outcome ?? undefined;
    const slot = this.slots.find(scope, key);
    if (slot < 0) return undefined;
    const revision = this.slots.revision[slot] as number;
    return { value: this.slots.valueOf(slot), revision };
  }

  #outcome(index: number): Expected | null | undefined {
    for (; this.#outcomesOf < this.#unsettled.length; this.#outcomesOf += 1) {
      const { records = [], first = 0 } = this.#unsettled[this.#outcomesOf] ?? {};
      for (const [at, record] of records.entries()) {
        if (record.kind === "point") {
          const revision = first + at;
          this.#outcomes.set(record.index as number, { value: record.value, revision });
        } else if (record.kind === "delete") this.#outcomes.set(record.index as number, null);
      }
    }
    return this.#outcomes.get(index);
  }

  #unsettledEnd(): number {
    const last = this.#unsettled.at(-1);
    return last === undefined ? 0 : last.first + last.records.length;
  }

  /** Applies the records of a flushed commit, or forgets what a failed one staged. */
  settle(
    isFlushed: boolean,
    records: readonly JournalRecord[],
    first: number,
    runMs: number = Number.POSITIVE_INFINITY,
  ): void {
    if (!isFlushed) {
      this.#staged.clear();
      this.#stagedCount = 0;
      this.#unsettled = [];
      this.#stagedCharacters = 0;
      this.#forgetOutcomes();
      this.#stagedIndex = this.#nextIndex;
      return;
    }
    const at = this.#unsettled.findIndex((built) => built.records === records);
    for (const { characters } of this.#unsettled.splice(0, at + 1)) {
      this.#stagedCharacters -= characters;
    }
    this.#forgetOutcomes();
    let sequence = first;
    for (const record of records) {
      this.apply(record, sequence, runMs);
      sequence += 1;
    }
  }

  #forgetOutcomes(): void {
    if (this.#outcomesOf === 0) return;
    this.#outcomes.clear();
    this.#outcomesOf = 0;
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
    this.#nextIndex = Math.max(this.#nextIndex, index + 1);
    this.#stagedIndex = Math.max(this.#stagedIndex, this.#nextIndex);
    if (this.#stagedCount > 0 && this.#staged.get(scope)?.get(key)?.index === index) {
      this.#unstage(scope, key);
    }
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
      if (defined !== undefined) this.#unstageDeleted(defined);
      return;
    }
    const place = { scope: slots.scopeOf(slot), key: slots.keyOf(slot) };
    this.#unstageDeleted(place);
    this.#expiry.clear(index);
    this.#order.remove(slot);
    slots.remove(slot);
    slots.free(slot);
    this.observer?.deleted(place, sequence);
  }

  #unstageDeleted({ scope, key }: Place): void {
    if (this.#staged.get(scope)?.get(key) === null) this.#unstage(scope, key);
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

function ttlOf(profile: string | undefined): number | undefined {
  if (profile?.startsWith(ttlPrefix) !== true) return undefined;
  return Number(profile.slice(ttlPrefix.length));
}

function profileOf(ttlMs: number | undefined): string | undefined {
  return ttlMs === undefined ? undefined : `${ttlPrefix}${ttlMs}`;
}

/** What a value takes as a text or as JSON; numbers and such take nothing. */
function charactersOf(value: unknown): number {
  if (typeof value === "string") return value.length;
  return typeof value === "object" && value !== null ? JSON.stringify(value).length : 0;
}

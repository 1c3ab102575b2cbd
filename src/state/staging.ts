// What commits that are being put together will leave: the records of a change, made from what is
// there and what is on its way. It must not know the disk, the bus or the clock.
import type { JournalRecord } from "../journal/journal.ts";
import type { Stamp } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import type { Place, PointChange } from "./point.ts";
import type { Definition, Slots } from "./slots.ts";

/** What a profile begins with that says for how long a point lives. */
const ttlPrefix = "ttl=";

/** Columns of indices have 32 bits. */
const indexMax = 2 ** 32 - 1;

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

export class Staging {
  readonly #slots: Slots;
  readonly #pointsMax: number;
  /** Definitions that are built and not settled, by scope and key; null for a deletion. */
  readonly #staged = new Map<string, Map<string, Definition | null>>();
  #stagedCount = 0;
  /** Records that are built and not settled, and what they leave, as far as somebody asked. */
  #unsettled: Unsettled[] = [];
  readonly #charactersMax: number;
  /** Characters of the values that are built and not settled. */
  #stagedCharacters = 0;
  readonly #outcomes = new Map<number, Expected | null>();
  #outcomesOf = 0;
  /** The index of the next definition. */
  #nextIndex = 1;

  /** @param valuesMiB room for values that are texts or JSON, in 2^20 characters. */
  constructor(slots: Slots, pointsMax: number, valuesMiB: number) {
    this.#slots = slots;
    this.#pointsMax = pointsMax;
    this.#charactersMax = valuesMiB * 1_048_576;
  }

  /** Indices below are used, those from here on are free. */
  begin(nextIndex: number): void {
    this.#nextIndex = nextIndex;
  }

  /** Indices below are used. */
  skipTo(nextIndex: number): void {
    this.#nextIndex = Math.max(this.#nextIndex, nextIndex);
  }

  /**
   * The records of a row of changes; staged until they are settled. Definitions stand before the
   * points, so that records of a kind stand together.
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
    const slots = this.#slots;
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
    const index = this.#nextIndex;
    this.#nextIndex += 1;
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

  #admit(changes: readonly PointChange[]): void {
    this.#admitDefinitions(changes);
    if (this.#slots.count + this.#stagedCount + changes.length <= this.#pointsMax) return;
    let { count } = this.#slots;
    const added = new Set<string>();
    const add = (scope: string, key: string) => {
      const id = `${scope}\0${key}`;
      if (added.has(id) || this.#slots.find(scope, key) >= 0) return;
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
    if (this.#nextIndex + changes.length <= indexMax) return;
    const fresh = changes.filter((change) => this.#indexAsDefined(change) === 0).length;
    if (fresh === 0 || this.#nextIndex + fresh <= indexMax) return;
    throw new PlantError("LIMIT_REACHED", { limit: "definitions of a store", max: indexMax });
  }

  /** @returns the characters of the values. @throws PlantError LIMIT_REACHED. */
  #admitValues(changes: readonly PointChange[]): number {
    let added = 0;
    for (const { value } of changes) added += charactersOf(value);
    const room = this.#charactersMax - this.#slots.characters - this.#stagedCharacters;
    if (added <= room || added === 0) return added;
    // What replaces as much as it brings finds room where there is none.
    const grown = new Map<number, number>();
    let fresh = 0;
    for (const { scope, key, value } of changes) {
      const slot = this.#slots.find(scope, key);
      if (slot < 0) fresh += charactersOf(value);
      else grown.set(slot, charactersOf(value) - this.#slots.charactersOf(slot));
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
    const slot = this.#slots.find(scope, key);
    return slot < 0 ? undefined : this.#slots.definitionOf(slot);
  }

  /** What a point will be after all that is built before; undefined when it will not be. */
  expected(scope: string, key: string): Expected | undefined {
    const definition = this.#definitionOf(scope, key);
    if (definition === undefined) return undefined;
    const outcome = this.#outcome(definition.index);
    if (outcome !== undefined) return outcome ?? undefined;
    const slot = this.#slots.find(scope, key);
    if (slot < 0) return undefined;
    const revision = this.#slots.revision[slot] as number;
    return { value: this.#slots.valueOf(slot), revision };
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

  /** Whether nothing that is built changes the point of an index. */
  isUntouched({ scope, key }: Place, index: number): boolean {
    return this.#definitionOf(scope, key)?.index === index && this.#outcome(index) === undefined;
  }

  /** Records were built and are applied: they, and those built before them, are settled. */
  settled(records: readonly JournalRecord[]): void {
    const at = this.#unsettled.findIndex((built) => built.records === records);
    for (const { characters } of this.#unsettled.splice(0, at + 1)) {
      this.#stagedCharacters -= characters;
    }
    this.#forgetOutcomes();
  }

  /** Nothing that was built comes to be. */
  forget(nextIndex: number): void {
    this.#staged.clear();
    this.#stagedCount = 0;
    this.#unsettled = [];
    this.#stagedCharacters = 0;
    this.#forgetOutcomes();
    this.#nextIndex = nextIndex;
  }

  /** A definition is applied. */
  defined({ index, scope, key }: Definition): void {
    if (this.#stagedCount > 0 && this.#staged.get(scope)?.get(key)?.index === index) {
      this.#unstage(scope, key);
    }
  }

  /** A deletion is applied. */
  deleted({ scope, key }: Place): void {
    if (this.#staged.get(scope)?.get(key) === null) this.#unstage(scope, key);
  }

  #forgetOutcomes(): void {
    if (this.#outcomesOf === 0) return;
    this.#outcomes.clear();
    this.#outcomesOf = 0;
  }
}

/** For how long a point lives, by its profile. */
export function ttlOf(profile: string | undefined): number | undefined {
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

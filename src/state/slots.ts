// The points as columns: one slot each, numbers in typed arrays, texts that many share kept once.
// It must not know records, requests or when a slot changes.
import { randomInt } from "node:crypto";
import type { ClockSync, Stamp } from "../util/clock.ts";
import { Interned, none } from "./interned.ts";
import { type Point, type PointType, type Quality, syncs } from "./point.ts";
import { SlotTable } from "./slot-table.ts";

const types = ["bool", "i64", "u64", "f64", "text", "json"] as const;
const qualities = ["good", "uncertain", "bad"] as const;

/** How the value of a slot is kept. */
export const kinds = { number: 0, false: 1, true: 2, null: 3, text: 4, json: 5 } as const;

const capacityMin = 256;

/** What names a point, and says how its values are meant. */
export interface Definition {
  /** Never used again within a lineage. */
  readonly index: number;
  readonly scope: string;
  readonly key: string;
  readonly type?: PointType | undefined;
  readonly unit?: string | undefined;
  /** What else is said of the point. */
  readonly profile?: string | undefined;
}

/** What a record says of a point. */
export interface Said {
  readonly value: unknown;
  readonly quality: Quality;
  readonly reason?: string | undefined;
  readonly time: Stamp;
  readonly source?: string | undefined;
}

/** Slots of points, found by index and by scope and key. */
export class Slots {
  /** Slots ever used are below this. */
  end = 0;
  count = 0;
  /** Characters of the values that are texts or JSON. */
  characters = 0;
  readonly scopes = new Interned();
  readonly words = new Interned();
  index = new Uint32Array(capacityMin);
  scope = new Uint32Array(capacityMin);
  revision = new Float64Array(capacityMin);
  keys: (string | undefined)[] = [];
  #hash = new Uint32Array(capacityMin);
  kind = new Uint8Array(capacityMin);
  number = new Float64Array(capacityMin);
  /** The value as text or as JSON, where its kind says so. */
  text: (string | undefined)[] = [];
  #type = new Uint8Array(capacityMin);
  #unit = new Uint32Array(capacityMin);
  #profile = new Uint32Array(capacityMin);
  #quality = new Uint8Array(capacityMin);
  #reason = new Uint32Array(capacityMin);
  #source = new Uint32Array(capacityMin);
  #wall = new Float64Array(capacityMin);
  #mono = new Float64Array(capacityMin);
  #boot = new Uint32Array(capacityMin);
  #sync = new Uint8Array(capacityMin);
  readonly #free: number[] = [];
  /** Nobody outside can choose names that share a place. */
  readonly #seed = randomInt(2 ** 32);
  readonly #byName = new SlotTable((slot) => this.#hash[slot] as number);
  readonly #byIndex = new SlotTable((slot) => this.index[slot] as number);

  #grow(capacity: number): void {
    this.index = larger(this.index, new Uint32Array(capacity));
    this.scope = larger(this.scope, new Uint32Array(capacity));
    this.revision = larger(this.revision, new Float64Array(capacity));
    this.#hash = larger(this.#hash, new Uint32Array(capacity));
    this.kind = larger(this.kind, new Uint8Array(capacity));
    this.number = larger(this.number, new Float64Array(capacity));
    this.#type = larger(this.#type, new Uint8Array(capacity));
    this.#unit = larger(this.#unit, new Uint32Array(capacity));
    this.#profile = larger(this.#profile, new Uint32Array(capacity));
    this.#quality = larger(this.#quality, new Uint8Array(capacity));
    this.#reason = larger(this.#reason, new Uint32Array(capacity));
    this.#source = larger(this.#source, new Uint32Array(capacity));
    this.#wall = larger(this.#wall, new Float64Array(capacity));
    this.#mono = larger(this.#mono, new Float64Array(capacity));
    this.#boot = larger(this.#boot, new Uint32Array(capacity));
    this.#sync = larger(this.#sync, new Uint8Array(capacity));
  }

  /** The slot of a point; -1 when there is none. */
  find(scope: string, key: string): number {
    const number = this.scopes.find(scope);
    return number === undefined ? -1 : this.#findIn(number, key, hashOf(this.#seed, number, key));
  }

  #findIn(scope: number, key: string, hash: number): number {
    const table = this.#byName;
    for (let cell = table.cellOf(hash); ; cell = table.after(cell)) {
      const slot = table.at(cell);
      if (slot < 0) return -1;
      const isIt = this.#hash[slot] === hash && this.scope[slot] === scope;
      if (isIt && this.keys[slot] === key) return slot;
    }
  }

  /** The slot of an index; -1 when there is none. */
  findIndex(index: number): number {
    const table = this.#byIndex;
    for (let cell = table.cellOf(index); ; cell = table.after(cell)) {
      const slot = table.at(cell);
      if (slot < 0 || this.index[slot] === index) return slot;
    }
  }

  /** A new slot for a point that has none. */
  add(definition: Definition): number {
    const { scope, key, index } = definition;
    const slot = this.#free.pop() ?? this.end;
    if (slot === this.end) {
      if (slot === this.index.length) this.#grow(Math.ceil(slot * 1.5));
      this.end += 1;
      this.keys.push(undefined);
      this.text.push(undefined);
    }
    const number = this.scopes.hold(scope);
    this.scope[slot] = number;
    this.keys[slot] = key;
    const hash = hashOf(this.#seed, number, key);
    this.#hash[slot] = hash;
    this.#byName.add(hash, slot);
    this.index[slot] = index;
    this.#byIndex.add(index, slot);
    this.#define(slot, definition);
    this.kind[slot] = kinds.null;
    this.revision[slot] = 0;
    this.count += 1;
    return slot;
  }

  /** A new definition of the point in a slot. */
  redefine(slot: number, definition: Definition): void {
    this.#byIndex.remove(this.index[slot] as number, slot);
    this.index[slot] = definition.index;
    this.#byIndex.add(definition.index, slot);
    this.#define(slot, definition);
  }

  #define(slot: number, { type, unit, profile }: Definition): void {
    this.#type[slot] = type === undefined ? 0 : types.indexOf(type) + 1;
    this.#unit[slot] = this.words.change(this.#unit[slot] as number, unit);
    this.#profile[slot] = this.words.change(this.#profile[slot] as number, profile);
  }

  /** Takes the point out of a slot, which may be used again. */
  remove(slot: number): void {
    this.#byName.remove(this.#hash[slot] as number, slot);
    this.#byIndex.remove(this.index[slot] as number, slot);
    this.scopes.drop(this.scope[slot] as number);
    for (const column of [this.#unit, this.#profile, this.#reason, this.#source, this.#boot]) {
      this.words.drop(column[slot] as number);
      column[slot] = none;
    }
    this.scope[slot] = none;
    this.index[slot] = 0;
    this.keys[slot] = undefined;
    this.#putText(slot, undefined);
    this.count -= 1;
  }

  /** Lets a slot whose point was removed be used again. */
  free(slot: number): void {
    this.#free.push(slot);
  }

  put(slot: number, { value, quality, reason, time, source }: Said, revision: number): void {
    this.#putValue(slot, value);
    this.#quality[slot] = quality === "good" ? 0 : qualities.indexOf(quality);
    const { words } = this;
    if (reason !== undefined || this.#reason[slot] !== none) {
      this.#reason[slot] = words.change(this.#reason[slot] as number, reason);
    }
    this.#source[slot] = words.change(this.#source[slot] as number, source);
    this.#boot[slot] = words.change(this.#boot[slot] as number, time.boot);
    this.#sync[slot] = syncs.indexOf(time.sync);
    this.#wall[slot] = time.wall;
    this.#mono[slot] = time.mono;
    this.revision[slot] = revision;
  }

  #putValue(slot: number, value: unknown): void {
    const held = this.kind[slot] as number;
    if (typeof value === "number") {
      if (held >= kinds.text) this.#putText(slot, undefined);
      this.kind[slot] = kinds.number;
      this.number[slot] = value;
    } else if (typeof value === "string") {
      this.kind[slot] = kinds.text;
      this.#putText(slot, value);
    } else if (typeof value === "object" && value !== null) {
      this.kind[slot] = kinds.json;
      this.#putText(slot, JSON.stringify(value));
    } else {
      if (held >= kinds.text) this.#putText(slot, undefined);
      this.kind[slot] = value === true ? kinds.true : value === false ? kinds.false : kinds.null;
    }
  }

  #putText(slot: number, text: string | undefined): void {
    this.characters += (text?.length ?? 0) - this.charactersOf(slot);
    this.text[slot] = text;
  }

  /** Characters of the value in a slot, where it is a text or JSON. */
  charactersOf(slot: number): number {
    return this.text[slot]?.length ?? 0;
  }

  /** The value in a slot; an object is the caller's own. */
  valueOf(slot: number): unknown {
    switch (this.kind[slot]) {
      case kinds.number:
        return this.number[slot];
      case kinds.false:
        return false;
      case kinds.true:
        return true;
      case kinds.text:
        return this.text[slot];
      case kinds.json:
        return JSON.parse(this.text[slot] ?? "null");
      default:
        return null;
    }
  }

  scopeOf(slot: number): string {
    return this.scopes.textOf(this.scope[slot] as number) ?? "";
  }

  keyOf(slot: number): string {
    return this.keys[slot] ?? "";
  }

  typeOf(slot: number): PointType | undefined {
    return types[(this.#type[slot] as number) - 1];
  }

  unitOf(slot: number): string | undefined {
    return this.words.textOf(this.#unit[slot] as number);
  }

  profileOf(slot: number): string | undefined {
    return this.words.textOf(this.#profile[slot] as number);
  }

  definitionOf(slot: number): Definition {
    return {
      index: this.index[slot] as number,
      scope: this.scopeOf(slot),
      key: this.keyOf(slot),
      type: this.typeOf(slot),
      unit: this.unitOf(slot),
      profile: this.profileOf(slot),
    };
  }

  timeOf(slot: number): Stamp {
    return {
      wall: this.#wall[slot] as number,
      boot: this.words.textOf(this.#boot[slot] as number) ?? "",
      mono: this.#mono[slot] as number,
      sync: this.#syncOf(slot),
    };
  }

  #syncOf(slot: number): ClockSync {
    return syncs[this.#sync[slot] as number] ?? "none";
  }

  /** The point as an object; what it has not is not there. */
  pointOf(slot: number): Point {
    const type = this.typeOf(slot);
    const unit = this.unitOf(slot);
    const reason = this.words.textOf(this.#reason[slot] as number);
    return {
      scope: this.scopeOf(slot),
      key: this.keyOf(slot),
      value: this.valueOf(slot),
      ...(type === undefined ? {} : { type }),
      ...(unit === undefined ? {} : { unit }),
      quality: qualities[this.#quality[slot] as number] ?? "bad",
      ...(reason === undefined ? {} : { reason }),
      time: this.timeOf(slot),
      revision: this.revision[slot] as number,
      source: this.words.textOf(this.#source[slot] as number) ?? "",
    };
  }

  /** The same as JSON, made without the object, and without its last brace. */
  openJsonOf(slot: number): string {
    const { words } = this;
    const type = this.#type[slot] as number;
    const unit = this.#unit[slot] as number;
    const reason = this.#reason[slot] as number;
    let json = `{"scope":${this.scopes.quotedOf(this.scope[slot] as number)},"key":`;
    json += `${JSON.stringify(this.keys[slot])},"value":${this.#valueJson(slot)}`;
    if (type !== 0) json += `,"type":"${types[type - 1]}"`;
    if (unit !== none) json += `,"unit":${words.quotedOf(unit)}`;
    json += `,"quality":"${qualities[this.#quality[slot] as number]}"`;
    if (reason !== none) json += `,"reason":${words.quotedOf(reason)}`;
    json += `,"time":{"wall":${this.#wall[slot]},"boot":${words.quotedOf(this.#boot[slot] as number)}`;
    json += `,"mono":${this.#mono[slot]},"sync":"${this.#syncOf(slot)}"}`;
    const source = this.#source[slot] as number;
    json += `,"revision":${this.revision[slot]},"source":`;
    return json + (source === none ? '""' : words.quotedOf(source));
  }

  #valueJson(slot: number): string {
    switch (this.kind[slot]) {
      case kinds.number:
        return `${this.number[slot]}`;
      case kinds.false:
        return "false";
      case kinds.true:
        return "true";
      case kinds.text:
        return JSON.stringify(this.text[slot]);
      case kinds.json:
        return this.text[slot] ?? "null";
      default:
        return "null";
    }
  }
}

function larger<T extends Uint8Array | Uint32Array | Float64Array>(before: T, after: T): T {
  after.set(before);
  return after;
}

/** FNV-1a over the key, begun with a seed and the scope. */
function hashOf(seed: number, scope: number, key: string): number {
  let hash = seed ^ Math.imul(scope, 0x01000193);
  for (let at = 0; at < key.length; at += 1) {
    hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  }
  return hash >>> 0;
}

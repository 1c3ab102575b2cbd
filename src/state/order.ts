// The points in the order of scope and key, made when somebody first asks for it, in slices, and
// kept from then on. It must not know values, or who lists.
import type { Slots } from "./slots.ts";

/** Slots in one chunk; above it the chunk is split. */
const chunkMax = 512;
/** Slots that are sorted, or merged, before others have their turn: about a millisecond each. */
const runSlots = 1024;
const mergedPerSlice = 8192;

/** What the points were called when the sorting began: they may be gone before it ends. */
interface Names {
  readonly keys: readonly (string | undefined)[];
  readonly scopes: readonly string[];
}

export class PointOrder {
  readonly #slots: Slots;
  /** Sorted slots, in chunks; undefined until it was asked for. */
  #chunks: number[][] | undefined;
  #builder: Iterator<void> | undefined;
  /** Slots whose point came or went while the others were sorted. */
  readonly #touched = new Set<number>();

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  get isBuilt(): boolean {
    return this.#chunks !== undefined;
  }

  /** Goes on with the sorting for about a millisecond. @returns whether it is done. */
  buildSlice(): boolean {
    if (this.#chunks !== undefined) return true;
    this.#builder ??= this.#build();
    return this.#builder.next().done === true;
  }

  *#build(): Generator<void, void> {
    const slots = this.#slots;
    const live: number[] = [];
    const scopes: string[] = [];
    for (let slot = 0; slot < slots.end; slot += 1) {
      if (slots.index[slot] === 0) continue;
      live.push(slot);
      scopes[slot] = slots.scopeOf(slot);
    }
    const names = { keys: slots.keys.slice(), scopes };
    yield;
    let runs: number[][] = [];
    for (let at = 0; at < live.length; at += runSlots) {
      const run = live.slice(at, at + runSlots);
      runs.push(run.sort((a, b) => compare(names, a, b)));
      yield;
    }
    while (runs.length > 1) {
      const merged: number[][] = [];
      for (let at = 0; at < runs.length; at += 2) {
        merged.push(yield* merge(names, runs[at] ?? [], runs[at + 1] ?? []));
      }
      runs = merged;
    }
    this.#finish(runs[0] ?? []);
  }

  #finish(sorted: readonly number[]): void {
    const touched = this.#touched;
    const kept = touched.size === 0 ? sorted : sorted.filter((slot) => !touched.has(slot));
    const chunks: number[][] = [];
    for (let at = 0; at < kept.length; at += chunkMax / 2) {
      chunks.push(kept.slice(at, at + chunkMax / 2));
    }
    this.#chunks = chunks;
    this.#builder = undefined;
    for (const slot of touched) if (this.#slots.index[slot] !== 0) this.add(slot);
    touched.clear();
  }

  /** A point came into a slot. */
  add(slot: number): void {
    const chunks = this.#chunks;
    if (chunks === undefined) {
      if (this.#builder !== undefined) this.#touched.add(slot);
      return;
    }
    const { at, within } = this.#placeOf(this.#slots.scopeOf(slot), this.#slots.keyOf(slot));
    const chunk = chunks[at];
    if (chunk === undefined) {
      chunks.push([slot]);
      return;
    }
    chunk.splice(within, 0, slot);
    if (chunk.length > chunkMax) chunks.splice(at + 1, 0, chunk.splice(chunkMax / 2));
  }

  /** The point of a slot is about to go. */
  remove(slot: number): void {
    const chunks = this.#chunks;
    if (chunks === undefined) {
      if (this.#builder !== undefined) this.#touched.add(slot);
      return;
    }
    const { at, within } = this.#placeOf(this.#slots.scopeOf(slot), this.#slots.keyOf(slot));
    const chunk = chunks[at];
    if (chunk?.[within] !== slot) return;
    chunk.splice(within, 1);
    if (chunk.length === 0) chunks.splice(at, 1);
  }

  /** Slots from scope and key on, in order; the points must not change meanwhile. */
  *from(scope: string, key: string): Generator<number, void> {
    while (!this.buildSlice());
    const { at, within } = this.#placeOf(scope, key);
    const chunks = this.#chunks ?? [];
    for (let next = at, place = within; next < chunks.length; next += 1, place = 0) {
      const chunk = chunks[next] ?? [];
      for (; place < chunk.length; place += 1) yield chunk[place] ?? 0;
    }
  }

  /** Where the first slot stands that is not before scope and key. */
  #placeOf(scope: string, key: string): { at: number; within: number } {
    const chunks = this.#chunks ?? [];
    // The last chunk that begins at or before the place.
    let low = 0;
    let high = chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#isBefore(chunks[middle]?.[0] ?? 0, scope, key)) low = middle + 1;
      else high = middle;
    }
    const at = Math.max(0, low - 1);
    const chunk = chunks[at] ?? [];
    let from = 0;
    let to = chunk.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#isBefore(chunk[middle] ?? 0, scope, key)) from = middle + 1;
      else to = middle;
    }
    // Behind a chunk and before the next one: it is the first of the next, if there is one.
    if (from === chunk.length && at + 1 < chunks.length) return { at: at + 1, within: 0 };
    return { at, within: from };
  }

  #isBefore(slot: number, scope: string, key: string): boolean {
    const own = this.#slots.scopeOf(slot);
    return own === scope ? this.#slots.keyOf(slot) < key : own < scope;
  }
}

function compare({ keys, scopes }: Names, a: number, b: number): number {
  const [left = "", right = ""] = [scopes[a], scopes[b]];
  if (left !== right) return left < right ? -1 : 1;
  return (keys[a] ?? "") < (keys[b] ?? "") ? -1 : 1;
}

function* merge(names: Names, left: number[], right: number[]): Generator<void, number[]> {
  const [first, last] = [right[0], left.at(-1)];
  if (first === undefined || last === undefined) return left;
  if (compare(names, last, first) < 0) return left.concat(right);
  const merged: number[] = [];
  let [a, b] = [0, 0];
  while (a < left.length && b < right.length) {
    const [one = 0, other = 0] = [left[a], right[b]];
    if (compare(names, one, other) < 0) {
      merged.push(one);
      a += 1;
    } else {
      merged.push(other);
      b += 1;
    }
    if (merged.length % mergedPerSlice === 0) yield;
  }
  return merged.concat(left.slice(a), right.slice(b));
}

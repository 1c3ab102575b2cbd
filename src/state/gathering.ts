// Minute aggregates in the making, in memory, of all points: columns of bounded length.
// Pure; it must not know where values come from or where aggregates go.
import { type Aggregate, merge, minuteMs, numberOf } from "./aggregate.ts";
import { pointsPerRow } from "./rollup-rows.ts";

export const hourMs = 3_600_000;
/** The most minutes of points in memory, about 80 B each. */
const slotsMax = 131_072;
const qualities = ["good", "uncertain", "bad"] as const;
const bad = 2;

/** One value of a point in columns: `quality` is its place in good, uncertain, bad. */
interface Value {
  readonly index: number;
  readonly wallMs: number;
  readonly value: unknown;
  readonly quality: number;
}

/** Minutes of neighbours, by hour and row. */
type Rows = Map<number, Map<number, number[]>>;

/** The row a point belongs to, and its place in it. */
export function rowOf(index: number): number {
  return Math.floor(index / pointsPerRow);
}

export class Gathering {
  #size = 0;
  #capacity = 1024;
  #minutes = new Float64Array(this.#capacity);
  #indices = new Uint32Array(this.#capacity);
  #counts = new Uint32Array(this.#capacity);
  #bads = new Uint32Array(this.#capacity);
  #numbers = new Uint32Array(this.#capacity);
  #mins = new Float64Array(this.#capacity);
  #maxs = new Float64Array(this.#capacity);
  #means = new Float64Array(this.#capacity);
  #lastMs = new Float64Array(this.#capacity);
  #lastQualities = new Uint8Array(this.#capacity);
  readonly #lasts: unknown[] = [];
  /** The slot each point was last counted in. */
  readonly #current = new Map<number, number>();
  readonly #rows: Rows = new Map();
  readonly #max: number;

  constructor(max = slotsMax) {
    this.#max = max;
  }

  /** Minutes of points it holds. */
  get size(): number {
    return this.#size;
  }

  /** Whether another block of `count` values might be too much. */
  isFull(count: number): boolean {
    return this.#size > 0 && this.#size + count > this.#max;
  }

  /** Counts a value. Written without objects, because it is done for every value of every point. */
  add(index: number, wallMs: number, value: unknown, quality: number): void {
    const minute = Math.floor(wallMs / minuteMs);
    let slot = this.#current.get(index);
    if (slot === undefined || this.#minutes[slot] !== minute) {
      slot = this.#begin({ index, wallMs, value, quality }, minute);
    }
    this.#counts[slot] = (this.#counts[slot] ?? 0) + 1;
    if (wallMs >= (this.#lastMs[slot] ?? 0)) {
      this.#lastMs[slot] = wallMs;
      this.#lasts[slot] = value;
      this.#lastQualities[slot] = quality;
    }
    if (quality === bad) {
      this.#bads[slot] = (this.#bads[slot] ?? 0) + 1;
      return;
    }
    const number = typeof value === "number" ? value : numberOf(value);
    if (!Number.isFinite(number)) return;
    const numbers = (this.#numbers[slot] ?? 0) + 1;
    this.#numbers[slot] = numbers;
    if (numbers === 1) {
      this.#mins[slot] = number;
      this.#maxs[slot] = number;
      this.#means[slot] = number;
      return;
    }
    const mean = this.#means[slot] ?? 0;
    if (number < (this.#mins[slot] ?? 0)) this.#mins[slot] = number;
    if (number > (this.#maxs[slot] ?? 0)) this.#maxs[slot] = number;
    // By shares, so that numbers far apart have a mean.
    const apart = number - mean;
    this.#means[slot] = Number.isFinite(apart)
      ? mean + apart / numbers
      : mean * (1 - 1 / numbers) + number / numbers;
  }

  #begin({ index, wallMs, value, quality }: Value, minute: number): number {
    const slot = this.#size;
    if (slot === this.#capacity) this.#grow();
    this.#size += 1;
    this.#minutes[slot] = minute;
    this.#indices[slot] = index;
    this.#lastMs[slot] = wallMs;
    this.#lasts[slot] = value;
    this.#lastQualities[slot] = quality;
    this.#current.set(index, slot);
    const hour = Math.floor(wallMs / hourMs);
    let rows = this.#rows.get(hour);
    if (rows === undefined) {
      rows = new Map();
      this.#rows.set(hour, rows);
    }
    const slots = rows.get(rowOf(index));
    if (slots === undefined) rows.set(rowOf(index), [slot]);
    else slots.push(slot);
    return slot;
  }

  #grow(): void {
    const double = <T extends Float64Array | Uint32Array | Uint8Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    this.#capacity *= 2;
    const most = this.#capacity;
    this.#minutes = double(this.#minutes, new Float64Array(most));
    this.#indices = double(this.#indices, new Uint32Array(most));
    this.#counts = double(this.#counts, new Uint32Array(most));
    this.#bads = double(this.#bads, new Uint32Array(most));
    this.#numbers = double(this.#numbers, new Uint32Array(most));
    this.#mins = double(this.#mins, new Float64Array(most));
    this.#maxs = double(this.#maxs, new Float64Array(most));
    this.#means = double(this.#means, new Float64Array(most));
    this.#lastMs = double(this.#lastMs, new Float64Array(most));
    this.#lastQualities = double(this.#lastQualities, new Uint8Array(most));
  }

  /** Hours since 1970 that have something. */
  hours(): number[] {
    return [...this.#rows.keys()].sort((a, b) => a - b);
  }

  /** Rows of an hour that have something. */
  rows(hour: number): number[] {
    return [...(this.#rows.get(hour)?.keys() ?? [])].sort((a, b) => a - b);
  }

  /** The aggregates of one row, by place in it, each point's ordered by time. */
  row(hour: number, row: number): Map<number, Aggregate[]> {
    const found = new Map<number, Aggregate[]>();
    for (const slot of this.#slots(hour, row)) {
      const place = (this.#indices[slot] ?? 0) % pointsPerRow;
      const aggregates = found.get(place);
      const next = this.#aggregate(slot);
      if (aggregates === undefined) found.set(place, [next]);
      else joinLast(aggregates, next);
    }
    return found;
  }

  /** The aggregates of one point whose minutes begin in [fromMs, toMs), ordered by time. */
  of(index: number, fromMs: number, toMs: number): Aggregate[] {
    const found: Aggregate[] = [];
    const last = Math.ceil(toMs / hourMs);
    for (const hour of this.hours()) {
      if (hour < Math.floor(fromMs / hourMs) || hour >= last) continue;
      for (const slot of this.#slots(hour, rowOf(index))) {
        const startMs = (this.#minutes[slot] ?? 0) * minuteMs;
        if (this.#indices[slot] !== index || startMs < fromMs || startMs >= toMs) continue;
        joinLast(found, this.#aggregate(slot));
      }
    }
    return found;
  }

  /** Slots of a row ordered by point and minute; of one minute in the order they were begun. */
  #slots(hour: number, row: number): number[] {
    const slots = this.#rows.get(hour)?.get(row) ?? [];
    return slots.sort(
      (a, b) =>
        (this.#indices[a] ?? 0) - (this.#indices[b] ?? 0) ||
        (this.#minutes[a] ?? 0) - (this.#minutes[b] ?? 0) ||
        a - b,
    );
  }

  #aggregate(slot: number): Aggregate {
    const numbers = this.#numbers[slot] ?? 0;
    const aggregate: Aggregate = {
      startMs: (this.#minutes[slot] ?? 0) * minuteMs,
      count: this.#counts[slot] ?? 0,
      bad: this.#bads[slot] ?? 0,
      last: this.#lasts[slot],
      lastMs: this.#lastMs[slot] ?? 0,
      lastQuality: qualities[this.#lastQualities[slot] ?? bad] ?? "bad",
    };
    if (numbers === 0) return aggregate;
    aggregate.numbers = numbers;
    aggregate.min = this.#mins[slot] ?? 0;
    aggregate.max = this.#maxs[slot] ?? 0;
    aggregate.mean = Math.min(aggregate.max, Math.max(aggregate.min, this.#means[slot] ?? 0));
    return aggregate;
  }
}

/** Adds an aggregate to a row ordered by time; one of the same span is taken into it. */
function joinLast(aggregates: Aggregate[], next: Aggregate): void {
  const before = aggregates.at(-1);
  if (before?.startMs === next.startMs) merge(before, next, next.startMs);
  else aggregates.push(next);
}

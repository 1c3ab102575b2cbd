// Which points are due to go, soonest first: a heap with at most one living entry per point.
// Pure; it must not know points, records or the clock.

interface Entry {
  readonly due: number;
  readonly index: number;
}

/** Entries of points that are gone, which may stay in the heap. */
const spareEntries = 1024;

/** When points go, by index, in milliseconds of running time. */
export class Expiry {
  readonly #due = new Map<number, number>();
  /** The due of the entry that stands for a point in the heap. */
  readonly #queued = new Map<number, number>();
  readonly #heap: Entry[] = [];

  get count(): number {
    return this.#due.size;
  }

  dueOf(index: number): number | undefined {
    return this.#due.size === 0 ? undefined : this.#due.get(index);
  }

  /** Sets when a point goes. */
  set(index: number, due: number): void {
    this.#due.set(index, due);
    const queued = this.#queued.get(index);
    if (queued === undefined || due < queued) this.#queue(index, due);
  }

  /** The point is gone, or stays. */
  clear(index: number): void {
    if (this.#due.size > 0) this.#due.delete(index);
  }

  #queue(index: number, due: number): void {
    this.#queued.set(index, due);
    if (this.#heap.length > 2 * this.#due.size + spareEntries) this.#compact();
    this.#push({ due, index });
  }

  /** Takes out the entries of points that are gone. */
  #compact(): void {
    const living = this.#heap.filter(({ index, due }) => {
      const isLiving = this.#due.has(index) && this.#queued.get(index) === due;
      if (!isLiving && this.#queued.get(index) === due) this.#queued.delete(index);
      return isLiving;
    });
    this.#heap.length = 0;
    for (const entry of living) this.#push(entry);
  }

  /** When the next point may be due; Infinity when none is. */
  get nextDue(): number {
    return this.#heap[0]?.due ?? Number.POSITIVE_INFINITY;
  }

  /** Points that are due at `now`, at most `max`; they stay due until they are cleared. */
  takeDue(now: number, max: number): number[] {
    const found: number[] = [];
    while (found.length < max) {
      const top = this.#heap[0];
      if (top === undefined || top.due > now) break;
      this.#pop();
      if (this.#queued.get(top.index) !== top.due) continue;
      this.#queued.delete(top.index);
      const due = this.#due.get(top.index);
      if (due === undefined) continue;
      if (due <= now) found.push(top.index);
      else this.#queue(top.index, due);
    }
    return found;
  }

  /** Puts back what was taken, and could not go yet. */
  putBack(indices: readonly number[]): void {
    for (const index of indices) {
      const due = this.#due.get(index);
      if (due !== undefined && !this.#queued.has(index)) this.#queue(index, due);
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || above.due <= entry.due) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const [left, right] = [heap[child], heap[child + 1]];
      if (left === undefined) break;
      if (right !== undefined && right.due < left.due) child += 1;
      const least = heap[child];
      if (least === undefined || least.due >= last.due) break;
      heap[at] = least;
      at = child;
    }
    heap[at] = last;
  }
}

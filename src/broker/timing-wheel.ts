// When things are due: a ring of time slots, so that in, out and looking after what is due cost
// the same however much waits. It must not know what is due, nor read a clock.

/** What may be due once at a time. */
export interface Timed<T> {
  /** When it is due, monotonic; meaningful while `slot` is not negative. */
  wakeMs: number;
  slot: number;
  sooner: T | undefined;
  later: T | undefined;
}

/** Time of one slot, in milliseconds: what is due is noticed at most this much later. */
const slotMs = 25;
/** Slots of the ring; what is due further away is passed by until its round comes. */
const slots = 512;

/** The end of the slot of a time: when what is due then is surely noticed. */
export function slotEndMs(dueMs: number): number {
  return (Math.floor(dueMs / slotMs) + 1) * slotMs;
}

export class TimingWheel<T extends Timed<T>> {
  readonly #heads: (T | undefined)[] = Array.from({ length: slots }, () => undefined);
  /** Number of the last slot looked at. */
  #seen = 0;
  size = 0;

  /** Notes when an item is due; `Infinity` is never. */
  insert(item: T, dueMs: number): void {
    if (dueMs === Number.POSITIVE_INFINITY) return;
    const slot = Math.max(this.#seen, Math.floor(dueMs / slotMs)) % slots;
    const head = this.#heads[slot];
    item.wakeMs = dueMs;
    item.slot = slot;
    item.sooner = undefined;
    item.later = head;
    if (head !== undefined) head.sooner = item;
    this.#heads[slot] = item;
    this.size += 1;
  }

  /** Forgets an item; nothing happens where it is not noted. */
  remove(item: T): void {
    const { slot, sooner, later } = item;
    if (slot < 0) return;
    if (sooner === undefined) this.#heads[slot] = later;
    else sooner.later = later;
    if (later !== undefined) later.sooner = sooner;
    item.slot = -1;
    item.sooner = undefined;
    item.later = undefined;
    this.size -= 1;
  }

  /**
   * Forgets and returns what is due, the earliest first.
   * @param max so many at most; where it is as many, more may be due.
   */
  takeDue(nowMs: number, max = Number.POSITIVE_INFINITY): readonly T[] {
    const now = Math.floor(nowMs / slotMs);
    const due: T[] = [];
    let at = Math.max(this.#seen, now - slots + 1);
    for (; at <= now && this.size > 0 && due.length < max; at += 1) {
      let item = this.#heads[at % slots];
      while (item !== undefined && due.length < max) {
        const { later } = item;
        if (item.wakeMs <= nowMs) {
          this.remove(item);
          due.push(item);
        }
        item = later;
      }
    }
    this.#seen = Math.max(this.#seen, due.length < max ? now : at - 1);
    return due.length > 1 ? due.sort((a, b) => a.wakeMs - b.wakeMs) : due;
  }

  /** When to look next: the end of the first slot with anything in it, or after `longestMs`. */
  nextMs(nowMs: number, longestMs: number): number {
    const latestMs = nowMs + longestMs;
    if (this.size === 0) return latestMs;
    const now = Math.floor(nowMs / slotMs);
    for (let at = now; at * slotMs < latestMs && at < now + slots; at += 1) {
      if (this.#heads[at % slots] !== undefined) return Math.min(latestMs, (at + 1) * slotMs);
    }
    return latestMs;
  }
}

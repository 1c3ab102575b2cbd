// Requests that wait for a line: lanes by urgency, units in turn, bounded. Pure.
// It must not know ports or clocks.
import { type Exchange, type Lane, lanes } from "./exchange.ts";

/** One lane: what waits for each unit, the unit whose turn it is first. */
type Waiting<I> = Map<number, I[]>;

/** A queue of items that each hold an exchange. */
export class LaneQueue<I extends { readonly exchange: Exchange<unknown> }> {
  readonly #max: number;
  readonly #lanes = new Map<Lane, Waiting<I>>(lanes.map((lane) => [lane, new Map()]));
  #size = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds an item; false when the queue is full. People's requests have room beyond the bound. */
  push(item: I): boolean {
    const { lane, signature } = item.exchange;
    const max = lane === "write" ? this.#max * 2 : this.#max;
    if (this.#size >= max) return false;
    const waiting = this.#lanes.get(lane);
    if (waiting === undefined) return false;
    const items = waiting.get(signature.unit);
    if (items === undefined) waiting.set(signature.unit, [item]);
    else items.push(item);
    this.#size += 1;
    return true;
  }

  /**
   * Takes the next item that may go out. In the lane of writes nothing overtakes an earlier request
   * to the same unit; in the others a request that must wait lets later ones pass.
   */
  take(mayGo: (item: I) => boolean): I | undefined {
    for (const [lane, waiting] of this.#lanes) {
      for (const [unit, items] of waiting) {
        const at = lane === "write" ? firstOrNone(items, mayGo) : items.findIndex(mayGo);
        if (at < 0) continue;
        const [item] = items.splice(at, 1);
        waiting.delete(unit);
        if (items.length > 0) waiting.set(unit, items);
        this.#size -= 1;
        return item;
      }
    }
    return undefined;
  }

  /** Takes out all items for which `isOver` holds. */
  drain(isOver: (item: I) => boolean): I[] {
    const gone: I[] = [];
    for (const waiting of this.#lanes.values()) {
      for (const [unit, items] of [...waiting]) {
        const left = items.filter((item) => !isOver(item));
        if (left.length === items.length) continue;
        gone.push(...items.filter(isOver));
        if (left.length > 0) waiting.set(unit, left);
        else waiting.delete(unit);
      }
    }
    this.#size -= gone.length;
    return gone;
  }

  /** All waiting items. */
  *items(): Generator<I> {
    for (const waiting of this.#lanes.values()) {
      for (const items of waiting.values()) yield* items;
    }
  }
}

function firstOrNone<I>(items: readonly I[], mayGo: (item: I) => boolean): number {
  const [first] = items;
  return first !== undefined && mayGo(first) ? 0 : -1;
}

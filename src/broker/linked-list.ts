// Lists whose items carry their own links: in, out and turning over cost no search and no memory.
// It must not know what stands in line.

/** What may stand in one list at a time. */
export interface Linked<T> {
  before: T | undefined;
  after: T | undefined;
  isLinked: boolean;
}

export class LinkedList<T extends Linked<T>> {
  first: T | undefined = undefined;
  last: T | undefined = undefined;

  /** Puts an item that stands in no list at the end. */
  append(item: T): void {
    item.isLinked = true;
    item.before = this.last;
    item.after = undefined;
    if (this.last === undefined) this.first = item;
    else this.last.after = item;
    this.last = item;
  }

  /** Puts an item that stands in no list in front. */
  prepend(item: T): void {
    item.isLinked = true;
    item.after = this.first;
    item.before = undefined;
    if (this.first === undefined) this.last = item;
    else this.first.before = item;
    this.first = item;
  }

  /** Takes an item out; nothing happens where it stands in no list. */
  remove(item: T): void {
    if (!item.isLinked) return;
    const { before, after } = item;
    if (before === undefined) this.first = after;
    else before.after = after;
    if (after === undefined) this.last = before;
    else after.before = before;
    item.before = undefined;
    item.after = undefined;
    item.isLinked = false;
  }

  /** The items in order; the list may lose the item at hand meanwhile. */
  *[Symbol.iterator](): Generator<T> {
    let item = this.first;
    while (item !== undefined) {
      const { after } = item;
      yield item;
      item = after;
    }
  }
}

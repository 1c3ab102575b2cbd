// Which slot holds what has a hash: open addressing over small integers, without an object per entry.
// It must not know what is hashed.

const sizeMin = 1024;
/** 2^32 divided by the golden ratio: spreads neighbours. @see Knuth, TAOCP 3, 6.4 */
const spread = 0x9e3779b1;

/** A table of slots by hash; the owner keeps the hash of each slot, and compares. */
export class SlotTable {
  readonly #hashOf: (slot: number) => number;
  /** Slot + 1; 0 where there is none. */
  #cells = new Int32Array(sizeMin);
  #shift = 22;
  #count = 0;

  constructor(hashOf: (slot: number) => number) {
    this.#hashOf = hashOf;
  }

  /** The cell where a search for a hash begins. */
  cellOf(hash: number): number {
    return Math.imul(hash, spread) >>> this.#shift;
  }

  /** The cell after `cell`. */
  after(cell: number): number {
    return (cell + 1) & (this.#cells.length - 1);
  }

  /** The slot in a cell; -1 ends the search. */
  at(cell: number): number {
    return (this.#cells[cell] as number) - 1;
  }

  add(hash: number, slot: number): void {
    if ((this.#count + 1) * 2 > this.#cells.length) this.#rehash(this.#cells.length * 2);
    this.#put(hash, slot);
    this.#count += 1;
  }

  #put(hash: number, slot: number): void {
    const cells = this.#cells;
    const mask = cells.length - 1;
    let cell = this.cellOf(hash);
    while (cells[cell] !== 0) cell = (cell + 1) & mask;
    cells[cell] = slot + 1;
  }

  #rehash(size: number): void {
    const before = this.#cells;
    this.#cells = new Int32Array(size);
    this.#shift = 32 - Math.log2(size);
    for (const entry of before) if (entry !== 0) this.#put(this.#hashOf(entry - 1), entry - 1);
  }

  /** Takes a slot out; those that stand behind their place move up. */
  remove(hash: number, slot: number): void {
    const cells = this.#cells;
    const mask = cells.length - 1;
    let gap = this.cellOf(hash);
    while (cells[gap] !== slot + 1) {
      if (cells[gap] === 0) return;
      gap = (gap + 1) & mask;
    }
    this.#count -= 1;
    for (let next = (gap + 1) & mask; cells[next] !== 0; next = (next + 1) & mask) {
      const home = this.cellOf(this.#hashOf((cells[next] as number) - 1));
      if (((next - home) & mask) < ((next - gap) & mask)) continue;
      cells[gap] = cells[next] as number;
      gap = next;
    }
    cells[gap] = 0;
  }
}

// Bounds what all peers of a router together have sent and we have not read: beyond it nobody is
// read from but those whose portions are under way. It must not know what travels.
import type { Reader, Turns } from "./zmtp-turns.ts";

/** One whose reading can be stopped. */
export interface Gated {
  /** Stops reading what comes; false for one that is stopped already. */
  hold(): boolean;
  /** Reads on. */
  release(): void;
}

/** What one peer brings at once, at most. */
const chunkBytes = 65_536;
/** Of those that kept up so many are let in per turn, at most, while they bring little. */
const promptMax = 1024;

/** Those with nothing left to read come first, then the others, each in order. */
export class Gate implements Reader {
  readonly #bytesMax: number;
  readonly #turns: Turns;
  readonly #all: Iterable<Gated>;
  #unread = 0;
  #prompt: Gated[] = [];
  #tardy: Gated[] = [];
  #isShut = false;
  #isDue = false;
  /** How many of those that kept up were let in last, and what was unread then. */
  #batch = 0;
  #before = 0;

  /** @param all whoever may be reading at a time. */
  constructor(bytesMax: number, turns: Turns, all: Iterable<Gated>) {
    this.#bytesMax = bytesMax;
    this.#turns = turns;
    this.#all = all;
  }

  /** Bytes read from the kernel and not yet taken apart. */
  get unread(): number {
    return this.#unread;
  }

  /** What is not read of one peer has become more or less. */
  note(change: number): void {
    this.#unread += change;
    if (change > 0 && this.#unread > this.#bytesMax) this.#shut();
  }

  /** Whether one that has read all it had in hand must wait for its turn; `release` tells it. */
  mustWait(one: Gated): boolean {
    if (this.#isShut) this.#tardy.push(one);
    return this.#isShut;
  }

  #shut(): void {
    this.#isShut = true;
    for (const one of this.#all) if (one.hold()) this.#prompt.push(one);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#turns.addBacklog(this);
  }

  /** Lets in as many as there is room for. */
  serve(): void {
    this.#isDue = false;
    for (const one of this.#prompt.splice(0, this.#nextBatch())) one.release();
    if (this.#prompt.length === 0) {
      const room = this.#bytesMax / 2 - this.#unread;
      const count = Math.max(this.#unread === 0 ? 1 : 0, Math.floor(room / chunkBytes));
      for (const one of this.#tardy.splice(0, count)) one.release();
    }
    this.#isShut = this.#prompt.length > 0 || this.#tardy.length > 0;
    if (this.#isShut) this.#schedule();
  }

  /** As many as there is room for if each brings a whole chunk; twice as many if none did. */
  #nextBatch(): number {
    const room = Math.floor((this.#bytesMax * 0.75 - this.#unread) / chunkBytes);
    const isQuiet = this.#unread <= this.#before;
    this.#before = this.#unread;
    this.#batch = room < 1 ? 0 : Math.max(room, isQuiet ? 2 * this.#batch : 0);
    this.#batch = Math.min(promptMax, Math.max(this.#batch, this.#unread === 0 ? 1 : 0));
    return this.#batch;
  }
}

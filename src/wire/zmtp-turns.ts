// Shares the event loop among the connections of a socket: each reads a bounded amount in a turn,
// and what was put for a peer in a turn is written at its end. It must not know what travels.

/** What a connection may spend on reading in one turn: about 64 small messages, or 500 KiB. */
export const turnBudget = 512;

/**
 * From so many peers on, writing waits for so many turns more: a write costs more than what it
 * writes, and each peer gets more by one.
 */
const crowdMin = 16;
const heldMax = 3;

/** One who takes part. */
export interface Turning {
  /** Reads one more portion of what it has received already. */
  serve(): void;
  /** Writes what waits. */
  flush(): void;
}

export class Turns {
  /** Counts turns; one passes for each round of the event loop while there is work. */
  count = 0;
  readonly #onDefect: (error: unknown) => void;
  #backlog: Turning[] = [];
  #dirty: Turning[] = [];
  #isDue = false;
  /** Turns since something was written. */
  #held = 0;

  /** @param onDefect is told what `serve` or `flush` threw. */
  constructor(onDefect: (error: unknown) => void) {
    this.#onDefect = onDefect;
  }

  /** Makes sure that the turn ends. */
  schedule(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(this.#end);
  }

  /** Asks for `serve` in the next turn; at most one request at a time. */
  addBacklog(one: Turning): void {
    this.#backlog.push(one);
    this.schedule();
  }

  /** Asks for `flush` at the end of this turn; at most one request at a time. */
  addDirty(one: Turning): void {
    this.#dirty.push(one);
    this.schedule();
  }

  readonly #end = (): void => {
    this.#isDue = false;
    this.count += 1;
    try {
      const backlog = this.#backlog;
      if (backlog.length > 0) {
        this.#backlog = [];
        for (const one of backlog) one.serve();
      }
      if (this.#dirty.length >= crowdMin && this.#held < heldMax) {
        this.#held += 1;
        this.schedule();
        return;
      }
      this.#held = 0;
      const dirty = this.#dirty;
      this.#dirty = [];
      for (const one of dirty) one.flush();
    } catch (error) {
      this.#onDefect(error);
    }
  };
}

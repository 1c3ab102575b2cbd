// Shares the event loop among the connections of a socket: each reads a bounded amount in a turn,
// and what was put for a peer in a turn is written at its end. It must not know what travels.
import type { Clock } from "../util/clock.ts";

/**
 * What may be spent on reading in one turn: by one connection, about 64 small messages or 500 KiB;
 * by all of them together, so that a turn is short however many flood; by each of a group that
 * has spent its part; and by one of very many, which is a message.
 */
const budgets = { one: 512, all: 8192, late: 64, least: 8 } as const;

/** Connections that share what they may spend, such as those of one principal. */
export class Readers {
  #part: number = budgets.all;
  #share: number = budgets.one;
  #spent = 0;
  /** How many read in this turn. */
  count = 0;

  /** What one of them may spend in this turn. */
  get budget(): number {
    return this.#spent < this.#part ? this.#share : Math.min(this.#share, budgets.late);
  }

  /** Notes what one of them spent, and whether it is its first time in this turn. */
  spend(cost: number, isFirst: boolean): void {
    this.#spent += cost;
    if (isFirst) this.count += 1;
  }

  /** A turn begins, in which they may spend this much together. */
  begin(part: number): void {
    this.#part = part;
    const share = Math.floor(part / Math.max(1, this.count));
    this.#share = Math.min(budgets.one, Math.max(budgets.least, share));
    this.#spent = 0;
    this.count = 0;
  }
}

/**
 * Writing costs more than what is written. So where this many peers wait to be written to, those
 * with little wait for more of it, while each turn brings some and not longer than `heldMs`.
 */
const crowdMin = 16;
const heldMs = 2;
/** Turns in a row that brought nothing end the waiting. */
const quietMax = 2;
/** From so many bytes on, waiting for more gains nothing. */
const enoughBytes = 1024;

/** One who takes part by reading. */
export interface Reader {
  /** Reads one more portion of what it has received already. */
  serve(): void;
}

/** One who takes part by writing. */
export interface Writer {
  /** Bytes that wait to be written. */
  readonly fresh: number;
  /** Writes what waits. */
  flush(): void;
}

export interface TurnsDeps {
  readonly clock: Clock;
  /** Told what `serve` or `flush` threw. */
  readonly onDefect: (error: unknown) => void;
  /** Calls once the event loop has been round; `setImmediate` when absent. */
  readonly soon?: (act: () => void) => unknown;
}

export class Turns {
  /** Counts turns; one passes for each round of the event loop while there is work. */
  count = 0;
  readonly #groups: Readers[] = [];
  readonly #deps: TurnsDeps;
  readonly #soon: (act: () => void) => unknown;
  #backlog: Reader[] = [];
  #dirty: Writer[] = [];
  #isDue = false;
  /** Something happened since the last turn ended. */
  #isNews = false;
  /** Turns in a row in which nothing did. */
  #quiet = 0;
  /** Since when a crowd waits; nothing when none does. */
  #heldFromMs: number | undefined;

  constructor(deps: TurnsDeps) {
    this.#deps = deps;
    this.#soon = deps.soon ?? setImmediate;
  }

  /** A group of connections: each group that reads has an equal part of a turn. */
  newGroup(): Readers {
    const group = new Readers();
    this.#groups.push(group);
    return group;
  }

  /** Makes sure that the turn ends. */
  schedule(): void {
    this.#isNews = true;
    if (this.#isDue) return;
    this.#isDue = true;
    this.#soon(this.#end);
  }

  /** Asks for `serve` in the next turn; at most one request at a time. */
  addBacklog(one: Reader): void {
    this.#backlog.push(one);
    this.schedule();
  }

  /** Asks for `flush` at the end of this turn; at most one request at a time. */
  addDirty(one: Writer): void {
    this.#dirty.push(one);
    this.schedule();
  }

  readonly #end = (): void => {
    this.#isDue = false;
    this.count += 1;
    this.#beginReading();
    try {
      const backlog = this.#backlog;
      if (backlog.length > 0) {
        this.#backlog = [];
        for (const one of backlog) one.serve();
      }
      const isHeld = this.#mustHold(this.#dirty.length);
      this.#write(isHeld ? enoughBytes : 0);
      if (!isHeld) return;
      this.schedule();
      this.#isNews = false;
    } catch (error) {
      this.#deps.onDefect(error);
    }
  };

  /** Lets those write with so much to write or more; the others wait, ahead of whoever comes. */
  #write(bytesMin: number): void {
    const dirty = this.#dirty;
    const { length } = dirty;
    let waiting = 0;
    let done = 0;
    try {
      while (done < length) {
        const one = dirty[done];
        done += 1;
        if (one === undefined || one.fresh >= bytesMin) one?.flush();
        else {
          dirty[waiting] = one;
          waiting += 1;
        }
      }
    } finally {
      if (waiting < done) dirty.copyWithin(waiting, done).length -= done - waiting;
    }
  }

  #beginReading(): void {
    let active = 0;
    for (const { count } of this.#groups) if (count > 0) active += 1;
    const part = budgets.all / Math.max(1, active);
    for (const group of this.#groups) group.begin(part);
  }

  /** Whether a crowd of this size waits on. */
  #mustHold(size: number): boolean {
    this.#quiet = this.#isNews ? 0 : this.#quiet + 1;
    this.#isNews = false;
    if (size >= crowdMin && this.#quiet < quietMax) {
      const nowMs = this.#deps.clock.monotonicMs();
      this.#heldFromMs ??= nowMs;
      if (nowMs - this.#heldFromMs < heldMs) return true;
    }
    this.#heldFromMs = undefined;
    return false;
  }
}

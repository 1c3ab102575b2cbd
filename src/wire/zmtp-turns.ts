// Shares the event loop among the connections of a socket: each reads a bounded amount in a turn,
// and what was put for a peer in a turn is written at its end. It must not know what travels.
import type { Clock } from "../util/clock.ts";

/** What a connection may spend on reading in one turn: about 64 small messages, or 500 KiB. */
export const turnBudget = 512;

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

/** One who takes part. */
export interface Turning {
  /** Bytes that wait to be written. */
  readonly fresh: number;
  /** Reads one more portion of what it has received already. */
  serve(): void;
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
  readonly #deps: TurnsDeps;
  readonly #soon: (act: () => void) => unknown;
  #backlog: Turning[] = [];
  #dirty: Turning[] = [];
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

  /** Makes sure that the turn ends. */
  schedule(): void {
    this.#isNews = true;
    if (this.#isDue) return;
    this.#isDue = true;
    this.#soon(this.#end);
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
      const dirty = this.#dirty;
      this.#dirty = [];
      const isHeld = this.#mustHold(dirty.length);
      for (const one of dirty) {
        if (isHeld && one.fresh < enoughBytes) this.#dirty.push(one);
        else one.flush();
      }
      if (!isHeld) return;
      this.schedule();
      this.#isNews = false;
    } catch (error) {
      this.#deps.onDefect(error);
    }
  };

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

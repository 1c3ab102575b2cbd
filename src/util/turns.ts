// Turns of the event loop for long answers that many ask for at once: one piece of work per turn, in
// the order they were asked for, so that what is short is never behind more than one of them.
// It must not know the work.
import { turn } from "./slices.ts";

export class Turns {
  #last: Promise<void> = Promise.resolve();

  /** Resolves in a turn of the loop that nobody else who asked has. */
  next(): Promise<void> {
    this.#last = this.#last.then(turn);
    return this.#last;
  }
}

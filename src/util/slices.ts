// Long work in slices, so that others have their turn between them. It must not know the work.
import type { Clock } from "./clock.ts";

/** Steps after which a slice ends where the clock stands still. */
const stepsMax = 256;

/** Another turn of the event loop: what waits for one has it first. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Counts steps of long work, and says when it is others' turn. */
export class Slices {
  readonly #clock: Clock;
  readonly #sliceMs: number;
  #fromMs: number;
  #steps = 0;

  /** @param sliceMs how long the work may go on before others have their turn. */
  constructor(clock: Clock, sliceMs: number) {
    this.#clock = clock;
    this.#sliceMs = sliceMs;
    this.#fromMs = clock.monotonicMs();
  }

  /** Counts one step. @returns whether it is others' turn. */
  isOver(): boolean {
    this.#steps += 1;
    return this.#steps >= stepsMax || this.#clock.monotonicMs() - this.#fromMs >= this.#sliceMs;
  }

  /** Resolves when others have had their turn. */
  async next(): Promise<void> {
    await turn();
    this.#fromMs = this.#clock.monotonicMs();
    this.#steps = 0;
  }
}

/** A function to await between small steps of long work: now and then it lets the loop turn. */
export function inSlices(clock: Clock, sliceMs = 5): () => Promise<void> | undefined {
  const slices = new Slices(clock, sliceMs);
  return () => (slices.isOver() ? slices.next() : undefined);
}

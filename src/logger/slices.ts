// Long work in slices, so that others have their turn in between. It must not know the work.
import type { Clock } from "../util/clock.ts";

/** Longest slice: a third of what others may be kept waiting. */
const sliceMs = 1.5;
/** Items between two looks at the clock. */
const lookEvery = 8;

export class Slices {
  readonly #clock: Clock;
  #fromMs: number;
  #items = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#fromMs = clock.monotonicMs();
  }

  /** Counts one item of the work. @returns whether it is others' turn. */
  isOver(): boolean {
    this.#items += 1;
    if (this.#items % lookEvery !== 0) return false;
    return this.#clock.monotonicMs() - this.#fromMs >= sliceMs;
  }

  /** Resolves when others have had their turn. */
  async next(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#fromMs = this.#clock.monotonicMs();
  }
}

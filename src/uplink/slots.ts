// A bounded number of places, and a bounded queue before them.
// It must not know who takes a place.

interface Waiter {
  readonly take: () => void;
  readonly refuse: (error: Error) => void;
}

/** Places that are taken and given back. */
export interface Slots {
  /**
   * Takes a place, or waits for one in turn.
   * @throws the error of `full` when too many wait; the error given to `close`.
   */
  take(full: () => Error): Promise<void>;
  /** Gives a place back. */
  give(): void;
  /** Changes how many places there are. */
  resize(count: number): void;
  /** Refuses everybody who waits. */
  close(error: Error): void;
  readonly taken: number;
  readonly count: number;
}

/** Opens `count` places with room for `waitingMax` before them. */
export function openSlots(count: number, waitingMax: number): Slots {
  const waiting: Waiter[] = [];
  let taken = 0;
  let places = count;
  const admit = () => {
    while (taken < places) {
      const next = waiting.shift();
      if (next === undefined) return;
      taken += 1;
      next.take();
    }
  };
  return {
    get taken() {
      return taken;
    },
    get count() {
      return places;
    },
    take: (full) =>
      new Promise((take, refuse) => {
        if (waiting.length >= waitingMax) refuse(full());
        else {
          waiting.push({ take, refuse });
          admit();
        }
      }),
    give() {
      taken = Math.max(0, taken - 1);
      admit();
    },
    resize(next) {
      places = next;
      admit();
    },
    close(error) {
      for (const { refuse } of waiting.splice(0)) refuse(error);
    },
  };
}

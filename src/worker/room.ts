// Room for long answers: few are made at one time, and none while enough waits for the broker, so
// that what is on its way stays bounded, whoever asks. It must not know what answers hold.
import { turn } from "../util/slices.ts";

/** Long answers and parts made at one time. */
const makersMax = 4;

export class Room {
  readonly #isOpen: () => boolean;
  /** Those who wait, in the order they came. */
  readonly #waiting = new Set<() => void>();
  #making = 0;
  /** Somebody was let in, in this turn of the loop. */
  #isTaken = false;

  /** @param isOpen whether little enough waits for the broker. */
  constructor(isOpen: () => boolean) {
    this.#isOpen = isOpen;
  }

  /**
   * Resolves when it is this one's turn to make an answer: at most one in each turn of the loop,
   * in the order they came. Its place is kept until it is disposed of.
   * @throws the reason of `signal`, once it aborted.
   */
  enter(signal: AbortSignal): Promise<Disposable> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const leave = () => {
        this.#waiting.delete(admit);
        reject(signal.reason);
      };
      const admit = () => {
        signal.removeEventListener("abort", leave);
        resolve(this.#place());
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.add(admit);
      this.look();
    });
  }

  /** Lets in who is next, where there is room. */
  look(): void {
    if (this.#isTaken || this.#making >= makersMax || !this.#isOpen()) return;
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next);
    this.#making += 1;
    this.#isTaken = true;
    next();
    void turn().then(() => {
      this.#isTaken = false;
      this.look();
    });
  }

  #place(): Disposable {
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#making -= 1;
        this.look();
      },
    };
  }
}

/** Room without end, for an operation that is called without a worker. */
export async function endlessRoom(): Promise<Disposable> {
  return { [Symbol.dispose]() {} };
}

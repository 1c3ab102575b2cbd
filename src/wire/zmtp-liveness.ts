// When a silent peer is asked and when it counts as lost: its own time to live, and our PINGs.
// It must not know sockets or clocks.

/** Unanswered PINGs after which a peer is lost. */
const pingsMax = 2;

/** Watches one peer; all times are monotonic, in milliseconds. */
export class Liveness {
  readonly #pingMs: number;
  #heardMs: number;
  #ttlMs = Number.POSITIVE_INFINITY;
  #askMs: number;
  #pings = 0;
  #isDoubted = false;

  /** @param pingMs silence after which it is asked; Infinity for one who is never asked. */
  constructor(pingMs: number, nowMs: number) {
    this.#pingMs = pingMs;
    this.#heardMs = nowMs;
    this.#askMs = nowMs + pingMs;
  }

  /** The next time at which `look` has something to say. */
  get nextMs(): number {
    if (this.#isDoubted) return this.#heardMs;
    return Math.min(this.#askMs, this.#heardMs + this.#ttlMs);
  }

  /** Something came from the peer. */
  hear(nowMs: number): void {
    this.#heardMs = nowMs;
    this.#askMs = nowMs + this.#pingMs;
    this.#pings = 0;
    this.#isDoubted = false;
  }

  /** The peer wants to be given up after so much silence; 0 for never. */
  live(ttlMs: number): void {
    this.#ttlMs = ttlMs === 0 ? Number.POSITIVE_INFINITY : ttlMs;
  }

  /**
   * What is to be done. A peer is lost at the second look only: the first one may be late, with
   * what the peer said still unread.
   */
  look(nowMs: number): "well" | "ask" | "lost" {
    const isSilent = nowMs >= this.#heardMs + this.#ttlMs;
    const isDue = nowMs >= this.#askMs;
    if (isSilent || (isDue && this.#pings >= pingsMax)) {
      if (this.#isDoubted) return "lost";
      this.#isDoubted = true;
      return "well";
    }
    if (!isDue) return "well";
    this.#pings += 1;
    this.#askMs = nowMs + this.#pingMs;
    return "ask";
  }
}

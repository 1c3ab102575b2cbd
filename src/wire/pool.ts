// What all peers of a router share, of both its halves where it has two: places for connections,
// and room for what waits to be sent. It must not know transports.

/** Bytes that wait to be sent to all peers, when nothing else is said. */
const sendBytesTotalMaxDefault = 67_108_864;

/** A peer for which something waits. */
export interface Holder {
  /** Bytes that wait for it. */
  readonly bytes: number;
  /** Sends what can be sent at once, and closes the peer where nothing can. */
  relieve(): void;
}

/** Counts what is taken of it; who takes also asks. */
export class Pool {
  /** Connections that stand or shake hands. */
  connections = 0;
  /** Bytes that wait to be sent. */
  unsent = 0;
  readonly #unsentMax: number;
  readonly #largest: (() => Holder | undefined)[] = [];

  constructor(unsentMax: number = sendBytesTotalMaxDefault) {
    this.#unsentMax = unsentMax;
  }

  /** @param largest the peer for which most waits, of those of one socket. */
  join(largest: () => Holder | undefined): void {
    this.#largest.push(largest);
  }

  get isOverfull(): boolean {
    return this.unsent > this.#unsentMax;
  }

  /** Whoever left most unread goes, one after the other, until there is room again. */
  relieve(): void {
    while (this.isOverfull) {
      const before = this.unsent;
      let most: Holder | undefined;
      for (const largest of this.#largest) {
        const one = largest();
        if (one !== undefined && one.bytes > (most?.bytes ?? 0)) most = one;
      }
      most?.relieve();
      if (this.unsent >= before) return;
    }
  }
}

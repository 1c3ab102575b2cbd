// What all peers of a router share, of both its halves where it has two: places for connections,
// and room for what waits to be sent. It must not know transports.
import { descriptorsLeft } from "./descriptors.ts";

/** Bytes that wait to be sent to all peers, when nothing else is said. */
const sendBytesTotalMaxDefault = 67_108_864;

/** A peer for which something waits. */
export interface Holder {
  /** Bytes that wait for it. */
  readonly bytes: number;
  /** Sends what can be sent at once, and closes the peer where nothing can. */
  relieve(): void;
}

/** Whoever comes in by a listener. */
interface Owner {
  readonly principal: string;
}

/** Part of the places that is set aside, in equal parts, for principals that have a listener. */
const reserved = 0.5;

/** Places for connections: nobody takes what is set aside for other principals. */
export class Places {
  /** Connections that stand or shake hands. */
  taken = 0;
  readonly #max: number;
  readonly #reserve: number;
  readonly #takenBy = new Map<string, number>();

  constructor(max: number, listeners: readonly Owner[]) {
    this.#max = max;
    for (const { principal } of listeners) this.#takenBy.set(principal, 0);
    const { size } = this.#takenBy;
    this.#reserve = size > 1 ? Math.floor((reserved * max) / size) : 0;
  }

  /** Whether a principal may have so many more. */
  hasRoom(principal: string, more = 1): boolean {
    const wanted = this.taken + more;
    if (wanted > this.#max) return false;
    if ((this.#takenBy.get(principal) ?? 0) + more <= this.#reserve) return true;
    let kept = 0;
    for (const [other, taken] of this.#takenBy) {
      if (other !== principal) kept += Math.max(0, this.#reserve - taken);
    }
    return wanted + kept <= this.#max;
  }

  /** Notes that a principal has more of them, or fewer. */
  note(principal: string, change: number): void {
    this.taken += change;
    this.#takenBy.set(principal, (this.#takenBy.get(principal) ?? 0) + change);
  }
}

/** Descriptors left for listeners, files and what else the process opens. */
const descriptorsSpare = 64;

/** Places for the connections of a router: as many as it may have, and the process can. */
export function newPlaces({
  connectionsMax,
  listeners,
}: {
  readonly connectionsMax: number;
  readonly listeners: readonly Owner[];
}): Places {
  const left = descriptorsLeft() - descriptorsSpare - listeners.length;
  return new Places(Math.max(1, Math.min(connectionsMax, left)), listeners);
}

/** The one that holds most of those of the principal that holds most together. */
export function largestOf<T extends { readonly listener: Owner | undefined }>(
  all: Iterable<T>,
  sizeOf: (one: T) => number,
): T | undefined {
  const sums = new Map<string | undefined, { size: number; largest: T; most: number }>();
  let fullest: { size: number; largest: T; most: number } | undefined;
  for (const one of all) {
    const size = sizeOf(one);
    if (size <= 0) continue;
    const principal = one.listener?.principal;
    let sum = sums.get(principal);
    if (sum === undefined) {
      sum = { size: 0, largest: one, most: 0 };
      sums.set(principal, sum);
    }
    sum.size += size;
    if (size > sum.most) {
      sum.most = size;
      sum.largest = one;
    }
    if (sum.size > (fullest?.size ?? 0)) fullest = sum;
  }
  return fullest?.largest;
}

/** Counts what is taken of it; who takes also asks. */
export class Pool {
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

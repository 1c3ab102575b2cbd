// What waits for the peers of one libzmq router, and how it goes out: in order, within bounds, and
// again after a full pipe. It must not know who may come in, or what travels.
import type { Clock } from "../util/clock.ts";
import { asError } from "../util/running.ts";
import type { WatchedRouter } from "./libzmq.ts";
import { bytesOf } from "./message-size.ts";
import type { Pool } from "./pool.ts";
import type { Frames, Peer, WireLimits } from "./socket.ts";
import type { Tally } from "./tally.ts";
import { WaitingLine } from "./waiting-line.ts";

/** Time between two tries to send to a peer whose pipe was full. */
const retryMs = 2;

/** A peer of a router, as what is sent to it needs it. */
export interface Addressee {
  readonly peer: Peer;
  /** Its routing id. */
  readonly id: Buffer;
  readonly socket: WatchedRouter;
  line: WaitingLine | undefined;
  isPumping: boolean;
  isSlow: boolean;
  /** Closed by us: libzmq cannot end one connection, so what it says is not heard. */
  isShut: boolean;
}

/** What a router of this kind of peers is told. */
export interface OutgoingRim<A extends Addressee> {
  readonly onSlow: (peer: Peer) => void;
  readonly onDrained: (peer: Peer) => void;
  /** libzmq does not know the peer any more. */
  readonly onLost: (addressee: A) => void;
  /** What ends the router. */
  readonly onDefect: (error: Error) => void;
}

/** What goes out by one router. */
export class Outgoing<A extends Addressee> {
  readonly #clock: Clock;
  readonly #counters: Tally;
  readonly #pool: Pool;
  readonly #limits: WireLimits;
  readonly #rim: OutgoingRim<A>;
  readonly #blocked = new Set<A>();
  #isRetrying = false;
  #isFinishing = false;

  constructor(
    base: { readonly clock: Clock; readonly counters: Tally; readonly pool: Pool },
    limits: WireLimits,
    rim: OutgoingRim<A>,
  ) {
    this.#clock = base.clock;
    this.#counters = base.counters;
    this.#pool = base.pool;
    this.#limits = limits;
    this.#rim = rim;
  }

  /** Queues a message; one that finds no room is dropped and counted. */
  send(to: A, frames: Frames): void {
    to.line ??= this.#newLine();
    if (!to.line.push(frames, bytesOf(frames))) {
      this.#counters.dropped += 1;
      return;
    }
    if (this.#pool.isOverfull) this.#pool.relieve();
    if (!to.isSlow && to.line.isLong) {
      to.isSlow = true;
      this.#rim.onSlow(to.peer);
    }
    if (!to.isPumping && !this.#blocked.has(to)) void this.#pump(to);
  }

  /** Drops what waits for a peer that is gone. */
  forget(to: A): void {
    this.#blocked.delete(to);
    this.#counters.dropped += to.line?.clear() ?? 0;
  }

  /** Lets what waits for these peers go out, no longer than told, and drops the rest. */
  async finish(all: ReadonlyMap<Peer, A>, lingerMs: number): Promise<void> {
    this.#isFinishing = true;
    const endMs = this.#clock.monotonicMs() + lingerMs;
    while ([...all.values()].some(({ line }) => line !== undefined && line.length > 0)) {
      if (this.#clock.monotonicMs() >= endMs) break;
      await this.#clock.sleep(retryMs);
    }
    for (const to of all.values()) this.forget(to);
  }

  #newLine(): WaitingLine {
    const { sendQueueMax: messagesMax, sendBytesMax: bytesMax } = this.#limits;
    return new WaitingLine({ messagesMax, bytesMax, pool: this.#pool });
  }

  /** Sends what waits for a peer, in order, until its pipe is full or nothing waits. */
  async #pump(to: A): Promise<void> {
    const { socket } = to;
    to.isPumping = true;
    for (;;) {
      const first = to.line?.first;
      if (first === undefined || socket.closed) break;
      let failure: unknown;
      await socket.send([to.id, ...first] as Buffer[]).catch((error: unknown) => {
        failure = error;
      });
      if (failure !== undefined) {
        this.#fail(to, failure);
        break;
      }
      this.#sent(to);
    }
    to.isPumping = false;
  }

  #sent(to: A): void {
    const { line } = to;
    if (line === undefined || line.length === 0) return;
    this.#counters.messagesOut += 1;
    this.#counters.bytesOut += line.shift();
    if (to.isSlow && line.isShort) {
      to.isSlow = false;
      if (!to.isShut && !this.#isFinishing) this.#rim.onDrained(to.peer);
    }
  }

  #fail(to: A, failure: unknown): void {
    const { code } = failure as NodeJS.ErrnoException;
    if (code === "EAGAIN") {
      this.#blocked.add(to);
      if (!this.#isRetrying) void this.#retry();
    } else if (code === "EHOSTUNREACH") {
      this.#rim.onLost(to);
    } else if (!to.socket.closed) {
      this.#rim.onDefect(asError(failure));
    }
  }

  /** libzmq does not tell when one peer reads again, so those that did not are tried now and then. */
  async #retry(): Promise<void> {
    this.#isRetrying = true;
    while (this.#blocked.size > 0) {
      await this.#clock.sleep(retryMs);
      for (const to of [...this.#blocked]) {
        this.#blocked.delete(to);
        if (!to.isPumping) void this.#pump(to);
      }
    }
    this.#isRetrying = false;
  }
}

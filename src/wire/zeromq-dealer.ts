// A dealer on libzmq: one peer, one connection, a bounded queue. It must not know what travels.
import { asError, within } from "../util/running.ts";
import { checkEndpoint, unusable } from "./endpoint.ts";
import { type Dealer, lingerMs, openDealer, receiveAll, reconnectCeilingMs } from "./libzmq.ts";
import { bytesOf, refusalOf } from "./message-size.ts";
import { Pool } from "./pool.ts";
import type { DealerOptions, DealerSocket, Frames, WireDeps } from "./socket.ts";
import { newTally, type Tally } from "./tally.ts";
import { WaitingLine } from "./waiting-line.ts";

/** Time between two looks whether what waits may go out before the end. */
const waitMs = 5;

/**
 * Starts to connect. Nothing is given to libzmq before the connection stands, so that a connection
 * refused for good can be tried again without a loss.
 * @throws PlantError ENDPOINT_UNUSABLE for an address or keys that cannot be any.
 */
export function connectDealer(deps: WireDeps, options: DealerOptions): DealerSocket {
  checkEndpoint(options.endpoint);
  let socket: Dealer | undefined;
  try {
    socket = openDealer(options, options.curve);
    const dealer = new ZeromqDealer(deps, options, socket);
    socket.connect(options.endpoint);
    return dealer;
  } catch (error) {
    socket?.close();
    throw unusable(options.endpoint, String(error), error);
  }
}

class ZeromqDealer implements DealerSocket {
  readonly counters: Tally = newTally();
  readonly ended: Promise<Error | undefined>;
  readonly #end: (error: Error | undefined) => void;
  readonly #deps: WireDeps;
  readonly #options: DealerOptions;
  readonly #socket: Dealer;
  readonly #line: WaitingLine;
  readonly #received: Promise<Error | undefined>;
  readonly #closing = new AbortController();
  #stage: "new" | "up" | "over" = "new";
  #pumping: Promise<void> | undefined;
  #isFull = false;

  constructor(deps: WireDeps, options: DealerOptions, socket: Dealer) {
    this.#deps = deps;
    this.#options = options;
    this.#socket = socket;
    const { sendQueueMax: messagesMax, sendBytesMax: bytesMax } = options;
    const pool = new Pool(Number.POSITIVE_INFINITY);
    this.#line = new WaitingLine({ messagesMax, bytesMax, pool });
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    this.ended = promise;
    this.#end = resolve;
    socket.events.on("handshake", () => this.#guard(() => this.#rise()));
    socket.events.on("disconnect", () => this.#guard(() => this.#fall()));
    socket.events.on("handshake:error:auth", () => this.#refused("key"));
    socket.events.on("handshake:error:protocol", () => this.#refused("handshake"));
    this.#received = receiveAll(socket, (frames) => this.#guard(() => this.#take(frames)));
    void this.#received.then((error) => {
      if (error !== undefined) this.#fail(error);
    });
  }

  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** A receiver that throws is a defect: it is told nothing more. */
  #fail(error: unknown): void {
    this.#end(asError(error));
    this.#stage = "over";
    this.counters.dropped += this.#line.clear();
    if (!this.#socket.closed) this.#socket.close();
  }

  send(frames: Frames): boolean {
    const size = bytesOf(frames);
    const { counters } = this;
    if (this.#stage !== "over" && !this.#closing.signal.aborted) {
      if (this.#stage === "up" && this.#pumping === undefined && this.#socket.writable) {
        this.#count(size);
        this.#socket.send(frames as Buffer[]).catch(() => {
          counters.dropped += 1; // the connection broke between the look and the send
        });
        return true;
      }
      if (this.#line.push(frames, size)) {
        this.#pump();
        return true;
      }
    }
    counters.dropped += 1;
    this.#isFull = true;
    return false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort();
      const until = this.#deps.clock.monotonicMs() + lingerMs;
      while (this.#line.length > 0 && this.#stage !== "over") {
        const leftMs = until - this.#deps.clock.monotonicMs();
        if (leftMs <= 0) break;
        await (this.#pumping === undefined
          ? this.#deps.clock.sleep(Math.min(waitMs, leftMs))
          : within(this.#deps.clock, leftMs, this.#pumping));
      }
      this.counters.dropped += this.#line.clear();
      if (this.#stage === "up" && !this.#socket.closed) this.#socket.linger = lingerMs;
      this.#stage = "over";
      if (!this.#socket.closed) this.#socket.close();
    }
    await this.#received;
    this.#end(undefined);
  }

  #rise(): void {
    if (this.#stage !== "new") return;
    this.#stage = "up";
    this.counters.connections = 1;
    this.counters.accepted += 1;
    this.#pump();
    if (!this.#closing.signal.aborted) this.#options.onUp();
  }

  #fall(): void {
    if (this.#stage !== "up") return;
    this.#stage = "over";
    this.counters.connections = 0;
    this.counters.dropped += this.#line.clear();
    if (!this.#closing.signal.aborted) this.#options.onDown();
  }

  /** libzmq gives up for good where it was refused for good; whoever refused may learn better. */
  #refused(why: "key" | "handshake"): void {
    this.counters.refused[why] += 1;
    void this.#deps.clock.sleep(reconnectCeilingMs, this.#closing.signal).then(() => {
      if (this.#stage !== "new" || this.#socket.closed) return;
      const { endpoint } = this.#options;
      try {
        this.#socket.disconnect(endpoint);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
      this.#socket.connect(endpoint);
    });
  }

  #take(frames: Frames): void {
    if (this.#stage === "over" || this.#closing.signal.aborted) return;
    const size = bytesOf(frames);
    const refusal = refusalOf(frames, size, this.#options);
    if (refusal !== undefined) {
      this.counters.refused[refusal] += 1;
      return;
    }
    this.counters.messagesIn += 1;
    this.counters.bytesIn += size;
    this.#options.onMessage(frames);
  }

  #count(size: number): void {
    this.counters.messagesOut += 1;
    this.counters.bytesOut += size;
  }

  #pump(): void {
    if (this.#pumping !== undefined || this.#stage !== "up" || this.#line.length === 0) return;
    this.#pumping = this.#drain().finally(() => {
      this.#pumping = undefined;
    });
  }

  /** Sends what waits, one at a time, as room appears; sends pend only while this runs. */
  async #drain(): Promise<void> {
    const socket = this.#socket;
    socket.sendTimeout = -1;
    for (;;) {
      const { first } = this.#line;
      if (first === undefined || socket.closed) break;
      const isSent = await socket.send(first as Buffer[]).then(
        () => true,
        () => false, // closed while it waited
      );
      if (this.#line.length > 0) {
        const size = this.#line.shift();
        if (isSent) this.#count(size);
        else this.counters.dropped += 1;
      }
      if (this.#isFull && this.#line.isShort && !this.#closing.signal.aborted) {
        this.#isFull = false;
        this.#guard(() => this.#options.onDrained?.());
      }
    }
    if (!socket.closed) socket.sendTimeout = 0;
  }
}

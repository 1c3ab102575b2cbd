// A DEALER on unix sockets: tries to connect until a connection stood once, and keeps what is sent
// before that. It must not know what travels, or who tries again after a loss.
import { connect, type Socket } from "node:net";
import { backoffMs } from "../util/backoff.ts";
import type { Clock } from "../util/clock.ts";
import { type Deadlines, watchDeadlines } from "../util/deadlines.ts";
import { asError, within } from "../util/running.ts";
import { checkEndpoint } from "./endpoint.ts";
import { Pool } from "./pool.ts";
import type { DealerOptions, DealerSocket, Frames, WireDeps } from "./socket.ts";
import { newTally } from "./tally.ts";
import { wireBytes } from "./zmtp-codec.ts";
import { Connection, lingerMs } from "./zmtp-connection.ts";
import { Gate } from "./zmtp-gate.ts";
import type { ConnectionHost } from "./zmtp-host.ts";
import { fits, Outbox } from "./zmtp-outbox.ts";
import { Turns } from "./zmtp-turns.ts";

/** Waits between attempts to connect. */
const attempts = { baseMs: 20, ceilingMs: 1000 };

/** @throws PlantError ENDPOINT_UNUSABLE for an address that cannot be one. */
export function connectZmtpDealer(deps: WireDeps, options: DealerOptions): DealerSocket {
  checkEndpoint(options.endpoint);
  const dealer = new ZmtpDealer(deps, options);
  dealer.attempt();
  return dealer;
}

class ZmtpDealer implements DealerSocket, ConnectionHost<Connection> {
  readonly type = "DEALER";
  readonly limits: DealerOptions;
  readonly clock: Clock;
  readonly tally = newTally();
  readonly turns: Turns;
  readonly pool = new Pool(Number.POSITIVE_INFINITY);
  readonly gate: Gate;
  readonly ended: Promise<Error | undefined>;
  readonly #end: (error: Error | undefined) => void;
  readonly #deps: WireDeps;
  readonly #outbox = new Outbox(this.pool);
  readonly #stop = new AbortController();
  readonly #deadlines: Deadlines;
  #stage: "new" | "up" | "over" = "new";
  #isClosing = false;
  #wantsRoom = false;
  #failures = 0;
  /** The attempt under way, until it is connected. */
  #socket: Socket | undefined;
  #connection: Connection | undefined;
  #closed: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  constructor(deps: WireDeps, options: DealerOptions) {
    this.limits = options;
    this.clock = deps.clock;
    this.turns = new Turns({ clock: deps.clock, onDefect: (error) => this.onDefect(error) });
    this.gate = new Gate(Number.POSITIVE_INFINITY, this.turns, []);
    this.#deps = deps;
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    this.ended = promise;
    this.#end = resolve;
    this.#deadlines = watchDeadlines(deps.clock, (nowMs) => this.#expire(nowMs));
  }

  #expire(nowMs: number): number {
    try {
      return this.#connection?.expire(nowMs) ?? Number.POSITIVE_INFINITY;
    } catch (error) {
      this.onDefect(error);
      return Number.POSITIVE_INFINITY;
    }
  }

  get counters() {
    return this.tally;
  }

  attempt(): void {
    const path = this.limits.endpoint.slice("ipc://".length);
    const socket = connect({ path, allowHalfOpen: true });
    this.#socket = socket;
    const fail = () => this.#retry();
    socket.on("error", () => {}); // refused, missing, no room: all the same, and "close" follows
    socket.once("close", fail);
    socket.once("connect", () => {
      socket.off("close", fail);
      this.#socket = undefined;
      const readers = this.turns.newGroup(); // the only one: a dealer connects once
      const given = { listener: undefined, outbox: this.#outbox, readers, gate: this.gate };
      this.#connection = new Connection(this, socket, given);
    });
  }

  #retry(): void {
    this.#socket = undefined;
    this.#connection = undefined;
    if (this.#stage !== "new" || this.#stop.signal.aborted) {
      this.#onIdle?.();
      return;
    }
    const waitMs = backoffMs(attempts, this.#failures, this.#deps.random.unit());
    this.#failures += 1;
    void this.clock.sleep(waitMs, this.#stop.signal).then(() => {
      if (this.#stop.signal.aborted) this.#onIdle?.();
      else this.attempt();
    });
  }

  send(frames: Frames): boolean {
    const isTaken = !this.#isClosing && this.#stage !== "over" && this.#put(frames);
    if (isTaken) return true;
    this.tally.dropped += 1;
    this.#wantsRoom = true;
    return false;
  }

  #put(frames: Frames): boolean {
    if (this.#stage === "up") return this.#connection?.send(frames) ?? false;
    const size = wireBytes(frames);
    if (frames.length === 0 || !fits(this.#outbox, size, this.limits)) return false;
    this.#outbox.put(frames, size);
    return true;
  }

  watch(_: Connection, atMs: number): void {
    this.#deadlines.watch(atMs);
  }

  onOpen(connection: Connection): void {
    this.#stage = "up";
    this.tally.accepted += 1;
    this.tally.connections += 1;
    if (this.#isClosing) connection.finish();
    else this.limits.onUp();
  }

  onMessage(_: Connection, frames: Frames): void {
    this.limits.onMessage(frames);
  }

  onSlow(): void {}

  onDrained(): void {
    if (!this.#wantsRoom || this.#isClosing) return;
    this.#wantsRoom = false;
    this.limits.onDrained?.();
  }

  onHeld(): void {}

  onOver(): void {
    if (this.#stage !== "up") return;
    this.#stage = "over";
    if (!this.#isClosing) this.limits.onDown();
  }

  onClosed(): void {
    this.tally.connections = 0;
    this.#retry();
  }

  /** A receiver that throws is a defect: it is told nothing more. */
  onDefect(error: unknown): void {
    this.#end(asError(error));
    this.#stage = "over";
    this.#stop.abort();
    this.#socket?.destroy();
    this.#connection?.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#isClosing = true;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    const hasWork = this.#stage === "new" && this.#outbox.messages > 0;
    if (this.#stage === "up") this.#connection?.finish();
    if (hasWork || this.#stage === "up") await within(this.clock, lingerMs, idle);
    const isIdle = this.#stage !== "new" && this.#connection === undefined;
    this.#stop.abort();
    this.#socket?.destroy();
    this.#connection?.destroy();
    if (!isIdle) await idle;
    this.#stage = "over";
    this.tally.dropped += this.#outbox.drop();
    this.#deadlines.stop();
    this.#end(undefined);
  }
}

// A ROUTER on unix sockets. Every connection is a peer of its own name, whatever it calls itself.
// It must not know what travels.
import { createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../util/clock.ts";
import { type Deadlines, watchDeadlines } from "../util/deadlines.ts";
import { asError, within } from "../util/running.ts";
import { openToGroup, prepareEndpoint, unusable } from "./endpoint.ts";
import { type Holder, largestOf, newPlaces, type Places, Pool } from "./pool.ts";
import type {
  Frames,
  Listener,
  Peer,
  RouterOptions,
  RouterSocket,
  WireDeps,
  WireRefusal,
} from "./socket.ts";
import { newTally } from "./tally.ts";
import { Connection, lingerMs } from "./zmtp-connection.ts";
import { Gate } from "./zmtp-gate.ts";
import type { ConnectionHost } from "./zmtp-host.ts";
import { Outbox } from "./zmtp-outbox.ts";
import { type Readers, Turns } from "./zmtp-turns.ts";

/** Connections the kernel keeps until we take them; it may allow fewer (net.core.somaxconn). */
const backlogMax = 4096;
/** What is received of all peers and not handed over, when nothing else is said. */
const receiveBytesTotalMaxDefault = 33_554_432;
/** What the peers of one principal may leave unread in any case, unless all may leave less. */
const gateBytesMin = 1_048_576;
/** Deadlines are looked at in steps of this. */
const stepMs = 50;

/** @throws PlantError ENDPOINT_UNUSABLE; nothing stays open then. */
export async function bindZmtpRouter(
  deps: WireDeps,
  options: RouterOptions,
): Promise<RouterSocket> {
  const router = new ZmtpRouter(deps, options);
  try {
    for (const listener of options.listeners) await router.listen(listener);
  } catch (error) {
    await router[Symbol.asyncDispose]();
    throw error;
  }
  router.begin();
  return router;
}

/** What the connections of one principal share. */
interface Party {
  readonly readers: Readers;
  readonly gate: Gate;
  readonly connections: Set<Connection>;
}

class ZmtpRouter implements RouterSocket, ConnectionHost<Connection> {
  readonly type = "ROUTER";
  readonly limits: RouterOptions;
  readonly clock: Clock;
  readonly tally = newTally();
  readonly turns: Turns;
  readonly pool: Pool;
  readonly #places: Places;
  /** By principal: one that floods shuts its own gate. */
  readonly parties = new Map<string, Party>();
  readonly #gateBytes: number;
  readonly listeners: Listener[] = [];
  readonly ended: Promise<Error | undefined>;
  readonly #end: (error: Error | undefined) => void;
  readonly #servers: Server[] = [];
  readonly #peers = new Map<Peer, Connection>();
  readonly #connections = new Set<Connection>();
  readonly #timed = new Set<Connection>();
  readonly #deadlines: Deadlines;
  /** Connections that came before all listeners stood. */
  #early: (() => void)[] | undefined = [];
  #names = 0;
  #held = 0;
  readonly #heldMax: number;
  #isClosing = false;
  #closed: Promise<void> | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(deps: WireDeps, options: RouterOptions) {
    this.limits = options;
    this.clock = deps.clock;
    this.turns = new Turns({ clock: deps.clock, onDefect: (error) => this.onDefect(error) });
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    this.ended = promise;
    this.#end = resolve;
    this.#places = options.places ?? newPlaces(options);
    this.pool = options.pool ?? new Pool(options.sendBytesTotalMax);
    this.pool.join(() => this.#largest());
    const receiveMax = options.receiveBytesTotalMax ?? receiveBytesTotalMaxDefault;
    this.#heldMax = Math.max(receiveMax, options.messageBytesMax);
    const principals = new Set(options.listeners.map(({ principal }) => principal));
    this.#gateBytes = Math.max(
      receiveMax / 4 / principals.size,
      Math.min(receiveMax / 4, gateBytesMin),
    );
    this.#deadlines = watchDeadlines(deps.clock, (nowMs) => this.#expire(nowMs));
  }

  get counters() {
    return this.tally;
  }

  async listen(listener: Listener): Promise<void> {
    const { endpoint } = listener;
    await prepareEndpoint(endpoint);
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) =>
      this.#meet(socket, listener),
    );
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => {
        reject(unusable(endpoint, error.code ?? String(error), error));
      });
      const path = endpoint.slice("ipc://".length);
      server.listen({ path, backlog: backlogMax }, resolve);
    });
    server.removeAllListeners("error");
    // No descriptor left: the kernel's queue was emptied of one, and the others go on.
    server.on("error", () => this.#refuse("connections", listener));
    openToGroup(endpoint);
    this.listeners.push(listener);
  }

  /** Whoever came early is let in once the caller has the socket. */
  begin(): void {
    setImmediate(() => {
      const early = this.#early ?? [];
      this.#early = undefined;
      for (const meet of early) meet();
    });
  }

  #meet(socket: Socket, listener: Listener): void {
    if (this.#isClosing) {
      socket.destroy();
    } else if (!this.#places.hasRoom(listener.principal)) {
      socket.destroy();
      this.#refuse("connections", listener);
    } else if (this.#early !== undefined) {
      this.#early.push(() => this.#meet(socket, listener));
    } else {
      const outbox = new Outbox(this.pool);
      const { readers, gate, connections } = this.#partyOf(listener);
      const connection = new Connection(this, socket, { listener, outbox, readers, gate });
      this.#connections.add(connection);
      connections.add(connection);
      this.#places.note(listener.principal, 1);
      socket.resume();
    }
  }

  /** Those of one principal share their turns, and what may be left unread. */
  #partyOf({ principal }: Listener): Party {
    let party = this.parties.get(principal);
    if (party === undefined) {
      const connections = new Set<Connection>();
      const gate = new Gate(this.#gateBytes, this.turns, connections);
      party = { readers: this.turns.newGroup(), gate, connections };
      this.parties.set(principal, party);
    }
    return party;
  }

  #refuse(refusal: WireRefusal, listener: Listener): void {
    this.tally.refused[refusal] += 1;
    try {
      this.limits.onRefused(refusal, listener, undefined);
    } catch (error) {
      this.onDefect(error);
    }
  }

  send(peer: Peer, frames: Frames): void {
    const connection = this.#peers.get(peer);
    if (connection === undefined || !connection.send(frames)) this.tally.dropped += 1;
  }

  pause(peer: Peer): boolean {
    const connection = this.#peers.get(peer);
    connection?.pause();
    return connection !== undefined;
  }

  resume(peer: Peer): void {
    this.#peers.get(peer)?.resume();
  }

  close(peer: Peer): void {
    const connection = this.#peers.get(peer);
    if (connection === undefined) return;
    this.#forget(peer);
    connection.finish();
  }

  watch(connection: Connection, atMs: number): void {
    this.#timed.add(connection);
    this.#deadlines.watch(Math.ceil(atMs / stepMs) * stepMs);
  }

  #expire(nowMs: number): number {
    let next = Number.POSITIVE_INFINITY;
    try {
      for (const connection of this.#timed) {
        const dueMs = connection.expire(nowMs);
        if (dueMs === Number.POSITIVE_INFINITY) this.#timed.delete(connection);
        else next = Math.min(next, dueMs);
      }
    } catch (error) {
      this.onDefect(error);
    }
    return Math.ceil(next / stepMs) * stepMs;
  }

  onOpen(connection: Connection): void {
    this.#names += 1;
    connection.peer = `z${this.#names}`;
    this.#peers.set(connection.peer, connection);
    this.tally.accepted += 1;
    this.tally.connections = this.#peers.size;
  }

  #forget(peer: Peer): void {
    this.#peers.delete(peer);
    this.tally.connections = this.#peers.size;
  }

  onMessage({ peer, listener }: Connection, frames: Frames): void {
    if (peer !== undefined && listener !== undefined) {
      this.limits.onMessage(peer, frames, listener);
    }
  }

  onSlow({ peer }: Connection): void {
    if (peer !== undefined) this.limits.onSlow(peer);
  }

  onDrained({ peer }: Connection): void {
    if (peer !== undefined) this.limits.onDrained(peer);
  }

  onHeld(_: Connection, change: number): void {
    this.#held += change;
    if (change <= 0 || this.#held <= this.#heldMax) return;
    largestOf(this.#connections, (one) => (one.isOver ? 0 : one.held))?.refuse("memory");
  }

  #largest(): Holder | undefined {
    return largestOf(this.#connections, (one) => one.bytes);
  }

  onOver({ peer, listener }: Connection, refusal: WireRefusal | undefined): void {
    if (peer !== undefined) this.#forget(peer);
    if (this.#isClosing || listener === undefined) return;
    if (refusal !== undefined) this.limits.onRefused(refusal, listener, peer);
    if (peer !== undefined) this.limits.onGone(peer);
  }

  onClosed(connection: Connection): void {
    if (connection.peer !== undefined) this.#forget(connection.peer);
    this.#timed.delete(connection);
    if (this.#connections.delete(connection)) {
      const principal = connection.listener?.principal ?? "";
      this.parties.get(principal)?.connections.delete(connection);
      this.#places.note(principal, -1);
    }
    if (this.#connections.size === 0) this.#onEmpty?.();
  }

  onDefect(error: unknown): void {
    this.#end(asError(error));
    this.#isClosing = true;
    for (const server of this.#servers) server.close();
    for (const connection of this.#connections) connection.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#isClosing = true;
    for (const server of this.#servers) server.close();
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      if (this.#connections.size === 0) resolve();
    });
    for (const connection of this.#connections) connection.finish();
    await within(this.clock, lingerMs, empty);
    for (const connection of this.#connections) connection.destroy();
    await empty;
    this.#deadlines.stop();
    this.#end(undefined);
  }
}

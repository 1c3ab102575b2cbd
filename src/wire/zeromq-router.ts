// A router on libzmq. Each listener is a ROUTER of its own, because libzmq does not tell by which
// address a message came. It must not know what travels.
import { asError } from "../util/running.ts";
import { isCurveKey } from "./curve-keys.ts";
import { untilFree, unusable } from "./endpoint.ts";
import { Context, lingerMs, openDoor, receiveAll } from "./libzmq.ts";
import { bytesOf, refusalOf } from "./message-size.ts";
import { type Holder, newPlaces, type Places, Pool } from "./pool.ts";
import type {
  Frames,
  Listener,
  Peer,
  RouterOptions,
  RouterSocket,
  WireDeps,
  WireRefusal,
} from "./socket.ts";
import { newTally, type Tally } from "./tally.ts";
import { answerKnock, type Room, type Verdict } from "./zap.ts";
import { Outgoing } from "./zeromq-outgoing.ts";
import { type Link, type Port, Ports, waitingMax } from "./zeromq-ports.ts";

/** Listeners of one router: each has a thread-safe socket and a monitor in a context of 1,023. */
const listenersMax = 256;
/** Bytes of a message that nobody guesses. */
const farewellBytes = 32;

const refusals: Readonly<Record<Exclude<Verdict, "let in">, WireRefusal>> = {
  "no room": "connections",
  crowded: "connections",
  "wrong key": "key",
  "not understood": "handshake",
};

/** @throws PlantError ENDPOINT_UNUSABLE; nothing stays open then. */
export async function bindRouter(deps: WireDeps, options: RouterOptions): Promise<RouterSocket> {
  checkListeners(options);
  const router = new ZeromqRouter(deps, options);
  try {
    await router.open();
    return router;
  } catch (error) {
    router.abandon();
    throw error;
  }
}

/** @throws PlantError ENDPOINT_UNUSABLE for keys that are none, or that have no lock. */
function checkListeners({ listeners, curve }: RouterOptions): void {
  if (listeners.length > listenersMax) {
    throw unusable("broker", `more than ${listenersMax} listeners`);
  }
  for (const { endpoint, keys = [] } of listeners) {
    if (keys.length === 0) continue;
    if (!endpoint.startsWith("tcp://")) throw unusable(endpoint, "keys are for tcp alone");
    if (curve === undefined) throw unusable(endpoint, "it has keys, but the router has none");
    if (!keys.every(isCurveKey)) throw unusable(endpoint, "a key is not 40 characters of Z85");
  }
}

class ZeromqRouter implements RouterSocket {
  readonly counters: Tally = newTally();
  readonly ended: Promise<Error | undefined>;
  readonly #deps: WireDeps;
  readonly #options: RouterOptions;
  readonly #pool: Pool;
  readonly #places: Places;
  readonly #context = new Context({ blocky: false });
  /** Nobody but libzmq can say this: it is drawn anew for each router and never sent. */
  readonly #farewell: Buffer;
  readonly #ports: Ports;
  readonly #links = new Map<Peer, Link>();
  readonly #outgoing: Outgoing<Link>;
  readonly #loops: Promise<Error | undefined>[] = [];
  readonly #closing = new AbortController();
  readonly #end: (error: Error | undefined) => void;
  #door: Awaited<ReturnType<typeof openDoor>> | undefined;
  #closed: Promise<void> | undefined;
  #named = 0;

  constructor(deps: WireDeps, options: RouterOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#farewell = Buffer.from(deps.random.bytes(farewellBytes));
    this.#places = options.places ?? newPlaces(options);
    this.#pool = options.pool ?? new Pool(options.sendBytesTotalMax);
    this.#pool.join(() => this.#largest());
    this.#ports = new Ports(deps.clock, options, {
      context: this.#context,
      farewell: this.#farewell,
      places: this.#places,
      counters: this.counters,
      closing: this.#closing.signal,
      refuse: (why, listener) => this.#refuse(why, listener, undefined),
      onEmptied: (port) => {
        for (const link of [...port.links.values()]) this.#part(link);
      },
    });
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    this.ended = promise;
    this.#end = resolve;
    this.#outgoing = new Outgoing(
      { clock: deps.clock, counters: this.counters, pool: this.#pool },
      options,
      {
        onSlow: options.onSlow,
        onDrained: options.onDrained,
        onLost: (link) => this.#part(link),
        onDefect: resolve,
      },
    );
  }

  get listeners(): readonly Listener[] {
    return this.#ports.all.map((port) => port.listener);
  }

  async open(): Promise<void> {
    this.#door = await openDoor(this.#context);
    this.#watch(receiveAll(this.#door, (frames) => this.#answer(frames)));
    await this.#ports.open();
    setImmediate(() => {
      // What came early waits in libzmq until the caller has the socket.
      for (const port of this.#ports.all) {
        this.#watch(receiveAll(port.socket, (frames) => this.#take(port, frames)));
      }
    });
  }

  /** Closes what a failed start left open. */
  abandon(): void {
    this.#closing.abort();
    for (const { socket } of this.#ports.all) socket.close();
    this.#door?.close();
  }

  send(peer: Peer, frames: Frames): void {
    const link = this.#links.get(peer);
    if (link === undefined || link.isShut || this.#closing.signal.aborted) {
      this.counters.dropped += 1;
      return;
    }
    this.#outgoing.send(link, frames);
  }

  #largest(): Holder | undefined {
    let largest: Link | undefined;
    for (const link of this.#links.values()) {
      if ((link.line?.bytes ?? 0) > (largest?.line?.bytes ?? 0)) largest = link;
    }
    if (largest === undefined) return undefined;
    const { line } = largest;
    return { bytes: line?.bytes ?? 0, relieve: () => this.#giveUp(largest) };
  }

  /** libzmq cannot end one connection: the peer gets nothing more and is not heard any more. */
  #giveUp(link: Link): void {
    this.#outgoing.forget(link);
    if (link.isShut) return;
    link.isShut = true;
    this.#refuse("memory", link.port.listener, link.peer);
    if (!this.#closing.signal.aborted) this.#options.onGone(link.peer);
  }

  pause(): boolean {
    return false;
  }

  resume(): void {}

  close(peer: Peer): void {
    const link = this.#links.get(peer);
    if (link !== undefined) link.isShut = true;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  #watch(loop: Promise<Error | undefined>): void {
    this.#loops.push(loop);
    void loop.then((error) => {
      if (error !== undefined) this.#end(error);
    });
  }

  #refuse(why: WireRefusal, listener: Listener, peer: Peer | undefined): void {
    this.counters.refused[why] += 1;
    if (!this.#closing.signal.aborted) this.#options.onRefused(why, listener, peer);
  }

  /** Says who may come in. The one that knocks is among the connections counted already. */
  #answer(frames: Frames): void {
    const listeners = this.#options.listeners;
    const { listener, verdict, reply } = answerKnock(frames, listeners, (one) => this.#room(one));
    this.#door?.send(reply as Buffer[]).catch((error: unknown) => this.#end(asError(error)));
    const port = this.#ports.all[listener];
    if (verdict !== "let in" && port !== undefined) {
      this.#refuse(refusals[verdict], port.listener, undefined);
    }
  }

  #room({ principal }: Listener): Room {
    const places = this.#places;
    if (places.hasRoom(principal, 0) && !this.#closing.signal.aborted) return "some";
    return places.hasRoom(principal, -waitingMax) ? "none" : "crowded";
  }

  #take(port: Port, received: Frames): void {
    const [id, ...frames] = received;
    if (id === undefined || this.#closing.signal.aborted) return;
    const key = (id as Buffer).toString("latin1");
    const known = port.links.get(key);
    const [first] = frames;
    if (frames.length === 1 && first?.length === farewellBytes && this.#farewell.equals(first)) {
      port.quietEnds -= 1;
      if (known !== undefined) this.#part(known);
      return;
    }
    const link = known ?? this.#meet(port, id as Buffer, key);
    if (link.isShut) return;
    const size = bytesOf(frames);
    const refusal = refusalOf(frames, size, this.#options);
    if (refusal !== undefined) {
      this.#refuse(refusal, port.listener, link.peer);
      return;
    }
    this.counters.messagesIn += 1;
    this.counters.bytesIn += size;
    this.#options.onMessage(link.peer, frames, port.listener);
  }

  #meet(port: Port, id: Buffer, key: string): Link {
    this.#named += 1;
    const peer = `z${this.#named}`;
    const state = { line: undefined, isPumping: false, isSlow: false, isShut: false };
    const link: Link = { peer, id: Buffer.from(id), socket: port.socket, port, key, ...state };
    port.links.set(key, link);
    this.#links.set(peer, link);
    return link;
  }

  #part(link: Link): void {
    link.port.links.delete(link.key);
    this.#links.delete(link.peer);
    this.#outgoing.forget(link);
    if (!link.isShut && !this.#closing.signal.aborted) this.#options.onGone(link.peer);
  }

  async #close(): Promise<void> {
    const { clock } = this.#deps;
    this.#closing.abort();
    await this.#outgoing.finish(this.#links, lingerMs);
    for (const { socket } of this.#ports.all) {
      socket.linger = lingerMs; // libzmq goes on to send what it holds
      socket.close();
    }
    this.#door?.close();
    await Promise.all(this.#loops);
    // Whoever binds the address next finds it free.
    await Promise.all(this.listeners.map(({ endpoint }) => untilFree(clock, endpoint, lingerMs)));
    this.#end(undefined);
  }
}

// A router on libzmq. Each listener is a ROUTER of its own, because libzmq does not tell by which
// address a message came. It must not know what travels.
import { asError } from "../util/running.ts";
import { isCurveKey } from "./curve-keys.ts";
import { descriptorsLeft } from "./descriptors.ts";
import { openToGroup, prepareEndpoint, untilFree, unusable } from "./endpoint.ts";
import { Context, lingerMs, openDoor, receiveAll, WatchedRouter } from "./libzmq.ts";
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
import { type Addressee, Outgoing } from "./zeromq-outgoing.ts";

/** Listeners of one router: each has a thread-safe socket and a monitor in a context of 1,023. */
const listenersMax = 256;
/** Time between two tries to listen again. */
const listenAgainMs = 100;
/** Time in which libzmq tells of a lost connection by both its ways. */
const settleMs = 250;
/** Descriptors left for files and what else the process opens. */
const descriptorsSpare = 64;
/**
 * Connections libzmq may take before we see the first of them: its queue of unseen events, twice
 * 1,000, with one event per connection at least.
 */
const unseenMax = 2000;
/** Connections that may wait for their refusal beyond those that stand; more are closed at once. */
const waitingMax = 64;
/** Connections, beyond both, that may be shaking hands. */
const shakingMax = 1024;
/** Bytes of a message that nobody guesses. */
const farewellBytes = 32;

/** A peer that has a name, and where it is. */
interface Link extends Addressee {
  readonly port: Port;
  /** Its routing id as the key of its port. */
  readonly key: string;
}

const noEnds = { open: 0, quietEnds: 0, isSettling: false };

/** One listener and its socket. */
interface Port {
  readonly listener: Listener;
  readonly socket: WatchedRouter;
  readonly links: Map<string, Link>;
  isListening: boolean;
  /** Connections, standing or shaking hands; and as many as were counted last. */
  open: number;
  counted: number;
  /** Ends of connections for which libzmq named no cause, and no peer was told gone. */
  quietEnds: number;
  isSettling: boolean;
}

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
  readonly #ports: Port[] = [];
  readonly #links = new Map<Peer, Link>();
  readonly #outgoing: Outgoing<Link>;
  readonly #loops: Promise<Error | undefined>[] = [];
  readonly #closing = new AbortController();
  readonly #end: (error: Error | undefined) => void;
  #door: Awaited<ReturnType<typeof openDoor>> | undefined;
  #closed: Promise<void> | undefined;
  #isListeningAgain = false;
  #named = 0;
  /** Connections, standing or shaking hands, at which a listener is emptied. */
  #openMax = Number.POSITIVE_INFINITY;

  constructor(deps: WireDeps, options: RouterOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#farewell = Buffer.from(deps.random.bytes(farewellBytes));
    this.#places = options.places ?? newPlaces(options);
    this.#pool = options.pool ?? new Pool(options.sendBytesTotalMax);
    this.#pool.join(() => this.#largest());
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
    return this.#ports.map((port) => port.listener);
  }

  async open(): Promise<void> {
    const { listeners } = this.#options;
    this.#door = await openDoor(this.#context);
    this.#watch(receiveAll(this.#door, (frames) => this.#answer(frames)));
    for (const listener of listeners) await this.#listen(listener);
    this.#openMax = openMaxOf(this.#options);
    setImmediate(() => {
      // What came early waits in libzmq until the caller has the socket.
      for (const port of this.#ports) {
        this.#watch(receiveAll(port.socket, (frames) => this.#take(port, frames)));
      }
    });
  }

  /** Closes what a failed start left open. */
  abandon(): void {
    this.#closing.abort();
    for (const { socket } of this.#ports) socket.close();
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

  async #listen(wanted: Listener): Promise<void> {
    const { endpoint, keys = [] } = wanted;
    await prepareEndpoint(endpoint);
    const socket = new WatchedRouter({
      context: this.#context,
      limits: this.#options,
      domain: String(this.#ports.length),
      curveSecretKey: keys.length === 0 ? undefined : this.#options.curve?.secretKey,
      farewell: this.#farewell,
    });
    try {
      await socket.bind(endpoint);
      openToGroup(endpoint);
    } catch (error) {
      socket.close();
      throw unusable(endpoint, (error as NodeJS.ErrnoException).code ?? String(error), error);
    }
    const listener = { ...wanted, endpoint: socket.lastEndpoint ?? endpoint };
    const port: Port = {
      listener,
      socket,
      links: new Map(),
      isListening: true,
      counted: 0,
      ...noEnds,
    };
    this.#ports.push(port);
    this.#watchEvents(port);
  }

  #watch(loop: Promise<Error | undefined>): void {
    this.#loops.push(loop);
    void loop.then((error) => {
      if (error !== undefined) this.#end(error);
    });
  }

  #watchEvents(port: Port): void {
    const { socket, listener } = port;
    const refuse = (why: WireRefusal) => this.#refuse(why, listener, undefined);
    socket.events.on("accept", () => {
      port.open += 1;
      this.#recount();
    });
    socket.events.on("disconnect", () => {
      port.open = Math.max(0, port.open - 1);
      port.quietEnds += 1;
      this.#recount();
      if (!port.isSettling) void this.#settle(port);
    });
    socket.events.on("handshake", () => {
      this.counters.accepted += 1;
    });
    socket.events.on("accept:error", () => this.#shed());
    socket.events.on("handshake:error:auth", () => {
      port.quietEnds -= 1; // counted when it was refused
    });
    socket.events.on("handshake:error:protocol", ({ error }) => {
      port.quietEnds -= 1;
      if (error.code === "ERR_ZMTP_MECHANISM_MISMATCH") refuse("greeting");
      else refuse(/KEY_EXCHANGE|CRYPTOGRAPHIC/.test(error.code) ? "key" : "handshake");
    });
    socket.events.on("handshake:error:other", () => {
      port.quietEnds -= 1;
      refuse("handshake");
    });
  }

  /**
   * Counts those libzmq let go of without a word: an old version, a mechanism or a socket type that
   * is not ours, an identity somebody else has.
   */
  async #settle(port: Port): Promise<void> {
    port.isSettling = true;
    await this.#deps.clock.sleep(settleMs, this.#closing.signal);
    port.isSettling = false;
    for (; port.quietEnds > 0; port.quietEnds -= 1) {
      this.#refuse("greeting", port.listener, undefined);
    }
  }

  /** libzmq tells of connections only by such events: those that shake hands count as well. */
  #recount(): void {
    let open = 0;
    for (const port of this.#ports) {
      open += port.open;
      this.#places.note(port.listener.principal, port.open - port.counted);
      port.counted = port.open;
    }
    this.counters.connections = open;
    if (open >= this.#openMax) this.#shed();
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
    const port = this.#ports[listener];
    if (verdict !== "let in" && port !== undefined) {
      this.#refuse(refusals[verdict], port.listener, undefined);
    }
  }

  #room({ principal }: Listener): Room {
    const places = this.#places;
    if (places.hasRoom(principal, 0) && !this.#closing.signal.aborted) return "some";
    return places.hasRoom(principal, -waitingMax) ? "none" : "crowded";
  }

  /**
   * The last resort, for peers that connect and say nothing: beyond the descriptors of this process
   * libzmq would end it (ipc) or turn in circles (tcp). It cannot end one connection nor stop to
   * listen without ending all that came by the listener, so the fullest one is emptied; its
   * peers are gone, and those that mean it come back.
   */
  #shed(): void {
    if (this.#closing.signal.aborted) return;
    const [port] = this.#ports.filter((one) => one.isListening).sort((a, b) => b.open - a.open);
    if (port === undefined) return;
    port.isListening = false;
    port.socket.unlisten(port.listener.endpoint);
    Object.assign(port, noEnds);
    this.#refuse("connections", port.listener, undefined);
    for (const link of [...port.links.values()]) this.#part(link);
    this.#recount();
    if (!this.#isListeningAgain) void this.#listenAgain();
  }

  async #listenAgain(): Promise<void> {
    this.#isListeningAgain = true;
    const { clock } = this.#deps;
    while (this.#ports.some((port) => !port.isListening)) {
      await clock.sleep(listenAgainMs, this.#closing.signal);
      if (this.#closing.signal.aborted) return;
      if (descriptorsLeft() < descriptorsSpare) continue;
      for (const port of this.#ports) {
        if (port.isListening) continue;
        Object.assign(port, noEnds); // what was told of meanwhile has ended with the others
        bindAnew(port);
      }
      this.#recount();
    }
    this.#isListeningAgain = false;
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
    for (const { socket } of this.#ports) {
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

/** How many connections may be open at once, by what was asked for and by what the system allows. */
function openMaxOf({ connectionsMax, listeners }: RouterOptions): number {
  const left = descriptorsLeft() - descriptorsSpare;
  const isLocal = listeners.some(({ endpoint }) => endpoint.startsWith("ipc://"));
  const reserve = isLocal ? Math.min(unseenMax, Math.floor(left / 2)) : 0;
  return Math.max(1, Math.min(connectionsMax + waitingMax + shakingMax, left - reserve));
}

/** Listens again; later, where the address is not free yet. */
function bindAnew(port: Port): void {
  const { endpoint } = port.listener;
  try {
    port.socket.bindSync(endpoint);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    return;
  }
  openToGroup(endpoint);
  port.isListening = true;
}

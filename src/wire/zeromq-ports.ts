// The listeners of a router on libzmq: what each has open, and what becomes of it where that is too
// many. It must not know what travels, or who may come in.
import type { Clock } from "../util/clock.ts";
import { descriptorsLeft } from "./descriptors.ts";
import { openToGroup, prepareEndpoint, unusable } from "./endpoint.ts";
import { type Context, WatchedRouter } from "./libzmq.ts";
import type { Places } from "./pool.ts";
import type { Listener, RouterOptions, WireRefusal } from "./socket.ts";
import type { Tally } from "./tally.ts";
import type { Addressee } from "./zeromq-outgoing.ts";

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
export const waitingMax = 64;
/** Connections, beyond both, that may be shaking hands. */
const shakingMax = 1024;

/** A peer that has a name, and where it is. */
export interface Link extends Addressee {
  readonly port: Port;
  /** Its routing id as the key of its port. */
  readonly key: string;
}

const noEnds = { open: 0, quietEnds: 0, isSettling: false };

/** One listener, its socket, and those who came by it. */
export interface Port {
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

/** What listeners need of their router. */
interface Given {
  readonly context: Context;
  /** What libzmq says where a connection ends. */
  readonly farewell: Buffer;
  readonly places: Places;
  readonly counters: Tally;
  readonly closing: AbortSignal;
  /** Counts one that was not let in, and tells of it. */
  refuse(why: WireRefusal, listener: Listener): void;
  /** A listener was emptied: all who came by it are gone. */
  onEmptied(port: Port): void;
}

export class Ports {
  readonly all: Port[] = [];
  readonly #clock: Clock;
  readonly #options: RouterOptions;
  readonly #given: Given;
  #isListeningAgain = false;
  /** Connections, standing or shaking hands, at which a listener is emptied. */
  #openMax = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, options: RouterOptions, given: Given) {
    this.#clock = clock;
    this.#options = options;
    this.#given = given;
  }

  /** Listens everywhere. @throws PlantError ENDPOINT_UNUSABLE; some may stay open then. */
  async open(): Promise<void> {
    for (const listener of this.#options.listeners) await this.#listen(listener);
    this.#openMax = openMaxOf(this.#options);
  }

  async #listen(wanted: Listener): Promise<void> {
    const { endpoint, keys = [] } = wanted;
    await prepareEndpoint(endpoint);
    const socket = new WatchedRouter({
      context: this.#given.context,
      limits: this.#options,
      domain: String(this.all.length),
      curveSecretKey: keys.length === 0 ? undefined : this.#options.curve?.secretKey,
      farewell: this.#given.farewell,
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
    this.all.push(port);
    this.#watchEvents(port);
  }

  #watchEvents(port: Port): void {
    const { socket, listener } = port;
    const refuse = (why: WireRefusal) => this.#given.refuse(why, listener);
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
      this.#given.counters.accepted += 1;
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
    await this.#clock.sleep(settleMs, this.#given.closing);
    port.isSettling = false;
    for (; port.quietEnds > 0; port.quietEnds -= 1) {
      this.#given.refuse("greeting", port.listener);
    }
  }

  /** libzmq tells of connections only by such events: those that shake hands count as well. */
  #recount(): void {
    let open = 0;
    for (const port of this.all) {
      open += port.open;
      this.#given.places.note(port.listener.principal, port.open - port.counted);
      port.counted = port.open;
    }
    this.#given.counters.connections = open;
    if (open >= this.#openMax) this.#shed();
  }

  /**
   * The last resort, for peers that connect and say nothing: beyond the descriptors of this process
   * libzmq would end it (ipc) or turn in circles (tcp). It cannot end one connection nor stop to
   * listen without ending all that came by the listener, so the fullest one is emptied; its
   * peers are gone, and those that mean it come back.
   */
  #shed(): void {
    if (this.#given.closing.aborted) return;
    const [port] = this.all.filter((one) => one.isListening).sort((a, b) => b.open - a.open);
    if (port === undefined) return;
    port.isListening = false;
    port.socket.unlisten(port.listener.endpoint);
    Object.assign(port, noEnds);
    this.#given.refuse("connections", port.listener);
    this.#given.onEmptied(port);
    this.#recount();
    if (!this.#isListeningAgain) void this.#listenAgain();
  }

  async #listenAgain(): Promise<void> {
    this.#isListeningAgain = true;
    while (this.all.some((port) => !port.isListening)) {
      await this.#clock.sleep(listenAgainMs, this.#given.closing);
      if (this.#given.closing.aborted) return;
      if (descriptorsLeft() < descriptorsSpare) continue;
      for (const port of this.all) {
        if (port.isListening) continue;
        Object.assign(port, noEnds); // what was told of meanwhile has ended with the others
        bindAnew(port);
      }
      this.#recount();
    }
    this.#isListeningAgain = false;
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

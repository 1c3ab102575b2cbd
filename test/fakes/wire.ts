// Message sockets in memory, with connections a test can cut. It must not know what travels.

import { newTally } from "../../src/wire/tally.ts";
import type {
  DealerOptions,
  Frames,
  Listener,
  RouterOptions,
  Transport,
  WireCounters,
} from "../../src/wire/wire.ts";

interface Connection {
  readonly peer: string;
  readonly options: DealerOptions;
  router: RouterOptions | undefined;
  listener: Listener | undefined;
  isOpen: boolean;
  /** Sent before the connection stood. */
  readonly early: Frames[];
}

/** Counters of a wire that refuses nothing. */
export const noCounts: WireCounters = newTally();

export interface FakeWire extends Transport {
  /** Breaks every connection to an endpoint, as a broker that dies does. */
  cut(endpoint: string): void;
  /** While true, messages of a router to its dealers are swallowed. */
  isMute: boolean;
  /** Messages a dealer may hand over; further ones are refused, as by a full queue. */
  room: number;
  /** Makes room without end, and tells the dealers. */
  drain(): void;
}

/** A network of its own. Messages arrive in order, after the sender's turn. */
export function fakeWire(): FakeWire {
  const routers = new Map<string, { options: RouterOptions; listener: Listener }>();
  const connections = new Set<Connection>();
  let count = 0;

  const meet = (connection: Connection) => {
    const found = routers.get(connection.options.endpoint);
    if (found === undefined || connection.router !== undefined || !connection.isOpen) return;
    connection.router = found.options;
    connection.listener = found.listener;
    queueMicrotask(connection.options.onUp);
    for (const frames of connection.early) {
      queueMicrotask(() => found.options.onMessage(connection.peer, frames, found.listener));
    }
  };
  const drop = (connection: Connection) => {
    connection.isOpen = false;
    connections.delete(connection);
    queueMicrotask(connection.options.onDown);
  };
  const wire: FakeWire = {
    isMute: false,
    room: Number.POSITIVE_INFINITY,
    drain() {
      wire.room = Number.POSITIVE_INFINITY;
      for (const { options } of connections) options.onDrained?.();
    },
    cut(endpoint) {
      for (const connection of connections) {
        if (connection.options.endpoint === endpoint && connection.router) drop(connection);
      }
    },
    async bindRouter(_, options) {
      for (const listener of options.listeners) {
        routers.set(listener.endpoint, { options, listener });
      }
      for (const connection of connections) meet(connection);
      return {
        listeners: options.listeners,
        counters: noCounts,
        ended: new Promise(() => {}),
        pause: () => false,
        resume() {},
        close() {},
        send(peer, frames: Frames) {
          const to = [...connections].find((one) => one.peer === peer && one.router === options);
          if (to === undefined) queueMicrotask(() => options.onGone(peer));
          else if (!wire.isMute) queueMicrotask(() => to.isOpen && to.options.onMessage(frames));
        },
        async [Symbol.asyncDispose]() {
          for (const listener of options.listeners) {
            routers.delete(listener.endpoint);
            wire.cut(listener.endpoint);
          }
        },
      };
    },
    connectDealer(_, options) {
      count += 1;
      const connection: Connection = {
        peer: `peer${count}`,
        options,
        router: undefined,
        listener: undefined,
        isOpen: true,
        early: [],
      };
      connections.add(connection);
      queueMicrotask(() => meet(connection));
      return {
        counters: noCounts,
        ended: new Promise(() => {}),
        send(frames) {
          if (!connection.isOpen || wire.room <= 0) return false;
          wire.room -= 1;
          const { router, listener, peer } = connection;
          if (router === undefined || listener === undefined) connection.early.push(frames);
          else queueMicrotask(() => router.onMessage(peer, frames, listener));
          return true;
        },
        async [Symbol.asyncDispose]() {
          connection.isOpen = false;
          connections.delete(connection);
        },
      };
    },
  };
  return wire;
}

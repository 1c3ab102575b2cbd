// One ROUTER made of two, each with a part of the listeners; peers of the second have a mark before
// their names. It must not know which libraries they are.
import { assert } from "../util/assert.ts";
import { newPlaces, Pool } from "./pool.ts";
import type {
  Listener,
  Peer,
  RouterOptions,
  RouterSocket,
  Transport,
  WireCounters,
  WireDeps,
  WireRefusal,
} from "./socket.ts";

type Bind = Transport["bindRouter"];

/** Before the name of a peer of the second router; no name of the first begins with it. */
const mark = "=";

/**
 * Binds each listener by the way it is given, in two groups; the first listener's way is the first.
 * Connections, and what waits to be sent, are bounded for both together. @throws PlantError ENDPOINT_UNUSABLE
 */
export async function bindMixedRouter(
  deps: WireDeps,
  given: RouterOptions,
  bindOf: (listener: Listener) => Bind,
): Promise<RouterSocket> {
  const places = newPlaces(given);
  const options = { ...given, pool: new Pool(given.sendBytesTotalMax), places };
  const ways = [...new Set(options.listeners.map(bindOf))];
  const [first, second] = ways;
  assert(ways.length === 2 && first !== undefined && second !== undefined, "there are two ways");
  const of = (way: Bind) => options.listeners.filter((listener) => bindOf(listener) === way);
  const one = await first(deps, { ...options, listeners: of(first) });
  try {
    const other = await second(deps, { ...marked(options), listeners: of(second) });
    return join(
      one,
      other,
      options.listeners.map((listener) => bindOf(listener) === first),
    );
  } catch (error) {
    await one[Symbol.asyncDispose]();
    throw error;
  }
}

function marked(options: RouterOptions): RouterOptions {
  return {
    ...options,
    onMessage: (peer, frames, listener) => options.onMessage(mark + peer, frames, listener),
    onGone: (peer) => options.onGone(mark + peer),
    onSlow: (peer) => options.onSlow(mark + peer),
    onDrained: (peer) => options.onDrained(mark + peer),
    onRefused: (refusal, listener, peer) =>
      options.onRefused(refusal, listener, peer === undefined ? undefined : mark + peer),
  };
}

function join(one: RouterSocket, other: RouterSocket, isFirst: readonly boolean[]): RouterSocket {
  const bound = [one.listeners.values(), other.listeners.values()] as const;
  const listeners = isFirst.flatMap((first) => bound[first ? 0 : 1].next().value ?? []);
  const of = (peer: Peer) => (peer.startsWith(mark) ? other : one);
  const nameOf = (peer: Peer) => (peer.startsWith(mark) ? peer.slice(mark.length) : peer);
  return {
    listeners,
    get counters() {
      return sum(one.counters, other.counters);
    },
    ended: Promise.race([one.ended, other.ended]),
    send: (peer, frames) => of(peer).send(nameOf(peer), frames),
    pause: (peer) => of(peer).pause(nameOf(peer)),
    resume: (peer) => of(peer).resume(nameOf(peer)),
    close: (peer) => of(peer).close(nameOf(peer)),
    async [Symbol.asyncDispose]() {
      await Promise.all([one[Symbol.asyncDispose](), other[Symbol.asyncDispose]()]);
    },
  };
}

function sum(one: WireCounters, other: WireCounters): WireCounters {
  const refused = { ...one.refused };
  for (const [name, count] of Object.entries(other.refused)) {
    refused[name as WireRefusal] += count;
  }
  return {
    connections: one.connections + other.connections,
    accepted: one.accepted + other.accepted,
    messagesIn: one.messagesIn + other.messagesIn,
    messagesOut: one.messagesOut + other.messagesOut,
    bytesIn: one.bytesIn + other.bytesIn,
    bytesOut: one.bytesOut + other.bytesOut,
    dropped: one.dropped + other.dropped,
    refused,
  };
}

// What every part of a process is made from, and how it meets the others: over the broker alone.
// It must not know any part.
import { type Client, startClient } from "../client/client.ts";
import type { Config } from "../config/config.ts";
import type { Clock } from "../util/clock.ts";
import type { Log } from "../util/log.ts";
import { brokerEndpoint, type Paths, type Principal } from "../util/paths.ts";
import type { Random } from "../util/random.ts";
import type { Running } from "../util/running.ts";
import { type Operation, startWorker, type Worker } from "../worker/worker.ts";

/** What every part is made from. */
export interface PartContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly paths: Paths;
  readonly config: Config;
  readonly version: string;
}

/** What a service offers on the bus. */
export interface Offer {
  readonly service: string;
  readonly operations: Readonly<Record<string, Operation>>;
}

/**
 * Requests one service works on at a time: more than may wait for news at the State and the Logger,
 * so that those who only listen never keep out those who bring values.
 */
const concurrency = 512;

/** Registers a service as one principal. */
export function offer(context: PartContext, principal: Principal, what: Offer): Promise<Worker> {
  const { clock, random, log } = context;
  const { service, operations } = what;
  const peer = peerOf(context, principal);
  return startWorker({ clock, random, log }, { ...peer, service, concurrency }, operations);
}

/** How a peer meets the broker: its socket, and the beats and sizes the broker goes by. */
export function peerOf({ paths, config }: PartContext, principal: Principal) {
  const { heartbeatMs, livenessMs, framesMax, messageBytesMax } = config.broker;
  const endpoint = brokerEndpoint(paths, principal);
  return { endpoint, heartbeatMs, livenessMs, framesMax, messageBytesMax };
}

/** Services as one: over when the first of them is, ended in reverse order. */
export function together(services: readonly Running[], opened: AsyncDisposableStack): Running {
  return {
    ended: Promise.race(services.map((service) => service.ended)),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** A client of the broker for one principal. */
export function connect(context: PartContext, principal: Principal): Promise<Client> {
  const { clock, random, log } = context;
  return startClient({ clock, random, log }, peerOf(context, principal));
}

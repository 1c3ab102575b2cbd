// What the broker knows: services, workers, clients, open requests, and what it counts.
// It must not know sockets, clocks, or what bodies mean.
import type { Config } from "../config/config.ts";
import type { Dialect, Frames } from "../mdp/mdp.ts";

/** Bounds and times: the section `broker` of the configuration. */
export type BrokerSettings = Omit<
  Config["broker"],
  "endpoint" | "network" | "services" | "transport" | "connectionsMax"
>;

/** Who may serve and call what. */
export type Admission = (principal: string, verb: "serve" | "call", service: string) => boolean;

/** A request between its arrival and its last reply. */
export interface Request {
  /** The broker's own id, which workers see. */
  readonly id: number;
  /** Who asked; none once it gave up, so that replies go nowhere. */
  client: Client | undefined;
  /** Key among the client's open requests. */
  readonly key: number;
  readonly dialect: Dialect;
  readonly service: Service;
  readonly body: Frames;
  /** Bytes of its body, held until it is over. */
  readonly bytes: number;
  readonly trace: Uint8Array;
  readonly flags: number;
  /** Monotonic time at which nobody waits any more; Infinity without a deadline. */
  readonly dueMs: number;
  /** Monotonic time at which it leaves the queue. */
  readonly queueDueMs: number;
  worker: Worker | undefined;
  isOver: boolean;
}

export interface Client {
  readonly peer: string;
  readonly open: Map<number, Request>;
  /** Bytes of its open requests. */
  bytes: number;
}

export interface Worker {
  readonly peer: string;
  readonly principal: string;
  readonly dialect: Dialect;
  readonly service: Service;
  readonly concurrency: number;
  readonly active: Map<number, Request>;
  heardMs: number;
  saidMs: number;
  /** Silent for too long at the last look; its messages may still wait to be read. */
  isSuspect: boolean;
}

export interface Service {
  readonly name: string;
  readonly workers: Set<Worker>;
  /** Workers with room, the least recently used first. */
  readonly idle: Set<Worker>;
  /** Waiting requests by client; the client whose turn is next stands first. */
  readonly queues: Map<string, Request[]>;
  queued: number;
  /** No queued request is due before this. */
  nearestMs: number;
  wasServed: boolean;
}

export interface Counters {
  messages: number;
  requests: number;
  replies: number;
  malformed: number;
  outOfPlace: number;
  lateReplies: number;
  expired: number;
  noService: number;
  queueFull: number;
  denied: number;
  limited: number;
  cancelled: number;
  workersLost: number;
  requestsLost: number;
}

/** What all open requests may hold, in messages of the largest size; one client may hold one. */
const largestHeldMax = 4;

/** Why the bytes of one more request may not be held, or nothing. */
export function bytesRefusal(
  { settings, bytes }: State,
  client: Client,
  size: number,
): { readonly limit: string; readonly max: number } | undefined {
  const { messageBytesMax } = settings;
  if (client.bytes + size > messageBytesMax) {
    return { limit: "bytes of the open requests of a client", max: messageBytesMax };
  }
  const max = largestHeldMax * messageBytesMax;
  return bytes + size > max ? { limit: "bytes of all open requests", max } : undefined;
}

/** A message to send. */
export interface Effect {
  readonly peer: string;
  readonly frames: Frames;
}

export interface State {
  readonly settings: BrokerSettings;
  readonly admits: Admission;
  readonly services: Map<string, Service>;
  readonly workers: Map<string, Worker>;
  readonly clients: Map<string, Client>;
  /** Requests with a worker, by the broker's id. */
  readonly dispatched: Map<number, Request>;
  readonly counters: Counters;
  queued: number;
  /** Bytes of all requests that are not over. */
  bytes: number;
  nextId: number;
  nowMs: number;
  /** Next time workers are looked after. */
  watchMs: number;
  effects: Effect[];
}

/** A broker that knows nobody. `firstId` differs from run to run, so that old replies miss. */
export function newState(settings: BrokerSettings, admits: Admission, firstId: number): State {
  return {
    settings,
    admits,
    services: new Map(),
    workers: new Map(),
    clients: new Map(),
    dispatched: new Map(),
    counters: {
      messages: 0,
      requests: 0,
      replies: 0,
      malformed: 0,
      outOfPlace: 0,
      lateReplies: 0,
      expired: 0,
      noService: 0,
      queueFull: 0,
      denied: 0,
      limited: 0,
      cancelled: 0,
      workersLost: 0,
      requestsLost: 0,
    },
    queued: 0,
    bytes: 0,
    nextId: firstId,
    nowMs: 0,
    watchMs: 0,
    effects: [],
  };
}

/** A service by name, made when absent; nothing when there is no room for another. */
export function serviceNamed(state: State, name: string): Service | undefined {
  const known = state.services.get(name);
  if (known !== undefined) return known;
  if (state.services.size >= state.settings.servicesMax && !forgetOne(state)) return undefined;
  const service: Service = {
    name,
    workers: new Set(),
    idle: new Set(),
    queues: new Map(),
    queued: 0,
    nearestMs: Number.POSITIVE_INFINITY,
    wasServed: false,
  };
  state.services.set(name, service);
  return service;
}

/** Forgets a service without workers and requests. */
function forgetOne(state: State): boolean {
  for (const service of state.services.values()) {
    if (service.workers.size > 0 || service.queued > 0) continue;
    state.services.delete(service.name);
    return true;
  }
  return false;
}

/** Whether another peer may become known. */
export function hasRoomForPeer(state: State): boolean {
  return state.workers.size + state.clients.size < state.settings.peersMax;
}

// What the broker knows: peers, services, open requests, and what it counts.
// It must not know sockets, clocks, or what bodies mean.
import type { Admission } from "../access/access.ts";
import type { Dialect, Frames } from "../mdp/mdp.ts";
import type { WireCounters } from "../wire/wire.ts";
import type { CountersAnswer, Refusal, ServiceTotals } from "./answers.ts";
import type { Latency } from "./latency.ts";
import type { Linked, LinkedList } from "./linked-list.ts";
import { type BrokerSettings, makePolicies, type Policy } from "./policy.ts";
import { type Timed, TimingWheel } from "./timing-wheel.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** An address peers come in by, and who they are. */
export interface Door {
  readonly principal: string;
  readonly endpoint: string;
}

/**
 * What one principal uses of the broker's room. Half of all room is set aside in equal parts, one
 * for each principal that has a listener; the other half is for whoever comes first.
 */
export interface Share {
  readonly principal: string;
  /** Part of all room that nobody else may use, 0 to 1. */
  readonly reserve: number;
  peers: number;
  services: number;
  /** Open requests of its clients. */
  requests: number;
  /** Cancelled requests that its workers have not answered. */
  abandoned: number;
  /** Bytes of bodies that are held. */
  bytes: number;
}

/** One connection that has spoken, for as long as the broker remembers it. */
export interface Peer {
  readonly name: string;
  readonly share: Share;
  /** Whether the transport tells when it is gone, and gives it another name when it returns. */
  readonly isTold: boolean;
  readonly dialect: Dialect;
  readonly side: "client" | "worker";
  client: Client | undefined;
  worker: Worker | undefined;
  /** Nothing it says is heard before this; 0 for a peer in good standing. */
  bannedUntilMs: number;
}

/** What a client may ask of a service. */
export interface Right {
  readonly name: string;
  readonly isInternal: boolean;
  readonly reach: "all" | "none" | "some";
  /** Operations that were asked for and may be, where the reach is `some`. */
  operations: Set<string> | undefined;
  service: Service | undefined;
  /** What the client hears where it may not; made once. */
  denied: Uint8Array | undefined;
}

export interface Client {
  readonly peer: Peer;
  readonly open: Request[];
  /** Open requests by the client's own id, where its dialect has ids. */
  readonly byId: Map<number, Request> | undefined;
  /** The right used last, and a few others. */
  right: Right;
  rights: Map<string, Right> | undefined;
  /** Bytes of bodies held for it. */
  bytes: number;
  /** Much waits to be sent to it; then, what was sent since. */
  isSlow: boolean;
  slowBytes: number;
  slowMessages: number;
}

export interface Worker extends Linked<Worker> {
  readonly peer: Peer;
  readonly service: Service;
  readonly concurrency: number;
  readonly active: Request[];
  /** How many of them were cancelled. */
  abandoned: number;
  heardMs: number;
  saidMs: number;
  /** When it got work after having none. */
  workingMs: number;
  /** Silent for too long at the last look; its messages may still wait to be read. */
  isSuspect: boolean;
  /** It said that it leaves: it gets no more work, and goes when it has answered what it has. */
  isLeaving: boolean;
  /** Much waits to be sent to it; it gets no more work meanwhile. */
  isSlow: boolean;
  /** Streams for which it is not read from, and since when. */
  holds: number;
  heldMs: number;
  canPause: boolean;
}

/** Parts of a reply on their way to a client. */
export interface Stream {
  /** Parts the client still takes, where it grants credit. */
  credit: number;
  /** Parts passed on for which the broker has granted no credit yet. */
  owed: number;
  /** Bytes of parts passed on since credit went to the worker last. */
  bytes: number;
  /** Whether its worker is not read from on its account. */
  isHolding: boolean;
  /** Parts to be joined into the last reply, for a dialect without parts. */
  joined: Uint8Array[] | undefined;
  joinedBytes: number;
}

/** The requests of one client that wait for one service, in order. */
export interface Turn extends Linked<Turn> {
  readonly client: Client;
  readonly waiting: LinkedList<Request>;
  /** How many wait. */
  count: number;
}

/** A request between its arrival and its last reply; then its record may serve another one. */
export interface Request extends Linked<Request>, Timed<Request> {
  /** Grows from request to request. */
  order: number;
  service: Service;
  /** The client's own id. */
  key: number;
  flags: number;
  /** Monotonic time at which nobody waits any more; Infinity without a deadline. */
  dueMs: number;
  arrivedMs: number;
  /** As `traceOf` tells it. */
  trace: Uint8Array;
  /** Who asked; none once it gave up, so that replies go nowhere. */
  client: Client | undefined;
  atClient: number;
  /** Empty once nobody may need it again. */
  body: Frames;
  size: number;
  /** Bytes it holds, of its body and of parts. */
  heldBytes: number;
  /** The id of this dispatch, which the worker sees; 0 while it waits. */
  id: number;
  worker: Worker | undefined;
  atWorker: number;
  attempts: number;
  /** A part went out: it cannot be repeated any more. */
  hasParts: boolean;
  stream: Stream | undefined;
  turn: Turn | undefined;
  /** Cancelled while its worker had it. */
  isAbandoned: boolean;
  isOver: boolean;
  /** Its neighbours among requests whose bytes lie in what the transport read. */
  isFresh: boolean;
  newer: Request | undefined;
  older: Request | undefined;
}

export interface Service {
  readonly name: string;
  readonly policy: Policy;
  /** Who made it known, or serves it. */
  share: Share;
  readonly workers: Set<Worker>;
  /** Workers with room, the least recently used first. */
  readonly idle: LinkedList<Worker>;
  /** Clients whose requests wait; whose turn is next stands first. */
  readonly turns: LinkedList<Turn>;
  readonly turnByClient: Map<Client, Turn>;
  /** The turn that last had more than half of what may wait. */
  fullest: Turn | undefined;
  queued: number;
  readonly queuedByShare: Map<Share, number>;
  busy: number;
  wasServed: boolean;
  isForgotten: boolean;
  latency: Latency | undefined;
  /** Errors made once, by code. */
  readonly errors: Map<string, Uint8Array>;
  readonly totals: Mutable<ServiceTotals>;
}

/** Something to be done outside. */
export type Effect =
  | { readonly kind: "send"; peer: string; frames: Frames }
  /** Where the transport cannot, the input `unpausable` says so. */
  | { readonly kind: "pause" | "resume"; readonly peer: string }
  /** A refusal nobody heard of in the last minute. */
  | { readonly kind: "note"; readonly principal: string; readonly about: RefusalNote };

/** What one step leads to, in order; the room for it is used again. */
export class Effects {
  readonly items: Effect[] = [];
  size = 0;

  /** Something to be sent, which most effects are: the last one in this place is used again. */
  send(peer: string, frames: Frames): void {
    const known = this.items[this.size];
    if (known?.kind === "send") {
      known.peer = peer;
      known.frames = frames;
    } else this.items[this.size] = { kind: "send", peer, frames };
    this.size += 1;
  }

  push(effect: Effect): void {
    this.items[this.size] = effect;
    this.size += 1;
  }

  /** Keeps the room, and so the last effects of a step, alive. */
  clear(): void {
    this.size = 0;
  }

  /** Gives the room back. */
  release(): void {
    this.size = 0;
    this.items.length = 0;
  }
}

export interface RefusalNote {
  readonly reason: Refusal;
  readonly dialect: Dialect | undefined;
  readonly service: string | undefined;
  /** Of the request it is about, where that has one. */
  readonly trace: Uint8Array | undefined;
}

/** What a broker is made of that it does not decide. */
export interface About {
  readonly admits: Admission;
  /** A number in [0, 1), another one in each run, so that ids of an old run miss. */
  readonly seed: number;
  readonly id: string;
  readonly version: string;
  readonly doors: readonly Door[];
  /** What the sockets counted. */
  readonly wire?: () => WireCounters;
}

export interface State {
  readonly settings: BrokerSettings;
  readonly about: About;
  readonly policyOf: (service: string) => Policy;
  readonly shares: Map<string, Share>;
  readonly peers: Map<string, Peer>;
  readonly workers: Set<Worker>;
  readonly services: Map<string, Service>;
  /** Services without a worker, those nobody waits for too. */
  readonly unserved: Set<Service>;
  /** Services without worker and request. */
  readonly unused: Set<Service>;
  /** Requests with a worker: the low bits of their id are their place. */
  readonly places: (Request | undefined)[];
  readonly freePlaces: number[];
  /** The high bits of the next id. */
  generation: number;
  readonly wheel: TimingWheel<Request>;
  /** Requests whose worker is out, and whose clients are yet to be told; the newest last. */
  readonly lost: Request[];
  /** The newest request whose bytes still lie in what the transport read; the others follow. */
  fresh: Request | undefined;
  /** Records for requests to come. */
  readonly spare: Request[];
  readonly counters: Mutable<CountersAnswer>;
  readonly refused: Record<Refusal, number>;
  /** When a refusal was noted last, by principal and what it was about. */
  readonly noted: Map<string, Map<string, number>>;
  /** Errors made once, by limit. */
  readonly errors: Map<string, Uint8Array>;
  /** What `mmi.*` was told last, and how often since when. */
  readonly told: Map<
    string,
    { readonly sinceMs: number; made: number; madeBytes: number; frames: Frames }
  >;
  clients: number;
  queued: number;
  dispatched: number;
  /** Requests somebody waits for. */
  open: number;
  bytes: number;
  order: number;
  nowMs: number;
  readonly startedMs: number;
  /** Next time workers are looked after. */
  watchMs: number;
  /** A tick is wanted at this time. */
  wakeMs: number;
  readonly effects: Effects;
}

/** Low bits of a request's id, its place; so many requests can be with workers. */
export const placesMax = 2 ** 20;
/** High bits of a request's id: ids are below 2^53. */
export const generations = 2 ** 33;
/** Messages and bytes waiting per peer; more than `slowPart` of it makes a peer slow. */
export const sendQueueMax = 16_384;
export const sendBytesMax = 67_108_864;

/** Part of the room that is set aside for principals. */
const reserved = 0.5;

/** A broker that knows nobody. */
export function newState(settings: BrokerSettings, about: About, nowMs = 0): State {
  const principals = new Set(about.doors.map(({ principal }) => principal));
  const shares = new Map<string, Share>();
  for (const principal of principals) {
    const reserve = principals.size > 1 ? reserved / principals.size : 0;
    shares.set(principal, newShare(principal, reserve));
  }
  return {
    settings,
    about,
    policyOf: makePolicies(settings),
    shares,
    peers: new Map(),
    workers: new Set(),
    services: new Map(),
    unserved: new Set(),
    unused: new Set(),
    places: [],
    freePlaces: [],
    generation: 1 + Math.floor(about.seed * (generations - 1)),
    wheel: new TimingWheel(),
    lost: [],
    fresh: undefined,
    spare: [],
    counters: noCounts(),
    refused: noRefusals(),
    noted: new Map(),
    errors: new Map(),
    told: new Map(),
    clients: 0,
    queued: 0,
    dispatched: 0,
    open: 0,
    bytes: 0,
    order: 0,
    nowMs,
    startedMs: nowMs,
    watchMs: 0,
    wakeMs: 0,
    effects: new Effects(),
  };
}

/** A principal that uses nothing. */
export function newShare(principal: string, reserve: number): Share {
  const counts = { peers: 0, services: 0, requests: 0, abandoned: 0, bytes: 0 };
  return { principal, reserve, ...counts };
}

function noCounts(): Mutable<CountersAnswer> {
  return {
    messages: 0,
    requests: 0,
    replies: 0,
    partials: 0,
    retries: 0,
    returned: 0,
    expired: 0,
    noService: 0,
    cancelled: 0,
    lateReplies: 0,
    workersLost: 0,
    requestsLost: 0,
    streamsCut: 0,
    bytesIn: 0,
    bytesOut: 0,
  };
}

function noRefusals(): Record<Refusal, number> {
  return {
    malformed: 0,
    place: 0,
    banned: 0,
    denied: 0,
    peers: 0,
    services: 0,
    requests: 0,
    queue: 0,
    frames: 0,
    size: 0,
    bytes: 0,
  };
}

// The JSON the broker answers about itself, as docs/reference/services.md lists it.
// It must not know how it is gathered.
import type { WireCounters } from "../wire/wire.ts";

/** Why something was not done for a peer, or done to it. */
export type Refusal =
  | "malformed" // not MDP
  | "place" // a valid command out of its place; DISCONNECT
  | "banned" // said after a DISCONNECT, either way
  | "denied"
  | "peers"
  | "services"
  | "requests" // open requests of one client, or of all
  | "queue"
  | "frames"
  | "size"
  | "bytes"; // bodies that are held, of one client or of all

/** What a service is run by. */
export interface PolicyAnswer {
  readonly retry: "never" | "if-lost";
  readonly attemptsMax: number;
  readonly busyTimeoutMs: number;
  readonly queueMax: number;
  readonly queueTtlMs: number;
}

/** Times from the arrival of a request to its last reply, in milliseconds. */
export interface LatencyAnswer {
  readonly count: number;
  readonly sumMs: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** `[upper bound in ms, requests that took no longer]`, bounds 0.064 × 2^n, cumulative. */
  readonly buckets: readonly (readonly [number, number])[];
}

/** One service, as `mmi.queue` tells it. */
export interface ServiceAnswer {
  readonly service: string;
  readonly workers: number;
  /** Requests at workers, and how many there may be. */
  readonly busy: number;
  readonly concurrency: number;
  readonly queued: number;
  /** How long the oldest of them has waited; 0 when none waits. */
  readonly oldestMs: number;
  readonly policy: PolicyAnswer;
  readonly totals: ServiceTotals;
  readonly latency: LatencyAnswer;
}

/** Counts of a service since the broker knows it. */
export interface ServiceTotals {
  readonly requests: number;
  readonly replies: number;
  readonly partials: number;
  readonly retries: number;
  readonly expired: number;
  readonly lost: number;
  readonly cancelled: number;
  readonly queueFull: number;
}

/** `mmi.queue`: services in the order of their names; `more` are left out. */
export interface QueueAnswer {
  readonly services: readonly ServiceAnswer[];
  readonly more: number;
}

/** `mmi.workers`: registered workers; `more` are left out. */
export interface WorkersAnswer {
  readonly workers: readonly {
    readonly service: string;
    readonly principal: string;
    readonly dialect: string;
    readonly busy: number;
    readonly concurrency: number;
    readonly silentMs: number;
    /** Not read from, because its client reads too slowly. */
    readonly paused: boolean;
    /** It takes no more, and goes when it has answered what it has. */
    readonly leaving: boolean;
  }[];
  readonly more: number;
}

/** Counts since the start. */
export interface CountersAnswer {
  readonly messages: number;
  readonly requests: number;
  readonly replies: number;
  readonly partials: number;
  readonly retries: number;
  /** Requests a leaving worker gave back before it began them. */
  readonly returned: number;
  readonly expired: number;
  /** Requests that expired before anybody ever served them. */
  readonly noService: number;
  readonly cancelled: number;
  readonly lateReplies: number;
  readonly workersLost: number;
  readonly requestsLost: number;
  /** Streams cut because their client did not read them. */
  readonly streamsCut: number;
  /** Bytes of bodies: of requests that came, of replies that went. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** `mmi.broker`. */
export interface BrokerAnswer {
  /** Another at each start. */
  readonly id: string;
  readonly version: string;
  readonly uptimeMs: number;
  /** Services with a worker. */
  readonly services: number;
  readonly workers: number;
  /** Peers that asked last, and all peers known, banned ones too. */
  readonly clients: number;
  readonly peers: number;
  readonly queued: number;
  readonly dispatched: number;
  /** Bytes of bodies held: of requests that wait or may be repeated, of replies to be joined. */
  readonly bytesHeld: number;
  readonly counters: CountersAnswer;
  readonly refused: Readonly<Record<Refusal, number>>;
  readonly wire?: WireCounters | undefined;
}

/** `mmi.brokers`: this broker alone, until several know one another. */
export interface BrokersAnswer {
  readonly brokers: readonly {
    readonly id: string;
    readonly version: string;
    readonly self: boolean;
    readonly listeners: readonly { readonly principal: string; readonly endpoint: string }[];
  }[];
}

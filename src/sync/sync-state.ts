// What the gateway's side of the protocol remembers, takes in and gives out.
// It must not know what follows from what.
import type { BatchRecord, Body, LineageEntry, Stream } from "../batch/batch.ts";
import type { StorePosition } from "./lineage.ts";
import { freshStream, type Pace, type StreamState } from "./stream-state.ts";

/** Settings of the protocol, durations in milliseconds. */
export interface ProtocolSettings {
  readonly batchRecordsMax: number;
  readonly batchAgeMs: number;
  readonly windowMax: number;
  readonly resendMs: number;
  readonly helloMs: number;
  /** Longest wait of a read for something new. */
  readonly readWaitMs: number;
  readonly version: string;
}

/** A message from the centre whose signature holds; `nonce` is the one it answers. */
export type DownMessage = { readonly nonce: string } & (
  | { readonly type: "welcome"; readonly body: Body<"welcome"> }
  | { readonly type: "ack"; readonly body: Body<"ack"> }
  | { readonly type: "want"; readonly body: Body<"want"> }
  | { readonly type: "refuse"; readonly body: Body<"refuse"> }
);

/** What the store answered to a read. */
export interface ReadAnswer {
  readonly id: number;
  readonly stream: Stream;
  readonly epoch: string;
  readonly records: readonly BatchRecord[];
  readonly head: number;
}

export type SyncInput =
  | { readonly kind: "connected"; readonly window: number }
  | { readonly kind: "disconnected" }
  /** The store said where it stands. */
  | { readonly kind: "position"; readonly position: StorePosition }
  | { readonly kind: "records"; readonly answer: ReadAnswer }
  | { readonly kind: "read-failed"; readonly id: number; readonly stream: Stream }
  | { readonly kind: "position-failed" }
  | { readonly kind: "message"; readonly message: DownMessage }
  /** A batch is larger than the broker takes. */
  | { readonly kind: "too-large"; readonly stream: Stream; readonly first: number; last: number }
  | { readonly kind: "pause"; readonly isPaused: boolean }
  | { readonly kind: "tick" };

/** A batch to seal and publish. */
export interface BatchToSend {
  readonly nonce: string;
  readonly epoch: string;
  readonly generation: number;
  readonly head: number;
  readonly stream: Stream;
  readonly first: number;
  readonly last: number;
  readonly lineage: string;
  readonly records: readonly BatchRecord[];
}

export type SyncEffect =
  | { readonly kind: "hello"; readonly nonce: string; readonly body: Body<"hello"> }
  | { readonly kind: "batch"; readonly batch: BatchToSend }
  | { readonly kind: "ask-position" }
  | {
      readonly kind: "read";
      readonly id: number;
      readonly stream: Stream;
      readonly after: number;
      readonly limit: number;
      readonly waitMs: number;
    }
  /** Forget the answers of all reads under way. */
  | { readonly kind: "cancel-reads" }
  /** Up to here the centre holds the stream; `isWelcome` when a welcome says so (rule 6). */
  | {
      readonly kind: "watermark";
      readonly stream: Stream;
      readonly sequence: number;
      readonly isWelcome: boolean;
    }
  /** The centre answered: the connection is good. */
  | { readonly kind: "confirm" }
  /** The highest generation rose: keep it. */
  | { readonly kind: "generation"; readonly generation: number; readonly centre: string }
  | { readonly kind: "alarm"; readonly stream: Stream; readonly sequence: number; code: string }
  | { readonly kind: "ignored"; readonly reason: string };

/** The moment of a step, and fresh nonces. */
export interface Moment {
  readonly nowMs: number;
  /** 16 random bytes in base64url. */
  readonly nonce: () => string;
}

/** All the protocol remembers. It is changed in place by `step`. */
export interface SyncState {
  readonly settings: ProtocolSettings;
  centre: string | undefined;
  /** Highest generation and key-set version known. */
  generation: number;
  keySet: number;
  /** Monotonic time of the last step. */
  steppedAtMs: number;
  isConnected: boolean;
  isPaused: boolean;
  window: number;
  /** Counts the reads: an answer to any but a stream's last is stale. */
  reads: number;
  lineage: readonly LineageEntry[] | undefined;
  /** Waiting for the store's position. */
  isAsking: boolean;
  /** Whether the position is fresh enough to greet with. */
  isPositioned: boolean;
  /** Whether a welcome of this opening came. */
  isWelcome: boolean;
  generations: Readonly<Record<string, number>>;
  /** Nonces of this opening's greetings, newest last. */
  nonces: string[];
  helloAtMs: number;
  helloTries: number;
  /** Whether the centre knows the newest epoch as the head. */
  isHeadKnown: boolean;
  readonly streams: Record<Stream, StreamState>;
  readonly pace: Pace;
}

/** The state before anything happened. */
export function initialState(
  settings: ProtocolSettings,
  known: { readonly centre?: string; readonly generation: number; readonly keySet: number },
): SyncState {
  const fresh = () => freshStream({ first: 1, head: 0, watermark: 0 }, settings.batchRecordsMax);
  return {
    settings,
    centre: known.centre,
    generation: known.generation,
    keySet: known.keySet,
    steppedAtMs: 0,
    isConnected: false,
    isPaused: false,
    window: settings.windowMax,
    reads: 0,
    lineage: undefined,
    isAsking: false,
    isPositioned: false,
    isWelcome: false,
    generations: {},
    nonces: [],
    helloAtMs: Number.POSITIVE_INFINITY,
    helloTries: 0,
    isHeadKnown: false,
    streams: { event: fresh(), state: fresh(), log: fresh(), metric: fresh() },
    pace: { rttMs: 0, resendMs: settings.resendMs, resends: 0 },
  };
}

/** Where the effects of a step go, and when it happens. */
export interface Doing {
  readonly effects: SyncEffect[];
  readonly moment: Moment;
}

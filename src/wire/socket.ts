// Message sockets as the parts of the bus see them: a ROUTER on several listeners and a DEALER.
// It must not know what travels, nor name the library beneath.

/** Frames of one message, in order. A frame is never changed after it was sent. */
export type Frames = readonly Uint8Array[];

/** Names one connection of a router, for as long as the router lives; not for reading. */
export type Peer = string;

/** One address to listen on; whoever comes in by it is this principal. */
export interface Listener {
  readonly principal: string;
  /** `ipc:///path` (at most 107 bytes of path) or `tcp://host:port`, port 0 for a free one. */
  readonly endpoint: string;
}

/** Bounds of one socket. */
export interface WireLimits {
  /** Bytes of one message; a peer that sends more loses its connection or its message. */
  readonly messageBytesMax: number;
  /** Frames of one message; messages with more are dropped and counted. */
  readonly framesMax: number;
  /** Messages waiting to be sent per peer. */
  readonly sendQueueMax: number;
}

/** What a socket refused so far. */
export interface WireCounters {
  /** Messages that arrived but broke a limit. */
  readonly refused: number;
  /** Messages not sent because a queue was full. */
  readonly dropped: number;
}

export interface RouterOptions extends WireLimits {
  readonly listeners: readonly Listener[];
  readonly onMessage: (peer: Peer, frames: Frames, listener: Listener) => void;
  /** A peer is known to be gone; told at the latest when something is sent to it. */
  readonly onGone: (peer: Peer) => void;
}

/** Talks with many peers. Disposal closes every listener and forgets what was not sent. */
export interface RouterSocket extends AsyncDisposable {
  /** The listeners with their real addresses. */
  readonly listeners: readonly Listener[];
  readonly counters: WireCounters;
  /** Settles with an error when the socket ends by itself. */
  readonly ended: Promise<Error | undefined>;
  /** Sends without waiting: a full queue or a gone peer drops the message. */
  send(peer: Peer, frames: Frames): void;
}

export interface DealerOptions extends WireLimits {
  readonly endpoint: string;
  readonly onMessage: (frames: Frames) => void;
  /** The connection stands. Told once. */
  readonly onUp: () => void;
  /** The connection is lost. Told once; the socket is of no more use. */
  readonly onDown: () => void;
}

/** Talks with one peer; keeps trying to connect until it stood once or is closed. */
export interface DealerSocket extends AsyncDisposable {
  readonly counters: WireCounters;
  /** Queues a message; false when the queue is full and the message was dropped. */
  send(frames: Frames): boolean;
}

/** A way to make message sockets. */
export interface Transport {
  /** @throws PlantError ENDPOINT_UNUSABLE; nothing stays open then. */
  bindRouter(options: RouterOptions): Promise<RouterSocket>;
  /** @throws PlantError ENDPOINT_UNUSABLE for an address that cannot be one. */
  connectDealer(options: DealerOptions): DealerSocket;
}

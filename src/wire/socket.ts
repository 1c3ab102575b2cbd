// Message sockets as the parts of the bus see them: a ROUTER on several listeners and a DEALER.
// It must not know what travels, nor name the library beneath.
import type { Clock } from "../util/clock.ts";
import type { Random } from "../util/random.ts";
import type { Places, Pool } from "./pool.ts";

/**
 * Frames of one message, in order. A frame is never changed after it was sent or received. A frame
 * that was received may be a view of all that was read with it (64 KiB and more), so whoever keeps
 * a small one beyond the turn copies it. Equal leading frames of a peer are often the same object.
 */
export type Frames = readonly Uint8Array[];

/**
 * Names one connection of a router, for as long as the router lives; not for reading. A peer that
 * comes back has another name, whatever identity it announces, where the transport can tell.
 */
export type Peer = string;

/** One address to listen on; whoever comes in by it is this principal. */
export interface Listener {
  readonly principal: string;
  /** `ipc:///path` (at most 107 bytes of path) or `tcp://host:port`, port 0 for a free one. */
  readonly endpoint: string;
  /** Public keys (Z85, 40 characters) that are let in by CURVE; tcp only. None: no CURVE. */
  readonly keys?: readonly string[];
}

/** A pair of CURVE keys, Z85, 40 characters each. */
export interface KeyPair {
  readonly publicKey: string;
  readonly secretKey: string;
}

/** Bounds of one socket. */
export interface WireLimits {
  /** Bytes of one message; a peer that sends more loses its connection or its message. */
  readonly messageBytesMax: number;
  /** Frames of one message; as above. */
  readonly framesMax: number;
  /** Messages waiting to be sent per peer. */
  readonly sendQueueMax: number;
  /** Bytes waiting to be sent per peer; one message is always let in. */
  readonly sendBytesMax: number;
  /** Time a connection has for its handshake; when absent 10,000 ms, and 5,000 on libzmq. */
  readonly handshakeMs?: number | undefined;
  /**
   * A peer silent for so long gets a PING, and is given up after three times as long; nobody is
   * asked when absent, nor a peer older than ZMTP 3.1. Not on libzmq.
   */
  readonly pingMs?: number | undefined;
}

/** Why a connection or a message was refused. */
export type WireRefusal =
  | "greeting" // not ZMTP 3, or a mechanism that is not ours
  | "handshake" // a wrong command or socket type before messages may flow, or none in time
  | "command" // a malformed command, or one out of place
  | "frame" // reserved bits, or a length nobody can mean
  | "frames" // more frames than a message may have
  | "size" // more bytes than a message may have
  | "connections" // no room for another connection
  | "memory" // all peers together hold too much, unfinished or unread, and this one holds most
  | "key"; // CURVE: a key that is not let in

/** What a socket did and refused so far. */
export interface WireCounters {
  /** Connections that stand now, and all that ever stood. */
  readonly connections: number;
  readonly accepted: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Messages not sent because a queue was full or the peer gone. */
  readonly dropped: number;
  readonly refused: Readonly<Record<WireRefusal, number>>;
}

/** What time and chance a socket is made with. */
export interface WireDeps {
  readonly clock: Clock;
  readonly random: Random;
}

/** A peer is slow once more than this part of what may wait for it waits, be it messages or bytes. */
export const slowPart = 1 / 2;
/** A slow peer has drained once no more than this part waits. */
export const drainedPart = 1 / 8;

export interface RouterOptions extends WireLimits {
  readonly listeners: readonly Listener[];
  /**
   * Bytes that wait to be sent to all peers together; whoever has left most unread loses its
   * connection and what waits for it. 64 MiB when absent.
   */
  readonly sendBytesTotalMax?: number | undefined;
  /**
   * Bytes received of all peers together and not yet handed over. Beyond a quarter of it, in what
   * waits to be read, nobody is read from until that is done; of unfinished messages, and of
   * what paused peers have sent, the largest holder loses its connection. One message is always let
   * in. 32 MiB when absent. What libzmq holds is not counted.
   */
  readonly receiveBytesTotalMax?: number | undefined;
  /** Shared with another socket, where one router is made of two. */
  readonly pool?: Pool | undefined;
  readonly places?: Places | undefined;
  /** Connections at one time, all listeners together; more are closed at once. */
  readonly connectionsMax: number;
  /** The router's own keys; needed where a listener has keys. */
  readonly curve?: KeyPair | undefined;
  readonly onMessage: (peer: Peer, frames: Frames, listener: Listener) => void;
  /** A peer is gone. libzmq tells it only when something is sent to the peer. */
  readonly onGone: (peer: Peer) => void;
  /** More than `slowPart` of what may wait for a peer waits; told once until `onDrained`. */
  readonly onSlow: (peer: Peer) => void;
  /** No more than `drainedPart` waits for a slow peer now. */
  readonly onDrained: (peer: Peer) => void;
  /** A connection or message was refused; `peer` is missing where it has no name yet. */
  readonly onRefused: (refusal: WireRefusal, listener: Listener, peer: Peer | undefined) => void;
}

/**
 * Talks with many peers. Disposal stops listening, sends what was accepted for at most a second,
 * and closes.
 */
export interface RouterSocket extends AsyncDisposable {
  /** The listeners with their real addresses. */
  readonly listeners: readonly Listener[];
  readonly counters: WireCounters;
  /** Settles with an error when the socket ends by itself. */
  readonly ended: Promise<Error | undefined>;
  /** Sends without waiting: a full queue or a gone peer drops the message and counts it. */
  send(peer: Peer, frames: Frames): void;
  /** Reads nothing more from a peer until `resume`. False where the transport cannot. */
  pause(peer: Peer): boolean;
  resume(peer: Peer): void;
  /** Closes the connection of a peer after what waits for it, without `onGone`. */
  close(peer: Peer): void;
}

export interface DealerOptions extends WireLimits {
  readonly endpoint: string;
  /** Own keys and the router's public one, for CURVE over tcp. */
  readonly curve?: (KeyPair & { readonly serverKey: string }) | undefined;
  readonly onMessage: (frames: Frames) => void;
  /** The connection stands. Told once. */
  readonly onUp: () => void;
  /** The connection is lost. Told once; the socket is of no more use. */
  readonly onDown: () => void;
  /** After a `send` that returned false: there is room again. */
  readonly onDrained?: () => void;
}

/**
 * Talks with one peer; keeps trying to connect until it stood once or is closed. Disposal sends
 * what was accepted for at most a second, and closes.
 */
export interface DealerSocket extends AsyncDisposable {
  readonly counters: WireCounters;
  /** Settles with an error when the socket ends by a defect, as a receiver that throws. */
  readonly ended: Promise<Error | undefined>;
  /** Queues a message; false when the queue is full and the message was dropped. */
  send(frames: Frames): boolean;
}

/** A way to make message sockets. */
export interface Transport {
  /** @throws PlantError ENDPOINT_UNUSABLE; nothing stays open then. */
  bindRouter(deps: WireDeps, options: RouterOptions): Promise<RouterSocket>;
  /** @throws PlantError ENDPOINT_UNUSABLE for an address that cannot be one. */
  connectDealer(deps: WireDeps, options: DealerOptions): DealerSocket;
}

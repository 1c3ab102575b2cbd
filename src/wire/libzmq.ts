// The only importer of zeromq: sockets of libzmq with the options both sides share.
// It must not know what travels, nor who may come in.
import { Context, Dealer, Router } from "zeromq";
import { asError } from "../util/running.ts";
import type { WireLimits } from "./socket.ts";

/**
 * Messages libzmq itself may hold for one peer and direction. What more waits, waits with us, and
 * is counted there; what libzmq holds is beyond that, since it does not tell what it has sent.
 */
const pipeMessagesMax = 64;
/** A peer that has not shaken hands by then is let go. */
const handshakeMs = 5000;
/** First and longest wait between attempts to connect, in milliseconds; libzmq adds jitter. */
const reconnectMs = 50;
export const reconnectCeilingMs = 1000;
/** What was accepted is sent for at most this long after a socket is closed. */
export const lingerMs = 1000;
/** Seconds until a silent TCP peer is asked, between questions, and questions before it is lost. */
const keepalive = { tcpKeepaliveIdle: 10, tcpKeepaliveInterval: 5, tcpKeepaliveCount: 3 };
/** ZMQ_DISCONNECT_MSG: what a ROUTER receives from libzmq itself when a connection is lost. */
const disconnectMessageOption = 111;

export { Context, type Dealer };

function pipeMessagesOf({ sendQueueMax }: WireLimits): number {
  return Math.min(pipeMessagesMax, Math.max(1, Math.floor(sendQueueMax / 2)));
}

/** What both kinds of socket are opened with. With `sendTimeout: 0` a send never stays pending. */
function optionsOf(limits: WireLimits) {
  return {
    linger: 0,
    sendTimeout: 0,
    handshakeInterval: limits.handshakeMs ?? handshakeMs,
    maxMessageSize: limits.messageBytesMax,
    sendHighWaterMark: pipeMessagesOf(limits),
    receiveHighWaterMark: pipeMessagesOf(limits),
    tcpKeepalive: 1,
    ...keepalive,
  };
}

/** How a ROUTER is opened. */
export interface RouterSettings {
  readonly context: Context;
  readonly limits: WireLimits;
  /** Named to the authentication handler, for each connection. */
  readonly domain: string;
  /** The secret key of a CURVE server; none for a listener without keys. */
  readonly curveSecretKey: string | undefined;
  /** What is received, with a peer's routing id, when its connection is lost; nobody can guess it. */
  readonly farewell: Buffer;
}

/** A ROUTER that tells of lost connections and asks for admission. */
export class WatchedRouter extends Router {
  constructor(settings: RouterSettings) {
    const { context, limits, domain, curveSecretKey, farewell } = settings;
    super({
      ...optionsOf(limits),
      context,
      mandatory: true,
      zapDomain: domain,
      ...(curveSecretKey === undefined ? {} : { curveServer: true, curveSecretKey }),
    });
    this.setStringOption(disconnectMessageOption, farewell);
  }

  /**
   * Stops listening at once, and ends every connection that came by it. Not by `unbindSync`, which
   * binds in zeromq 6.8, nor by `unbind`, during which nothing can be sent: libzmq ends a listener
   * by the same call.
   */
  unlisten(endpoint: string): void {
    this.disconnect(endpoint);
  }
}

/** The socket libzmq asks, in its context, whether a connection is let in. Bind it first of all. */
export async function openDoor(context: Context): Promise<Router> {
  const door = new Router({ context, linger: 0, sendTimeout: 0 });
  await door.bind("inproc://zeromq.zap.01");
  return door;
}

/** Own keys of a CURVE client, and the key of its server. */
export interface ClientKeys {
  readonly publicKey: string;
  readonly secretKey: string;
  readonly serverKey: string;
}

/** A DEALER that is not yet connected. */
export function openDealer(limits: WireLimits, keys: ClientKeys | undefined): Dealer {
  return new Dealer({
    ...optionsOf(limits),
    reconnectInterval: reconnectMs,
    reconnectMaxInterval: reconnectCeilingMs,
    ...(keys === undefined
      ? {}
      : {
          curvePublicKey: keys.publicKey,
          curveSecretKey: keys.secretKey,
          curveServerKey: keys.serverKey,
        }),
  });
}

/** Hands every message over until the socket is closed. Resolves with what ended it before. */
export async function receiveAll(
  socket: Router | Dealer,
  take: (frames: Buffer[]) => void,
): Promise<Error | undefined> {
  try {
    while (!socket.closed) take((await socket.receive()) as Buffer[]);
    return undefined;
  } catch (error) {
    return socket.closed ? undefined : asError(error);
  }
}

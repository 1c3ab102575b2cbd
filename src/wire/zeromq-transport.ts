// Message sockets on libzmq; the only importer of zeromq. Each listener is a ROUTER of its own,
// because libzmq does not tell by which address a message came. It must not know what travels.
import { Dealer, Router } from "zeromq";
import { asError } from "../util/running.ts";
import { checkEndpoint, openToGroup, prepareEndpoint, unusable } from "./endpoint.ts";
import type {
  DealerOptions,
  DealerSocket,
  Frames,
  Listener,
  RouterOptions,
  RouterSocket,
  Transport,
  WireCounters,
  WireDeps,
  WireLimits,
  WireRefusal,
} from "./socket.ts";

/** Listeners of one router; the first character of a peer's name is its listener. */
const listenersMax = 256;
/** First and longest wait between attempts to connect, in milliseconds; libzmq adds jitter. */
const reconnectMs = 50;
const reconnectCeilingMs = 1000;

type Counters = { -readonly [K in keyof WireCounters]: WireCounters[K] } & {
  refused: Record<WireRefusal, number>;
};

function noCounts(): Counters {
  const refused = {
    greeting: 0,
    handshake: 0,
    command: 0,
    frame: 0,
    frames: 0,
    size: 0,
    connections: 0,
    memory: 0,
    key: 0,
  };
  const counts = { connections: 0, accepted: 0, messagesIn: 0, messagesOut: 0 };
  return { ...counts, bytesIn: 0, bytesOut: 0, dropped: 0, refused };
}

/** What both kinds of socket are opened with. With `sendTimeout: 0` a send never stays pending. */
function optionsOf(limits: WireLimits) {
  return {
    linger: 0,
    sendTimeout: 0,
    maxMessageSize: limits.messageBytesMax,
    sendHighWaterMark: limits.sendQueueMax,
    receiveHighWaterMark: limits.sendQueueMax,
  };
}

function isWithin(frames: Frames, limits: WireLimits): boolean {
  if (frames.length > limits.framesMax) return false;
  let size = 0;
  for (const frame of frames) size += frame.length;
  return size <= limits.messageBytesMax;
}

async function receiveAll(
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

async function bindRouter(_: WireDeps, options: RouterOptions): Promise<RouterSocket> {
  const counters = noCounts();
  if (options.listeners.length > listenersMax) {
    throw unusable("broker", `more than ${listenersMax} listeners`);
  }
  const sockets: Router[] = [];
  const listeners: Listener[] = [];
  const closeAll = () => {
    for (const socket of sockets) if (!socket.closed) socket.close();
  };
  try {
    for (const listener of options.listeners) {
      await prepareEndpoint(listener.endpoint);
      const socket = new Router({ ...optionsOf(options), mandatory: true });
      sockets.push(socket);
      await bind(socket, listener.endpoint);
      listeners.push({ ...listener, endpoint: socket.lastEndpoint ?? listener.endpoint });
    }
  } catch (error) {
    closeAll();
    throw error;
  }
  const loops = sockets.map((socket, at) => {
    const listener = listeners[at] as Listener;
    const mark = String.fromCharCode(at);
    return receiveAll(socket, ([id, ...frames]) => {
      if (id === undefined) return;
      if (isWithin(frames, options)) {
        options.onMessage(mark + id.toString("latin1"), frames, listener);
      } else counters.refused.size += 1;
    });
  });
  const send = (peer: string, frames: Frames) => {
    const socket = sockets[peer.charCodeAt(0)];
    if (socket === undefined || socket.closed) return;
    const message = [Buffer.from(peer.slice(1), "latin1"), ...frames] as Buffer[];
    socket.send(message).catch((error: NodeJS.ErrnoException) => {
      counters.dropped += 1;
      if (error.code === "EHOSTUNREACH") options.onGone(peer);
    });
  };
  return {
    listeners,
    counters,
    send,
    pause: () => false,
    resume() {},
    close() {},
    ended: Promise.race(loops),
    async [Symbol.asyncDispose]() {
      closeAll();
      await Promise.all(loops);
    },
  };
}

async function bind(socket: Router, endpoint: string): Promise<void> {
  try {
    await socket.bind(endpoint);
    openToGroup(endpoint);
  } catch (error) {
    throw unusable(endpoint, (error as NodeJS.ErrnoException).code ?? String(error), error);
  }
}

function connectDealer(_: WireDeps, options: DealerOptions): DealerSocket {
  checkEndpoint(options.endpoint);
  const counters = noCounts();
  const socket = new Dealer({
    ...optionsOf(options),
    reconnectInterval: reconnectMs,
    reconnectMaxInterval: reconnectCeilingMs,
  });
  let stage: "new" | "up" | "over" = "new";
  const waiting: Frames[] = [];
  socket.events.on("handshake", () => {
    if (stage !== "new") return;
    stage = "up";
    options.onUp();
  });
  const down = () => {
    if (stage !== "up") return;
    stage = "over";
    options.onDown();
  };
  socket.events.on("disconnect", down);
  const loop = receiveAll(socket, (frames) => {
    if (stage === "over") return;
    if (isWithin(frames, options)) options.onMessage(frames);
    else counters.refused.size += 1;
  });
  try {
    socket.connect(options.endpoint);
  } catch (error) {
    socket.close();
    throw unusable(options.endpoint, String(error), error);
  }
  return {
    counters,
    send(frames) {
      if (stage === "over" || socket.closed) return false;
      if (waiting.length === 0 && socket.writable) {
        socket.send(frames as Buffer[]).catch(() => {
          counters.dropped += 1;
        });
        return true;
      }
      if (waiting.length >= options.sendQueueMax) {
        counters.dropped += 1;
        return false;
      }
      waiting.push(frames);
      if (waiting.length === 1) void drain(socket, waiting, counters);
      return true;
    },
    async [Symbol.asyncDispose]() {
      stage = "over";
      if (!socket.closed) socket.close();
      await loop;
    },
  };
}

/** Sends what waits, one at a time, as room appears; sends pend only while this runs. */
async function drain(socket: Dealer, waiting: Frames[], counters: Counters): Promise<void> {
  socket.sendTimeout = -1;
  while (waiting.length > 0 && !socket.closed) {
    try {
      await socket.send(waiting[0] as Buffer[]);
    } catch {
      counters.dropped += 1;
    }
    waiting.shift();
  }
  if (!socket.closed) socket.sendTimeout = 0;
}

/** Sockets of libzmq, for both ipc and tcp. */
export const zeromqTransport: Transport = { bindRouter, connectDealer };

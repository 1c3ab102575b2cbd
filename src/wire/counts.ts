// Counters of a message socket, and what a message counts. It must not know sockets.
import type { Frames, WireCounters, WireLimits, WireRefusal } from "./socket.ts";

/** Counters that their socket may write. */
export type Counts = { -readonly [K in keyof WireCounters]: WireCounters[K] } & {
  refused: Record<WireRefusal, number>;
};

/** Counters of a new socket. */
export function noCounts(): Counts {
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

/** Bytes of a message. */
export function bytesOf(frames: Frames): number {
  let size = 0;
  for (let at = 0; at < frames.length; at += 1) size += frames[at]?.length ?? 0;
  return size;
}

/** Why a message is not taken; nothing for one within the limits. */
export function refusalOf(
  frames: Frames,
  size: number,
  limits: WireLimits,
): "frames" | "size" | undefined {
  if (frames.length > limits.framesMax) return "frames";
  return size > limits.messageBytesMax ? "size" : undefined;
}

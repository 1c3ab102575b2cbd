// What a socket counts while it lives. It must not know who looks at the counts.
import type { WireCounters, WireRefusal } from "./socket.ts";

/** Counters that can be written. */
export type Tally = { -readonly [K in keyof WireCounters]: WireCounters[K] } & {
  refused: Record<WireRefusal, number>;
};

/** All zero. */
export function newTally(): Tally {
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

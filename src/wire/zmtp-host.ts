// What a connection needs of the socket it belongs to, and what it tells it.
// It must not know either of them.
import type { Clock } from "../util/clock.ts";
import type { Pool } from "./pool.ts";
import type { Frames, WireLimits, WireRefusal } from "./socket.ts";
import type { Tally } from "./tally.ts";
import type { SocketType } from "./zmtp-codec.ts";
import type { Turns } from "./zmtp-turns.ts";

/** The socket that connections belong to. */
export interface ConnectionHost<Connection> {
  readonly type: SocketType;
  readonly limits: WireLimits;
  readonly clock: Clock;
  readonly tally: Tally;
  readonly turns: Turns;
  readonly pool: Pool;
  /** Asks for `expire` at this monotonic time or soon after. */
  watch(connection: Connection, atMs: number): void;
  /** Messages may flow. */
  onOpen(connection: Connection): void;
  onMessage(connection: Connection, frames: Frames): void;
  onSlow(connection: Connection): void;
  onDrained(connection: Connection): void;
  /** Bytes of unfinished messages, and of what is not read of paused peers, have become more or fewer. */
  onHeld(connection: Connection, change: number): void;
  /** Messages flow no more, by the peer's end, a loss or a refusal. Not after `finish`. */
  onOver(connection: Connection, refusal: WireRefusal | undefined): void;
  /** Its descriptor is free again. */
  onClosed(connection: Connection): void;
  /** Something threw that must not. */
  onDefect(error: unknown): void;
}

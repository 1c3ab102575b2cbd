// The writing half of a connection: in bulk, at the end of a turn, and no more than has room.
// It must not know handshakes or reading, nor what its peer is called.
import type { Socket } from "node:net";
import type { Frames } from "./socket.ts";
import { wireBytes } from "./zmtp-codec.ts";
import type { ConnectionHost } from "./zmtp-host.ts";
import { fits, isLittle, isMuch, type Outbox } from "./zmtp-outbox.ts";
import type { Writer } from "./zmtp-turns.ts";

/** The connection that is written to. */
export interface Written {
  /** It hears nothing more of its room. */
  readonly isOver: boolean;
  /** A write failed: the peer takes nothing any more. */
  onWriteFailed(): void;
  /** All is written, and so is the end. */
  onEndWritten(): void;
}

/** More bytes than this are written at once and not at the end of the turn. */
const flushBytesMin = 65_536;

export class Writing<Connection extends Written> implements Writer {
  readonly #host: ConnectionHost<Connection>;
  readonly #connection: Connection;
  readonly #socket: Socket;
  readonly #outbox: Outbox;
  /** The peer takes nothing any more; what it sent before is still read. */
  isDeaf = false;
  /** Messages may flow, or did. */
  #isBegun = false;
  #isDirty = false;
  #isWriting = false;
  #isSlow = false;
  #isEnding = false;
  readonly #onWritten = (error?: Error | null): void => {
    if (error !== undefined && error !== null) this.#connection.onWriteFailed();
    else if (this.#isWriting && this.#socket.writableLength === 0) this.#settle();
  };

  /** @param given the outbox with what waits for the peer already. */
  constructor(
    host: ConnectionHost<Connection>,
    connection: Connection,
    given: { readonly socket: Socket; readonly outbox: Outbox },
  ) {
    this.#host = host;
    this.#connection = connection;
    this.#socket = given.socket;
    this.#outbox = given.outbox;
  }

  /** Bytes that wait for the peer. */
  get bytes(): number {
    return this.#outbox.bytes;
  }

  /** Bytes that wait and were not handed to the kernel. */
  get fresh(): number {
    return this.#outbox.fresh;
  }

  /** Writes what belongs to the handshake, past all that waits. */
  greet(bytes: Uint8Array): void {
    this.#socket.write(bytes, this.#onWritten);
  }

  /** Messages may flow, those that wait first. */
  begin(): void {
    this.#isBegun = true;
    this.#isSlow = this.#outbox.messages > 0;
    if (this.#outbox.fresh > 0) this.#markDirty();
  }

  /** Queues a message; false when there is no room for it, or nobody to take it. */
  send(frames: Frames): boolean {
    if (frames.length === 0 || this.isDeaf) return false;
    const outbox = this.#outbox;
    const { limits, pool } = this.#host;
    const size = wireBytes(frames);
    if (!fits(outbox, size, limits)) {
      this.flush();
      if (!fits(outbox, size, limits)) {
        this.#slowDown();
        return false;
      }
    }
    outbox.put(frames, size);
    this.#markDirty();
    if (outbox.fresh >= flushBytesMin || outbox.messages * 4 > limits.sendQueueMax) this.flush();
    if (pool.isOverfull) pool.relieve();
    if (isMuch(outbox, limits)) this.#slowDown();
    return true;
  }

  /** Queues a command; a peer that does not read what it asks for gets no more of it. */
  sendCommand(frame: Buffer): void {
    if (this.isDeaf || this.#outbox.bytes > this.#host.limits.sendBytesMax) return;
    this.#outbox.putBytes(frame);
    this.#markDirty();
  }

  #slowDown(): void {
    if (this.#isSlow) return;
    this.#isSlow = true;
    this.#host.onSlow(this.#connection);
  }

  /** Asks for `flush` at the end of this turn. */
  #markDirty(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#host.turns.addDirty(this);
  }

  flush(): void {
    this.#isDirty = false;
    if (this.#isWriting || this.#outbox.fresh === 0 || this.#socket.destroyed) return;
    if (this.isDeaf || !this.#isBegun) return;
    const socket = this.#socket;
    const taken = this.#outbox.take();
    this.#isWriting = true;
    if (taken instanceof Uint8Array) {
      socket.write(taken, this.#onWritten);
    } else {
      socket.cork();
      for (const piece of taken) socket.write(piece, this.#onWritten);
      socket.uncork();
    }
    if (socket.writableLength === 0) this.#settle();
  }

  /** The kernel has all that was written. */
  #settle(): void {
    this.#isWriting = false;
    const outbox = this.#outbox;
    const { tally, limits } = this.#host;
    const before = outbox.bytes;
    tally.messagesOut += outbox.settle();
    tally.bytesOut += before - outbox.bytes;
    if (this.#isEnding) {
      this.end();
      return;
    }
    if (outbox.fresh > 0) this.#markDirty();
    if (this.#isSlow && !this.#connection.isOver && isLittle(outbox, limits)) {
      this.#isSlow = false;
      this.#host.onDrained(this.#connection);
    }
  }

  /** Writes what waits, then the end. */
  end(): void {
    this.#isEnding = true;
    if (this.#isWriting) return;
    this.flush();
    if (!this.#isWriting && !this.#socket.writableEnded) {
      this.#socket.end(() => this.#connection.onEndWritten());
    }
  }

  /** Drops what waits; before messages may flow it is kept, for another connection. */
  drop(): void {
    if (this.#isBegun) this.#host.tally.dropped += this.#outbox.drop();
  }
}

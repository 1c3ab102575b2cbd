// Messages that wait to be sent, bounded by number and by bytes. It must not know where they go.
import type { Pool } from "./pool.ts";
import { drainedPart, type Frames, slowPart } from "./socket.ts";

/** Bounds of a line; one message is always let in, however many bytes it has. */
export interface LineLimits {
  readonly messagesMax: number;
  readonly bytesMax: number;
  /** What waits here waits there, too. */
  readonly pool: Pool;
}

/** First in, first out. */
export class WaitingLine {
  readonly #limits: LineLimits;
  #messages: Frames[] = [];
  #sizes: number[] = [];
  #at = 0;
  #bytes = 0;

  constructor(limits: LineLimits) {
    this.#limits = limits;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get length(): number {
    return this.#messages.length - this.#at;
  }

  /** So much waits that the peer is slow. */
  get isLong(): boolean {
    const { messagesMax, bytesMax } = this.#limits;
    return this.length > slowPart * messagesMax || this.#bytes > slowPart * bytesMax;
  }

  /** So little waits that a slow peer is slow no more. */
  get isShort(): boolean {
    const { messagesMax, bytesMax } = this.#limits;
    return this.length <= drainedPart * messagesMax && this.#bytes <= drainedPart * bytesMax;
  }

  /** @returns false where there is no room for the message. */
  push(frames: Frames, size: number): boolean {
    const { messagesMax, bytesMax } = this.#limits;
    if (this.length >= messagesMax) return false;
    if (this.length > 0 && this.#bytes + size > bytesMax) return false;
    this.#messages.push(frames);
    this.#sizes.push(size);
    this.#bytes += size;
    this.#limits.pool.unsent += size;
    return true;
  }

  /** The message that is next, and stays. */
  get first(): Frames | undefined {
    return this.#messages[this.#at];
  }

  /** Takes the first message away. @returns its bytes. */
  shift(): number {
    const size = this.#sizes[this.#at] ?? 0;
    this.#bytes -= size;
    this.#limits.pool.unsent -= size;
    this.#at += 1;
    if (this.#at === this.#messages.length || this.#at >= 1024) {
      this.#messages = this.#messages.slice(this.#at);
      this.#sizes = this.#sizes.slice(this.#at);
      this.#at = 0;
    }
    return size;
  }

  /** Drops all that waits. @returns how many messages. */
  clear(): number {
    const { length } = this;
    this.#messages = [];
    this.#sizes = [];
    this.#at = 0;
    this.#limits.pool.unsent -= this.#bytes;
    this.#bytes = 0;
    return length;
  }
}

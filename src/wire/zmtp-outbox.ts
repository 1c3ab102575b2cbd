// What waits to be written to one peer: small frames are copied into slabs, large ones go by
// reference. It must not know sockets; whoever writes takes the pieces.
import type { Pool } from "./pool.ts";
import { drainedPart, type Frames, slowPart, type WireLimits } from "./socket.ts";
import { longHeadBytes, writeHead } from "./zmtp-codec.ts";

/** The first slab of a peer in a turn is small, further ones are large. */
const slabBytes = { small: 4096, large: 65_536 } as const;
/** Slabs kept for the next who needs one. */
const spareMax = { small: 1024, large: 64 } as const;
/** Frames from this size on are not copied. */
export const byReferenceMin = 8192;
/** Frames up to this size are copied by a loop, which costs less than a call. */
const loopMax = 40;

const spareSmall: Buffer[] = [];
const spareLarge: Buffer[] = [];

function takeSlab(isLarge: boolean): Buffer {
  return isLarge
    ? (spareLarge.pop() ?? Buffer.allocUnsafeSlow(slabBytes.large))
    : (spareSmall.pop() ?? Buffer.allocUnsafeSlow(slabBytes.small));
}

function giveSlab(slab: Buffer): void {
  if (slab.length === slabBytes.large) {
    if (spareLarge.length < spareMax.large) spareLarge.push(slab);
  } else if (spareSmall.length < spareMax.small) spareSmall.push(slab);
}

/**
 * Messages in the order they were put, as bytes. At one time some are *taken*: handed to the
 * kernel, but not yet let go by it. What is put meanwhile waits for the next taking.
 */
export class Outbox {
  /** Messages and bytes that wait or are taken. */
  messages = 0;
  bytes = 0;
  /** Bytes that wait, not taken. */
  fresh = 0;
  #freshMessages = 0;
  #slab: Buffer | undefined;
  #from = 0;
  #used = 0;
  #pieces: Uint8Array[] | undefined;
  /** Slabs with no room left among the pieces. */
  #full: Buffer[] | undefined;
  #taken: Buffer[] | undefined;
  /** A small slab was too small the last time: one large piece is written faster than two. */
  #isBulky = false;
  readonly #pool: Pool;

  /** @param pool what waits here waits there, too. */
  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** Adds a message as whole frames. */
  put(frames: Frames, size: number): void {
    this.messages += 1;
    this.#freshMessages += 1;
    this.bytes += size;
    this.fresh += size;
    this.#pool.unsent += size;
    const last = frames.length - 1;
    const slab = this.#slab;
    if (slab !== undefined && size <= slab.length - this.#used && size < byReferenceMin) {
      this.#used = writeSmall(slab, this.#used, frames);
      return;
    }
    for (let at = 0; at <= last; at += 1) {
      const frame = frames[at];
      if (frame === undefined) continue;
      const { length } = frame;
      const into = this.#room(length < byReferenceMin ? length + longHeadBytes : longHeadBytes);
      const body = writeHead(into, this.#used, length, at === last);
      if (length < byReferenceMin) {
        into.set(frame, body);
        this.#used = body + length;
      } else {
        this.#used = body;
        this.#cut(into);
        this.#pieces?.push(frame);
      }
    }
  }

  /** Adds bytes that are whole frames already. */
  putBytes(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    this.fresh += bytes.length;
    this.#pool.unsent += bytes.length;
    const into = this.#room(bytes.length);
    into.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  /** A slab with room for so many bytes, less than a large slab has. */
  #room(size: number): Buffer {
    if (this.#slab !== undefined) {
      if (this.#slab.length - this.#used >= size) return this.#slab;
      this.#cut(this.#slab);
      this.#full ??= [];
      this.#full.push(this.#slab);
    }
    this.#slab = takeSlab(this.#isBulky || this.#full !== undefined || size > slabBytes.small);
    this.#from = 0;
    this.#used = 0;
    return this.#slab;
  }

  /** Makes a piece of what was written to the slab since the last one. */
  #cut(slab: Buffer): void {
    this.#pieces ??= [];
    if (this.#used > this.#from) this.#pieces.push(slab.subarray(this.#from, this.#used));
    this.#from = this.#used;
  }

  /** Takes all that waits: one piece or several, in order. Nothing may be taken at the time. */
  take(): Uint8Array | readonly Uint8Array[] {
    const slab = this.#slab;
    const pieces = this.#pieces;
    const full = this.#full ?? [];
    this.#isBulky = full.length > 0 || (this.#isBulky && this.#used > slabBytes.small);
    if (slab !== undefined) full.push(slab);
    this.#taken = full;
    this.fresh = 0;
    this.#freshMessages = 0;
    this.#full = undefined;
    this.#pieces = undefined;
    this.#slab = undefined;
    const from = this.#from;
    this.#from = 0;
    if (pieces === undefined) return slab?.subarray(from, this.#used) ?? [];
    if (slab !== undefined && this.#used > from) pieces.push(slab.subarray(from, this.#used));
    return pieces;
  }

  /** The kernel has let go what was taken; returns how many messages it was. */
  settle(): number {
    const sent = this.messages - this.#freshMessages;
    this.messages = this.#freshMessages;
    this.#pool.unsent -= this.bytes - this.fresh;
    this.bytes = this.fresh;
    if (this.#taken !== undefined) for (const slab of this.#taken) giveSlab(slab);
    this.#taken = undefined;
    return sent;
  }

  /** Forgets all, and tells how many messages; slabs the kernel may still read are left to it. */
  drop(): number {
    const dropped = this.messages;
    if (this.#slab !== undefined) giveSlab(this.#slab);
    if (this.#full !== undefined) for (const slab of this.#full) giveSlab(slab);
    this.messages = 0;
    this.#pool.unsent -= this.bytes;
    this.bytes = 0;
    this.fresh = 0;
    this.#freshMessages = 0;
    this.#slab = undefined;
    this.#pieces = undefined;
    this.#full = undefined;
    this.#taken = undefined;
    return dropped;
  }
}

/** Writes a message into a slab that has room for it; returns where it ends. */
function writeSmall(slab: Buffer, from: number, frames: Frames): number {
  let at = from;
  const last = frames.length - 1;
  for (let index = 0; index <= last; index += 1) {
    const frame = frames[index];
    if (frame === undefined) continue;
    const { length } = frame;
    at = writeHead(slab, at, length, index === last);
    if (length <= loopMax) {
      for (let byte = 0; byte < length; byte += 1) slab[at + byte] = frame[byte] ?? 0;
    } else slab.set(frame, at);
    at += length;
  }
  return at;
}

/** Whether a message of this size may wait, too. */
export function fits(outbox: Outbox, size: number, limits: WireLimits): boolean {
  if (outbox.messages >= limits.sendQueueMax) return false;
  return outbox.messages === 0 || outbox.bytes + size <= limits.sendBytesMax;
}

/** Whether so much waits that the peer is slow. */
export function isMuch({ messages, bytes }: Outbox, limits: WireLimits): boolean {
  return messages > slowPart * limits.sendQueueMax || bytes > slowPart * limits.sendBytesMax;
}

/** Whether so little waits that a slow peer is slow no more. */
export function isLittle({ messages, bytes }: Outbox, limits: WireLimits): boolean {
  const { sendQueueMax, sendBytesMax } = limits;
  return messages <= drainedPart * sendQueueMax && bytes <= drainedPart * sendBytesMax;
}

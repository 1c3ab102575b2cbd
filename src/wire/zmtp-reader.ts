// Frames out of a byte stream that may be cut anywhere: messages and commands, within bounds, and
// never a byte of memory for what was only announced. It must not know sockets or time.
import type { Frames, WireLimits, WireRefusal } from "./socket.ts";
import { flag, longHeadBytes, shortBodyMax, shortHeadBytes } from "./zmtp-codec.ts";

/** Who takes what was read. */
export interface FrameSink {
  /** A whole message. False: read no further for the time being. */
  takeMessage(frames: Frames): boolean;
  /** The body of a whole command; a refusal ends the reading for good. False: as above. */
  takeCommand(body: Uint8Array): WireRefusal | boolean;
}

/** Where a read stopped: nothing left, the bounds of this turn reached, or for good. */
export type ReadStop = "dry" | "more" | WireRefusal;

/** Longest body of a command. */
export const commandBytesMax = 8192;
const messageCost = 4;
/** Leading frames of a message that are compared with those of earlier ones. */
const seenMax = 3;
/** After so many misses the frame of that place is remembered anew. */
const missesMax = 16;
/** First size of the buffer in which small pieces of a large frame are gathered. */
const gatherBytesMin = 256;
const gatherBytesMax = 65_536;

const empty: Buffer = Buffer.alloc(0);
/** The list of frames while there is none. */
const none: Buffer[] = [];
/** All frames of one byte. */
const single = Array.from({ length: 256 }, (_, byte) => Buffer.alloc(1, byte));

/** The pieces of one frame that arrives bit by bit; small ones are copied together. */
class Gathering {
  readonly #pieces: Buffer[] = [];
  #tail: Buffer | undefined;
  #tailUsed = 0;
  #size = 0;

  add(piece: Buffer, missing: number): void {
    if (piece.length * 2 >= piece.buffer.byteLength && piece.length >= gatherBytesMin) {
      this.#closeTail();
      this.#pieces.push(piece);
      this.#size += piece.length;
      return;
    }
    let from = 0;
    while (from < piece.length) {
      if (this.#tail === undefined) {
        const room = Math.min(Math.max(this.#size, gatherBytesMin), gatherBytesMax);
        this.#tail = Buffer.allocUnsafeSlow(Math.min(room, missing - from));
      }
      const count = Math.min(piece.length - from, this.#tail.length - this.#tailUsed);
      piece.copy(this.#tail, this.#tailUsed, from, from + count);
      from += count;
      this.#size += count;
      this.#tailUsed += count;
      if (this.#tailUsed === this.#tail.length) this.#closeTail();
    }
  }

  #closeTail(): void {
    if (this.#tail === undefined) return;
    this.#pieces.push(this.#tail.subarray(0, this.#tailUsed));
    this.#tail = undefined;
    this.#tailUsed = 0;
  }

  whole(): Buffer {
    this.#closeTail();
    const [only] = this.#pieces;
    if (this.#pieces.length === 1 && only !== undefined) return only;
    const whole = Buffer.allocUnsafeSlow(this.#size);
    let at = 0;
    for (const piece of this.#pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }
}

/** Reads one connection's stream after its greeting. */
export class FrameReader {
  readonly #limits: WireLimits;
  readonly #sink: FrameSink;
  /** Before READY only commands may come. */
  mayTakeMessages = false;
  /** What reading has cost since it was last set to 0. */
  spent = 0;
  /** Bytes kept of what is not complete. */
  held = 0;
  #chunk: Buffer = empty;
  #at = 0;
  /** Frames of the message under way; those from `#fresh` on are views of the chunk. */
  #frames: Buffer[] = none;
  #count = 0;
  #fresh = 0;
  /** Frames the last message had; a list made for so many need not grow. */
  #usual = 1;
  #bytes = 0;
  /** The head of a frame that was cut. */
  #head: Buffer | undefined;
  #headUsed = 0;
  /** The frame whose body is not complete. */
  #flags = 0;
  #missing = 0;
  #gathering: Gathering | undefined;
  #seen: Buffer[] | undefined;
  #misses = 0;

  constructor(limits: WireLimits, sink: FrameSink) {
    this.#limits = limits;
    this.#sink = sink;
  }

  /** Bytes that wait to be read. */
  get left(): number {
    return this.#chunk.length - this.#at;
  }

  /** Bytes of memory that what waits to be read keeps. */
  get kept(): number {
    return this.#at < this.#chunk.length ? this.#chunk.buffer.byteLength : 0;
  }

  /** Gives the next bytes; those before must have been read. */
  push(chunk: Buffer, from: number): void {
    this.#chunk = chunk;
    this.#at = from;
  }

  /**
   * Reads what was pushed, until `spent` reaches the budget: a message or command costs 4, a frame
   * 1, and a KiB 1.
   * @returns "dry", "more", or the refusal after which nothing may be read any more.
   */
  read(budget: number): ReadStop {
    while (this.#at < this.#chunk.length) {
      if (this.spent >= budget) return "more";
      const frame = this.#gathering === undefined ? this.#next() : this.#goOn();
      if (frame === undefined) break;
      if (typeof frame === "string") return frame;
      if ((this.#flags & flag.command) !== 0) {
        this.spent += messageCost;
        const answer = this.#sink.takeCommand(frame);
        if (answer === false) return this.#rest();
        if (answer !== true) return answer;
        continue;
      }
      this.spent += 1;
      if (this.#count === 0) this.#frames = new Array(this.#usual);
      this.#frames[this.#count] = this.#shared(frame);
      this.#count += 1;
      if ((this.#flags & flag.more) !== 0) continue;
      this.spent += messageCost;
      if (!this.#finish()) return this.#rest();
    }
    return this.#rest();
  }

  #finish(): boolean {
    const frames = this.#frames;
    if (frames.length > this.#count) frames.length = this.#count;
    this.#usual = this.#count;
    this.#frames = none;
    this.#count = 0;
    this.#fresh = 0;
    this.#bytes = 0;
    return this.#sink.takeMessage(frames);
  }

  /** The next frame if all of it is there; nothing when it is cut. */
  #next(): Buffer | WireRefusal | undefined {
    const chunk = this.#chunk;
    const at = this.#at;
    const flags = chunk[at] ?? 0;
    const end = at + shortHeadBytes + (chunk[at + 1] ?? 0);
    if (this.#headUsed > 0 || end > chunk.length || (flags & ~flag.more) !== 0) {
      return this.#nextSlowly();
    }
    const refusal = this.#refusalOf(flags, end - at - shortHeadBytes);
    if (refusal !== undefined) return refusal;
    this.#flags = flags;
    this.#at = end;
    return this.#known(at + shortHeadBytes, end) ?? this.#view(at + shortHeadBytes, end);
  }

  /** The frame of an earlier message in this place, if it has these bytes: no view is made. */
  #known(from: number, to: number): Buffer | undefined {
    const known = this.#seen?.[this.#count];
    if (known === undefined || known.length !== to - from) return undefined;
    const chunk = this.#chunk;
    for (let at = 0; at < known.length; at += 1) {
      if (known[at] !== chunk[from + at]) return undefined;
    }
    return known;
  }

  /** As above, for a head that is cut or long, a body that is cut, and a command. */
  #nextSlowly(): Buffer | WireRefusal | undefined {
    const head = this.#gatherHead();
    if (head === undefined) return undefined;
    if (typeof head === "string") return head;
    this.#headUsed = 0;
    const flags = head[0] ?? 0;
    let length = head[1] ?? 0;
    if ((flags & flag.long) !== 0) {
      const high = head.readUInt32BE(1);
      if (high >= 2 ** 31) return "frame";
      length = high * 2 ** 32 + head.readUInt32BE(5);
    }
    const refusal = this.#refusalOf(flags, length);
    if (refusal !== undefined) return refusal;
    this.#flags = flags;
    const end = this.#at + length;
    if (end <= this.#chunk.length) {
      this.spent += length >> 10;
      const frame = this.#view(this.#at, end);
      this.#at = end;
      return frame;
    }
    this.#gathering = new Gathering();
    this.#missing = length;
    return this.#goOn();
  }

  /** All bytes of the next head, from this chunk and those before. */
  #gatherHead(): Buffer | WireRefusal | undefined {
    this.#head ??= Buffer.alloc(longHeadBytes);
    const head = this.#head;
    while (this.#at < this.#chunk.length) {
      head[this.#headUsed] = this.#chunk[this.#at] ?? 0;
      this.#headUsed += 1;
      this.#at += 1;
      const flags = head[0] ?? 0;
      if (flags > 7 || (flags & flag.command && flags & flag.more)) return "frame";
      const size = (flags & flag.long) !== 0 ? longHeadBytes : shortHeadBytes;
      if (this.#headUsed === size) return head;
    }
    return undefined;
  }

  /** Why a frame of this length may not come here and now. */
  #refusalOf(flags: number, length: number): WireRefusal | undefined {
    if ((flags & flag.command) !== 0) return length > commandBytesMax ? "command" : undefined;
    if (!this.mayTakeMessages) return "handshake";
    this.#bytes += length;
    if (this.#bytes > this.#limits.messageBytesMax) return "size";
    return this.#count >= this.#limits.framesMax ? "frames" : undefined;
  }

  /** More of a cut body; the frame once it is whole. */
  #goOn(): Buffer | undefined {
    const gathering = this.#gathering;
    if (gathering === undefined) return undefined;
    const end = Math.min(this.#chunk.length, this.#at + this.#missing);
    this.spent += (end - this.#at) >> 10;
    gathering.add(this.#chunk.subarray(this.#at, end), this.#missing);
    this.#missing -= end - this.#at;
    this.#at = end;
    if (this.#missing > 0) return undefined;
    this.#gathering = undefined;
    return gathering.whole();
  }

  #view(from: number, to: number): Buffer {
    if (to - from > 1) return this.#chunk.subarray(from, to);
    return to === from ? empty : (single[this.#chunk[from] ?? 0] ?? empty);
  }

  /** The frame of an earlier message in its place when the bytes are the same. */
  #shared(frame: Buffer): Buffer {
    const place = this.#count;
    const { length } = frame;
    if (place >= seenMax || length > shortBodyMax || length < 2) return frame;
    this.#seen ??= [];
    const seen = this.#seen[place];
    if (seen !== undefined) {
      if (seen === frame || isSame(seen, frame)) return seen;
      this.#misses += 1;
      if (this.#misses < missesMax) return frame;
    }
    this.#misses = 0;
    while (this.#seen.length < place) this.#seen.push(empty);
    const own = Buffer.alloc(length);
    own.set(frame);
    this.#seen[place] = own;
    return own;
  }

  /** The chunk is let go: what is kept of it is copied unless it is most of it. */
  #rest(): ReadStop {
    if (this.#at < this.#chunk.length) return "more";
    const wholeBytes = this.#chunk.buffer.byteLength;
    for (let at = this.#fresh; at < this.#count; at += 1) {
      const frame = this.#frames[at] ?? empty;
      if (frame.buffer === this.#chunk.buffer && frame.length * 2 < wholeBytes) {
        const own = Buffer.allocUnsafeSlow(frame.length);
        own.set(frame);
        this.#frames[at] = own;
      }
    }
    this.#fresh = this.#count;
    this.#chunk = empty;
    this.#at = 0;
    this.held =
      this.#count === 0 && this.#gathering === undefined
        ? 0
        : Math.max(0, this.#bytes - this.#missing) + frameOverheadBytes * (this.#count + 1);
    return "dry";
  }
}

/** What a frame costs beside its bytes. */
const frameOverheadBytes = 128;

/** Whether two frames of at most 255 bytes have the same bytes; a loop, as calls cost more. */
function isSame(one: Buffer, other: Buffer): boolean {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at += 1) if (one[at] !== other[at]) return false;
  return true;
}

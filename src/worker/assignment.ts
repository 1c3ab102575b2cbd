// One request being served: its body, deadline and signal, and its parts as credit lets them go.
// It must not know sockets or what operations do.
import { type Frames, plant, sizeOf } from "../mdp/mdp.ts";
import type { Code } from "../util/catalogue.ts";
import { PlantError } from "../util/errors.ts";
import type { Room } from "./room.ts";

/** One request with a body of any kind. */
export interface RawRequest {
  readonly service: string;
  /** The frames as they came; never changed. */
  readonly body: Frames;
  /** Trace id, 32 hexadecimal digits; zeros from a client whose dialect has none. */
  readonly trace: string;
  /** Aborts at the deadline, when the client cancels, and when the broker is lost. */
  readonly signal: AbortSignal;
  /** Bytes the frames of one reply, or of one part, may have together. */
  readonly replyBytesMax: number;
  /** Milliseconds left of the client's deadline; Infinity without one. */
  remainingMs(): number;
  /**
   * Sends one part of a stream; resolves when the next may follow: at once, or when the client has
   * read. Nothing happens when the client wants no parts.
   * @throws PlantError the reason of `signal`, once it aborted; MESSAGE_TOO_LARGE; LIMIT_REACHED
   * when too many wait, because nobody awaited them.
   */
  partial(body: Frames): Promise<void>;
  /**
   * To be awaited before a part or a reply is made that may be long, and disposed of when it was
   * sent or returned: the client takes parts, and not too much is on its way from this worker.
   * @throws PlantError the reason of `signal`, once it aborted.
   */
  room(): Promise<Disposable>;
}

/** What an assignment needs of the connection it came by. */
export interface Carrier {
  readonly service: string;
  readonly replyBytesMax: number;
  nowMs(): number;
  /** Another turn of the event loop. */
  turn(): Promise<void>;
  /** False when there is no room for parts at this moment. */
  readonly hasRoom: boolean;
  /** Sends a part. @throws PlantError MESSAGE_TOO_LARGE, INTERNAL for a body without frames. */
  sendPart(assignment: Assignment, body: Frames): void;
  /** Room for a long answer. */
  readonly room: Room;
}

/** Parts sent before other work may have its turn, where no credit makes the sender pause. */
const partsPerTurn = 256;
/** Parts that may wait for credit; only an operation that does not await them has more than one. */
const waitingMax = 1024;

const atOnce = Promise.resolve();
/** What lists are before anything is in them: most requests have no parts. */
const none: never[] = [];

interface WaitingPart {
  readonly body: Frames;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Assignment implements RawRequest {
  readonly head: plant.Head;
  readonly body: Frames;
  /** Number of the connection it came by. */
  readonly connection: number;
  /** Monotonic time of the client's deadline; Infinity without one. */
  readonly dueMs: number;
  /** Whether its operation was called. */
  hasBegun = false;
  readonly #carrier: Carrier;
  #abort: AbortController | undefined;
  #reason: PlantError | undefined;
  #credit: number;
  /** Sizes of the parts whose credit is not back, oldest first. */
  #underWay: number[] = none;
  #bytesUnderWay = 0;
  #waiting: WaitingPart[] = none;
  #parts = 0;
  #flushed: (() => void) | undefined;
  /** Those who wait for credit before they make a part. */
  #uncredited: PromiseWithResolvers<void> | undefined;

  constructor(carrier: Carrier, request: Received) {
    const { head } = request;
    this.head = head;
    this.body = request.body;
    this.connection = request.connection;
    this.#carrier = carrier;
    const { remainingMs } = head;
    this.dueMs =
      remainingMs === plant.noDeadline ? Number.POSITIVE_INFINITY : request.atMs + remainingMs;
    this.#credit = this.isPaced ? plant.creditAtStart : Number.POSITIVE_INFINITY;
  }

  get service(): string {
    return this.#carrier.service;
  }

  get trace(): string {
    const { trace } = this.head;
    return Buffer.from(trace.buffer, trace.byteOffset, trace.byteLength).toString("hex");
  }

  /** Made when first asked for: most operations never do. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#reason !== undefined) this.#abort.abort(this.#reason);
    }
    return this.#abort.signal;
  }

  get replyBytesMax(): number {
    return this.#carrier.replyBytesMax;
  }

  /** Why it was told to stop, if it was. */
  get stopReason(): PlantError | undefined {
    return this.#reason;
  }

  /** A stream that credit paces. */
  get isPaced(): boolean {
    return (this.head.flags & plant.flag.credit) !== 0;
  }

  remainingMs(): number {
    return Math.max(0, this.dueMs - this.#carrier.nowMs());
  }

  partial(body: Frames): Promise<void> {
    if (this.#reason !== undefined) return Promise.reject(this.#reason);
    if ((this.head.flags & plant.flag.partials) === 0) return atOnce;
    if (this.#waiting.length > 0 || !this.#mayGo()) return this.#wait(body);
    try {
      return this.#go(body);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async room(): Promise<Disposable> {
    while (this.#reason === undefined && !this.#hasCredit()) {
      this.#uncredited ??= Promise.withResolvers();
      await this.#uncredited.promise;
    }
    if (this.#reason !== undefined) throw this.#reason;
    return await this.#carrier.room.enter(this.signal);
  }

  /** Tells the operation to stop; the signal's reason is a PlantError with this code. */
  abort(code: Code): void {
    if (this.#reason !== undefined) return;
    this.#reason = new PlantError(code, { waitedMs: this.head.remainingMs });
    this.#abort?.abort(this.#reason);
    for (const { reject } of this.#waiting.splice(0)) reject(this.#reason);
    this.#flushed?.();
    this.#uncredited?.resolve();
  }

  /** The client has read so many parts and lets as many more come. */
  grant(credit: number): void {
    this.#credit += credit;
    for (const size of this.#underWay.splice(0, credit)) this.#bytesUnderWay -= size;
    this.#uncredited?.resolve();
    this.#uncredited = undefined;
    this.goOn();
  }

  /** Sends what waits, as far as it may go. */
  goOn(): void {
    while (this.#waiting.length > 0 && this.#mayGo()) {
      const part = this.#waiting.shift();
      if (part === undefined) break;
      try {
        this.#go(part.body).then(part.resolve, part.reject);
      } catch (error) {
        part.reject(error);
      }
    }
    if (this.#waiting.length === 0) this.#flushed?.();
  }

  /** Whether parts wait that nobody awaited; the last reply comes after them. */
  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Resolves when no part waits any more. */
  flushed(): Promise<void> {
    if (this.#waiting.length === 0) return atOnce;
    return new Promise((resolve) => {
      this.#flushed = resolve;
    });
  }

  #mayGo(): boolean {
    return this.#hasCredit() && this.#carrier.hasRoom;
  }

  #hasCredit(): boolean {
    return this.#credit > 0 && this.#bytesUnderWay < plant.creditBytes;
  }

  #go(body: Frames): Promise<void> {
    this.#carrier.sendPart(this, body);
    if (this.isPaced) {
      const size = sizeOf(body);
      this.#credit -= 1;
      this.#bytesUnderWay += size;
      if (this.#underWay === none) this.#underWay = [];
      this.#underWay.push(size);
      return atOnce;
    }
    this.#parts += 1;
    return this.#parts % partsPerTurn === 0 ? this.#carrier.turn() : atOnce;
  }

  #wait(body: Frames): Promise<void> {
    if (this.#waiting.length >= waitingMax) {
      const detail = { limit: "parts waiting for credit", max: waitingMax };
      return Promise.reject(new PlantError("LIMIT_REACHED", detail));
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#waiting === none) this.#waiting = [];
    this.#waiting.push({ body, resolve, reject });
    promise.catch(() => {}); // who does not await a part is not told of it
    return promise;
  }
}

/** A request as it came. */
export interface Received {
  readonly head: plant.Head;
  readonly body: Frames;
  /** Monotonic time. */
  readonly atMs: number;
  readonly connection: number;
}

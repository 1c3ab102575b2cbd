// The client's connection to the broker: requests by id, deadlines, loss and return.
// It must not know what bodies mean.
import { type Frames, plant, sizeOf } from "../mdp/mdp.ts";
import type { Clock } from "../util/clock.ts";
import { watchDeadlines } from "../util/deadlines.ts";
import { hasCode, PlantError, type WireError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import type { Running } from "../util/running.ts";
import {
  type DealerOptions,
  openSteadyDealer,
  type SteadyDealer,
  type Transport,
} from "../wire/wire.ts";

export interface LinkDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly transport: Transport;
}

export interface LinkSettings {
  readonly endpoint: string;
  readonly curve?: DealerOptions["curve"];
  readonly connectMs: number;
  readonly requestsMax: number;
  readonly livenessMs: number;
  readonly framesMax: number;
  readonly messageBytesMax: number;
}

/** One request; exactly one of `onFinal` and `onError` is called, once. */
export interface Question {
  readonly service: string;
  readonly body: Frames;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  readonly trace: Uint8Array;
  readonly flags: number;
  readonly onPartial: (body: Frames) => void;
  readonly onFinal: (body: Frames) => void;
  readonly onError: (error: PlantError) => void;
}

export interface Asked {
  /** Ends the request without a word to its owner; nothing happens when it is over. */
  cancel(): void;
  /** Allows the worker further parts. */
  grant(credit: number): void;
}

export interface Link extends Running {
  ask(question: Question): Asked;
}

interface Pending {
  readonly id: number;
  readonly question: Question;
  readonly dueMs: number;
  /** When it fails as unreachable unless it was sent. */
  readonly unsentDueMs: number;
  isSent: boolean;
  readonly onAbort: () => void;
}

/** Frames of a reply. */
const replyFramesMax = 1024;
/** Bytes a message may have beside its body. */
const headroomBytes = 4096;
/** Time between finding the broker silent and giving it up. */
const secondLookMs = 200;
/** The broker is told less than the client waits, so that its answer comes first. */
const marginMaxMs = 100;

/** Opens the connection. @throws PlantError ENDPOINT_UNUSABLE */
export function openLink(deps: LinkDeps, settings: LinkSettings): Link {
  return new BrokerLink(deps, settings);
}

class BrokerLink implements Link {
  readonly #deps: LinkDeps;
  readonly #settings: LinkSettings;
  readonly #pending = new Map<number, Pending>();
  readonly #deadlines;
  readonly #closing = new AbortController();
  readonly #dealer: SteadyDealer;
  #heardMs = 0;
  #isProbed = false;
  /** Silent for too long at the last look; after a standstill of ours, replies are yet to be read. */
  #isSuspect = false;
  #nextId = 1;

  constructor(deps: LinkDeps, settings: LinkSettings) {
    this.#deps = deps;
    this.#settings = settings;
    this.#deadlines = watchDeadlines(deps.clock, (nowMs) => this.#expire(nowMs));
    this.#dealer = this.#openDealer();
  }

  get ended(): Promise<Error | undefined> {
    return this.#dealer.ended;
  }

  ask(question: Question): Asked {
    const refusal = this.#refusalOf(question);
    if (refusal !== undefined) {
      question.onError(refusal);
      return { cancel: () => {}, grant: () => {} };
    }
    const id = this.#nextId;
    this.#nextId = id >= 2 ** 48 ? 1 : id + 1;
    const nowMs = this.#deps.clock.monotonicMs();
    const pending: Pending = {
      id,
      question,
      dueMs: nowMs + question.deadlineMs,
      unsentDueMs: nowMs + Math.min(question.deadlineMs, this.#settings.connectMs),
      isSent: false,
      onAbort: () => this.#abandon(id, new PlantError("CANCELLED")),
    };
    this.#pending.set(id, pending);
    question.signal?.addEventListener("abort", pending.onAbort, { once: true });
    if (this.#dealer.isUp) this.#send(pending, nowMs);
    const lookMs = nowMs + this.#settings.livenessMs / 2;
    this.#deadlines.watch(Math.min(this.#dueOf(pending), lookMs));
    return {
      cancel: () => this.#abandon(id, undefined),
      grant: (credit) => this.#say({ kind: "credit", credit, ...this.#about(pending) }, pending),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#deadlines.stop();
    for (const pending of [...this.#pending.values()]) {
      this.#abandon(pending.id, new PlantError("CANCELLED"));
    }
    await this.#dealer[Symbol.asyncDispose]();
  }

  #refusalOf(question: Question): PlantError | undefined {
    const { requestsMax, messageBytesMax, framesMax } = this.#settings;
    if (this.#closing.signal.aborted || question.signal?.aborted) {
      return new PlantError("CANCELLED");
    }
    if (this.#pending.size >= requestsMax) {
      return new PlantError("LIMIT_REACHED", { limit: "requests in flight", max: requestsMax });
    }
    if (question.body.length > framesMax) {
      return new PlantError("LIMIT_REACHED", { limit: "frames in a request", max: framesMax });
    }
    const size = sizeOf(question.body);
    if (size > messageBytesMax) {
      return new PlantError("MESSAGE_TOO_LARGE", { size, max: messageBytesMax });
    }
    if (!/^[\x21-\x7e]{1,255}$/.test(question.service) || question.body.length === 0) {
      return new PlantError("REQUEST_MALFORMED", { reason: "no service or no body" });
    }
    if (!(question.deadlineMs > 0)) {
      return new PlantError("REQUEST_MALFORMED", { reason: "a deadline is more than 0 ms" });
    }
    return undefined;
  }

  #openDealer(): SteadyDealer {
    const { messageBytesMax, requestsMax, endpoint, curve } = this.#settings;
    return openSteadyDealer(this.#deps, {
      endpoint,
      curve,
      messageBytesMax: messageBytesMax + headroomBytes,
      framesMax: replyFramesMax,
      sendQueueMax: requestsMax * 2,
      sendBytesMax: 4 * messageBytesMax,
      onMessage: (frames) => this.#hear(frames),
      onUp: (isAnew) => this.#up(isAnew),
      onLost: (reason) => this.#lost(reason),
    });
  }

  #up(isAnew: boolean): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const { endpoint } = this.#settings;
    if (isAnew) this.#deps.log.info("The broker is back", { endpoint });
    this.#isProbed = false;
    this.#isSuspect = false;
    this.#heardMs = nowMs;
    for (const pending of this.#pending.values()) this.#send(pending, nowMs);
  }

  /** What was sent may have been carried out and fails; what was not sent waits on. */
  #lost(reason: string): void {
    const { endpoint } = this.#settings;
    this.#deps.log.warn("The broker is lost", { code: "BROKER_LOST", endpoint, reason });
    for (const pending of [...this.#pending.values()]) {
      if (pending.isSent) this.#finish(pending, new PlantError("BROKER_LOST", { endpoint }));
    }
  }

  #hear(frames: Frames): void {
    this.#heardMs = this.#deps.clock.monotonicMs();
    this.#isProbed = false;
    this.#isSuspect = false;
    this.#dealer.prove();
    const message = this.#decode(frames);
    if (message === undefined) return;
    const pending = this.#pending.get(message.head.id);
    if (pending === undefined) return;
    switch (message.kind) {
      case "partial":
        pending.question.onPartial(message.body);
        return;
      case "final":
        this.#finish(pending, undefined);
        pending.question.onFinal(message.body);
        return;
      case "error":
        this.#finish(pending, readError(message.error));
    }
  }

  #decode(frames: Frames): plant.ToClient | undefined {
    try {
      return plant.decodeToClient(frames);
    } catch (error) {
      if (!hasCode(error, "FRAME_MALFORMED")) throw error;
      this.#deps.log.warn("A reply is not understood", { code: error.code, ...error.detail });
      return undefined;
    }
  }

  #send(pending: Pending, nowMs: number): void {
    pending.isSent = true;
    const { service, body, deadlineMs, trace, flags } = pending.question;
    const marginMs = Math.min(deadlineMs / 5, marginMaxMs);
    const leftMs = pending.dueMs - nowMs - marginMs;
    const remainingMs = Math.min(plant.noDeadline - 1, Math.max(1, Math.floor(leftMs)));
    const head = { id: pending.id, remainingMs, trace, flags };
    if (!this.#dealer.send(plant.encodeFromClient({ kind: "request", service, head, body }))) {
      const { requestsMax } = this.#settings;
      const detail = { limit: "messages to the broker", max: requestsMax * 2 };
      this.#finish(pending, new PlantError("LIMIT_REACHED", detail));
    }
  }

  #about(pending: Pending): { service: string; head: plant.Head } {
    const { service, trace, flags } = pending.question;
    return { service, head: { id: pending.id, remainingMs: plant.noDeadline, trace, flags } };
  }

  #say(message: plant.FromClient, pending: Pending): void {
    if (!this.#dealer.isUp || !pending.isSent || !this.#pending.has(pending.id)) return;
    this.#dealer.send(plant.encodeFromClient(message));
  }

  #dueOf(pending: Pending): number {
    return pending.isSent ? pending.dueMs : pending.unsentDueMs;
  }

  #abandon(id: number, error: PlantError | undefined): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#say({ kind: "cancel", ...this.#about(pending) }, pending);
    this.#finish(pending, error);
  }

  #finish(pending: Pending, error: PlantError | undefined): void {
    this.#pending.delete(pending.id);
    pending.question.signal?.removeEventListener("abort", pending.onAbort);
    if (error !== undefined) pending.question.onError(error);
  }

  /** Ends what is due, looks after a silent broker, and names the next time to look. */
  #expire(nowMs: number): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const pending of [...this.#pending.values()]) {
      const dueMs = this.#dueOf(pending);
      if (dueMs > nowMs) {
        nextMs = Math.min(nextMs, dueMs);
        continue;
      }
      const { endpoint } = this.#settings;
      const error = pending.isSent
        ? new PlantError("TIME_RAN_OUT", { waitedMs: pending.question.deadlineMs })
        : new PlantError("BROKER_UNREACHABLE", { endpoint });
      this.#abandon(pending.id, error);
    }
    if (this.#pending.size === 0) return nextMs;
    return Math.min(nextMs, this.#probe(nowMs));
  }

  /** With requests waiting and nothing heard, asks for a sign of life; then gives the broker up. */
  #probe(nowMs: number): number {
    const { livenessMs } = this.#settings;
    if (!this.#dealer.isUp) return nowMs + livenessMs / 2;
    const silentMs = nowMs - this.#heardMs;
    if (silentMs >= livenessMs && this.#isProbed) {
      if (!this.#isSuspect) {
        this.#isSuspect = true;
        return nowMs + secondLookMs;
      }
      this.#dealer.lose("it is silent");
      return nowMs + livenessMs / 2;
    }
    if (silentMs < livenessMs / 2) return this.#heardMs + livenessMs / 2;
    if (!this.#isProbed) {
      this.#isProbed = true;
      this.#heardMs = Math.max(this.#heardMs, nowMs - livenessMs / 2);
      const head = { id: 0, remainingMs: plant.noDeadline, trace: Buffer.alloc(16), flags: 0 };
      const body = [Buffer.from("mmi.service")];
      const message = { kind: "request", service: "mmi.service", head, body } as const;
      this.#dealer.send(plant.encodeFromClient(message));
    }
    return this.#heardMs + livenessMs;
  }
}

function readError(frame: Uint8Array): PlantError {
  const text = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString("utf8");
  try {
    return PlantError.fromWire((JSON.parse(text) ?? {}) as Partial<WireError>);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return new PlantError("REMOTE_FAILED", { remoteCode: "none", message: text.slice(0, 200) });
  }
}

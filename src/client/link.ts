// The client's connection to the broker: requests by id, deadlines, loss and return.
// It must not know what bodies mean.
import { type Frames, plant, sizeOf } from "../mdp/mdp.ts";
import type { Clock } from "../util/clock.ts";
import { type Deadlines, watchDeadlines } from "../util/deadlines.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import type { Running } from "../util/running.ts";
import {
  type DealerOptions,
  openSteadyDealer,
  type SteadyDealer,
  type Transport,
} from "../wire/wire.ts";
import type { Asking, Question } from "./question.ts";
import { openTraces, type Traces } from "./trace.ts";

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

export interface Link extends Running, Asking {}

/** Frames of a reply. */
const replyFramesMax = 1024;
/** Bytes a message may have beside its body. */
const headroomBytes = 4096;
/** A broker is looked after so many times per `livenessMs`, while requests wait. */
const looksPerLiveness = 4;
/** Silent looks after which the broker is asked for a sign of life. */
const looksBeforeProbe = 2;
/** Time between finding the broker silent and giving it up: replies may be yet to be read. */
const secondLookMs = 200;
/** The broker is told less than the client waits, so that its answer comes first. */
const marginMaxMs = 100;
/** Questions looked at per millisecond, at most, for those that are due. */
const looksPerMs = 256;
/** Names of services known to be well formed. */
const namesMax = 1024;

/** Opens the connection. @throws PlantError ENDPOINT_UNUSABLE */
export function openLink(deps: LinkDeps, settings: LinkSettings): Link {
  return new BrokerLink(deps, settings);
}

class BrokerLink implements Link {
  readonly #deps: LinkDeps;
  readonly #settings: LinkSettings;
  readonly #pending = new Map<number, Question>();
  readonly #names = new Set<string>();
  readonly #traces: Traces;
  readonly #deadlines: Deadlines;
  readonly #dealer: SteadyDealer;
  /** Cancels and credit that found the queue full; they go first once there is room. */
  #owed: Frames[] = [];
  #isClosed = false;
  #isHeard = false;
  /** Looks in a row that found nothing heard. */
  #silentLooks = 0;
  #nextLookMs = 0;
  #nextId = 1;

  constructor(deps: LinkDeps, settings: LinkSettings) {
    this.#deps = deps;
    this.#settings = settings;
    this.#traces = openTraces(deps.random);
    this.#deadlines = watchDeadlines(deps.clock, (nowMs) => this.#expire(nowMs));
    this.#dealer = this.#openDealer();
  }

  get ended(): Promise<Error | undefined> {
    return this.#dealer.ended;
  }

  ask(question: Question): void {
    const refusal = this.#refusalOf(question);
    if (refusal !== undefined) {
      question.standing = "over";
      question.onError(refusal);
      return;
    }
    const nowMs = this.#deps.clock.monotonicMs();
    if (this.#pending.size === 0) this.#lookAnew(nowMs);
    question.id = this.#nextId;
    this.#nextId = this.#nextId >= 2 ** 48 ? 1 : this.#nextId + 1;
    question.standing = "waiting";
    const { deadlineMs, options } = question.about;
    question.dueMs = nowMs + deadlineMs;
    this.#pending.set(question.id, question);
    options.signal?.addEventListener("abort", question, { once: true });
    if (this.#dealer.isUp) this.#send(question, nowMs);
    this.#deadlines.watch(Math.min(this.#dueOf(question), this.#nextLookMs));
  }

  abandon(question: Question, error: PlantError | undefined): void {
    if (this.#pending.get(question.id) !== question) return;
    const wasSent = question.standing === "sent";
    this.#finish(question, error);
    if (wasSent) this.#say({ kind: "cancel", ...this.#about(question) });
  }

  grant(question: Question, credit: number): void {
    if (question.standing !== "sent") return;
    this.#say({ kind: "credit", credit, ...this.#about(question) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#deadlines.stop();
    for (const question of this.#pending.values()) {
      this.abandon(question, new PlantError("CANCELLED"));
    }
    await this.#dealer[Symbol.asyncDispose]();
  }

  #refusalOf(question: Question): PlantError | undefined {
    const { requestsMax, messageBytesMax, framesMax } = this.#settings;
    const { service, body, deadlineMs, options } = question.about;
    if (this.#isClosed || options.signal?.aborted === true) return new PlantError("CANCELLED");
    if (this.#pending.size >= requestsMax) {
      return new PlantError("LIMIT_REACHED", { limit: "requests in flight", max: requestsMax });
    }
    if (body.length > framesMax) {
      return new PlantError("LIMIT_REACHED", { limit: "frames in a request", max: framesMax });
    }
    const size = sizeOf(body);
    if (size > messageBytesMax) {
      return new PlantError("MESSAGE_TOO_LARGE", { size, max: messageBytesMax });
    }
    if (!this.#isName(service) || body.length === 0) {
      return new PlantError("REQUEST_MALFORMED", { reason: "no service or no body" });
    }
    if (!(deadlineMs > 0)) {
      return new PlantError("REQUEST_MALFORMED", { reason: "a deadline is more than 0 ms" });
    }
    if (options.trace !== undefined && !this.#traces.isOne(options.trace)) {
      return new PlantError("REQUEST_MALFORMED", { reason: "a trace has 32 hexadecimal digits" });
    }
    return undefined;
  }

  #isName(service: string): boolean {
    if (this.#names.has(service)) return true;
    if (!/^[\x21-\x7e]{1,255}$/.test(service)) return false;
    if (this.#names.size >= namesMax) this.#names.clear();
    this.#names.add(service);
    return true;
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
      onDrained: () => this.#payOwed(),
    });
  }

  #up(isAnew: boolean): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const { endpoint } = this.#settings;
    if (isAnew) this.#deps.log.info("The broker is back", { endpoint });
    this.#lookAnew(nowMs);
    for (const question of this.#pending.values()) this.#send(question, nowMs);
  }

  /** What was sent may have been carried out and fails; what was not sent waits on. */
  #lost(reason: string): void {
    const { endpoint } = this.#settings;
    this.#deps.log.warn("The broker is lost", { code: "BROKER_LOST", endpoint, reason });
    this.#owed = [];
    for (const question of this.#pending.values()) {
      if (question.standing !== "sent") continue;
      this.#finish(question, new PlantError("BROKER_LOST", { endpoint }));
    }
  }

  #hear(frames: Frames): void {
    this.#isHeard = true;
    this.#dealer.prove();
    const message = this.#decode(frames);
    if (message === undefined) return;
    const question = this.#pending.get(message.head.id);
    if (question === undefined) return;
    switch (message.kind) {
      case "partial":
        question.onPartial(message.body);
        return;
      case "final":
        this.#finish(question, undefined);
        question.onFinal(message.body);
        return;
      case "error":
        this.#finish(question, PlantError.fromBytes(message.error));
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

  #send(question: Question, nowMs: number): void {
    question.standing = "sent";
    const { id, flags, about } = question;
    const { service, body, deadlineMs } = about;
    const marginMs = Math.min(deadlineMs / 5, marginMaxMs);
    const leftMs = Math.max(1, Math.floor(question.dueMs - nowMs - marginMs));
    const remainingMs = Math.min(plant.noDeadline - 1, leftMs);
    const head = { id, remainingMs, trace: this.#traces.bytesOf(question), flags };
    if (this.#dealer.send(plant.encodeFromClient({ kind: "request", service, head, body }))) return;
    const detail = { limit: "messages to the broker", max: this.#settings.requestsMax * 2 };
    this.#finish(question, new PlantError("LIMIT_REACHED", detail));
  }

  #about(question: Question): { service: string; head: plant.Head } {
    const { id, flags, about } = question;
    const trace = this.#traces.bytesOf(question);
    return { service: about.service, head: { id, remainingMs: plant.noDeadline, trace, flags } };
  }

  /** Says what must not get lost: it waits for room where there is none. */
  #say(message: plant.FromClient): void {
    const frames = plant.encodeFromClient(message);
    if (this.#owed.length === 0 && this.#dealer.send(frames)) return;
    if (!this.#dealer.isUp) return;
    this.#owed.push(frames);
    if (this.#owed.length > this.#settings.requestsMax * 2) {
      this.#dealer.lose("it does not take our messages");
    }
  }

  #payOwed(): void {
    const owed = this.#owed;
    let paid = 0;
    for (const frames of owed) {
      if (!this.#dealer.send(frames)) break;
      paid += 1;
    }
    owed.splice(0, paid);
  }

  #finish(question: Question, error: PlantError | undefined): void {
    question.standing = "over";
    this.#pending.delete(question.id);
    question.about.options.signal?.removeEventListener("abort", question);
    if (error !== undefined) question.onError(this.#traces.withTrace(error, question));
  }

  /** What was not sent fails as unreachable, maybe before its deadline. */
  #dueOf({ standing, dueMs, about }: Question): number {
    if (standing === "sent") return dueMs;
    return dueMs - Math.max(0, about.deadlineMs - this.#settings.connectMs);
  }

  /** Ends what is due, looks after a silent broker, and names the next time to look. */
  #expire(nowMs: number): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const question of this.#pending.values()) {
      const dueMs = this.#dueOf(question);
      if (dueMs > nowMs) {
        nextMs = Math.min(nextMs, dueMs);
        continue;
      }
      const { endpoint } = this.#settings;
      const error =
        question.standing === "sent"
          ? new PlantError("TIME_RAN_OUT", { waitedMs: question.about.deadlineMs })
          : new PlantError("BROKER_UNREACHABLE", { endpoint });
      this.abandon(question, error);
    }
    if (this.#owed.length > 0) this.#payOwed();
    const { size } = this.#pending;
    if (size === 0) return nextMs;
    if (nowMs >= this.#nextLookMs) this.#look(nowMs);
    return Math.max(nowMs + size / looksPerMs, Math.min(nextMs, this.#nextLookMs));
  }

  #lookAnew(nowMs: number): void {
    this.#silentLooks = 0;
    this.#isHeard = false;
    this.#nextLookMs = nowMs + this.#settings.livenessMs / looksPerLiveness;
  }

  /** With requests waiting and nothing heard, asks for a sign of life; then gives the broker up. */
  #look(nowMs: number): void {
    if (this.#isHeard || !this.#dealer.isUp) {
      this.#lookAnew(nowMs);
      return;
    }
    this.#silentLooks += 1;
    this.#nextLookMs = nowMs + this.#settings.livenessMs / looksPerLiveness;
    if (this.#silentLooks === looksBeforeProbe) {
      const head = { id: 0, remainingMs: plant.noDeadline, trace: new Uint8Array(16), flags: 0 };
      const body = [Buffer.from("mmi.service")];
      this.#say({ kind: "request", service: "mmi.service", head, body });
    }
    if (this.#silentLooks === looksPerLiveness) this.#nextLookMs = nowMs + secondLookMs;
    if (this.#silentLooks > looksPerLiveness) this.#dealer.lose("it is silent");
  }
}

// The worker's place at the broker: ready, beats, requests in, loss and return.
// It must not know what operations do.
import { type Frames, plant } from "../mdp/mdp.ts";
import type { Clock } from "../util/clock.ts";
import { type Deadlines, watchDeadlines } from "../util/deadlines.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import { type Running, startLoop, within } from "../util/running.ts";
import {
  type DealerOptions,
  openSteadyDealer,
  type SteadyDealer,
  type Transport,
} from "../wire/wire.ts";
import { Assignment, type Carrier } from "./assignment.ts";
import { isPromise, type RawOperation } from "./operations.ts";
import { Replies, replyFramesMax } from "./replies.ts";
import { Room } from "./room.ts";
import { Standing } from "./standing.ts";

/** A registered worker. */
export interface Worker extends Running {
  readonly service: string;
  /** Requests being served at this moment. */
  readonly busy: number;
}

export interface RegistrationDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly transport: Transport;
}

export interface RegistrationSettings {
  readonly endpoint: string;
  readonly curve?: DealerOptions["curve"];
  readonly service: string;
  readonly concurrency: number;
  readonly heartbeatMs: number;
  readonly livenessMs: number;
  readonly messageBytesMax: number;
  readonly answersBytesMax: number;
  readonly graceMs: number;
  readonly drainMs: number;
}

/** Frames and bytes a message may have beside its body. */
const headroomFrames = 8;
const headroomBytes = 4096;
/** Messages waiting for the broker. */
const sendQueueMax = 16_384;
/** Why a connection is given up that the broker wants no more. */
const sentAway = "it sent us away";
/** Longest wait before a worker asks again that was refused, in milliseconds. */
const refusedMs = 60_000;
/** Requests looked at per millisecond, at most, for those whose time is over. */
const looksPerMs = 256;

export class Registration implements Worker, Carrier {
  readonly service: string;
  readonly replyBytesMax: number;
  readonly room: Room;
  readonly #deps: RegistrationDeps;
  readonly #settings: RegistrationSettings;
  readonly #serve: RawOperation;
  readonly #standing: Standing;
  /** What this connection's requests became, those that have not begun among them. */
  readonly #assignments = new Map<number, Assignment>();
  /** Requests that wait until operations of a lost connection give up their room. */
  #waiting: Assignment[] = [];
  /** Operations under way, of lost connections too. */
  #running = 0;
  #onIdle: (() => void) | undefined;
  readonly #beat: Running;
  readonly #deadlines: Deadlines;
  readonly #dealer: SteadyDealer;
  readonly #replies: Replies;
  /** READY was said on this connection, and no DISCONNECT was heard. */
  #isRegistered = false;
  #closed: Promise<void> | undefined;
  #heardMs = 0;
  /** Silent for too long at the last look; after a standstill of ours, beats are yet to be read. */
  #isSuspect = false;

  constructor(deps: RegistrationDeps, settings: RegistrationSettings, serve: RawOperation) {
    this.service = settings.service;
    this.replyBytesMax = settings.messageBytesMax;
    this.#deps = deps;
    this.#settings = settings;
    this.#serve = serve;
    this.#deadlines = watchDeadlines(deps.clock, (nowMs) => this.#expire(nowMs));
    this.#standing = new Standing(deps.log, settings);
    this.#dealer = this.#openDealer();
    this.#replies = new Replies(deps.log, this.#dealer, this);
    this.room = new Room(() => this.hasRoom);
    const { clock } = deps;
    this.#beat = startLoop({ clock, round: () => this.#round(), pauseMs: settings.heartbeatMs });
  }

  get ended(): Promise<Error | undefined> {
    return this.#dealer.ended;
  }

  get busy(): number {
    return this.#running;
  }

  get hasRoom(): boolean {
    return this.#replies.hasRoom;
  }

  nowMs(): number {
    return this.#deps.clock.monotonicMs();
  }

  turn(): Promise<void> {
    return this.#deps.clock.sleep(0);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** Begins nothing new, gives back what has not begun, lets the rest finish, then goes. */
  async #close(): Promise<void> {
    const { clock } = this.#deps;
    const { graceMs, drainMs } = this.#settings;
    this.#leave();
    for (const one of this.#assignments.values()) if (one.isPaced) one.abort("CANCELLED");
    await within(clock, Math.min(graceMs, drainMs), this.#idle());
    for (const one of this.#assignments.values()) one.abort("CANCELLED");
    await within(clock, Math.max(0, drainMs - graceMs), this.#idle());
    await this.#beat[Symbol.asyncDispose]();
    this.#deadlines.stop();
    if (this.#isRegistered) this.#dealer.send(plant.encodeFromWorker({ kind: "disconnect" }));
    await this.#dealer[Symbol.asyncDispose]();
  }

  /** Asks for no more; the newest goes back first, so that all find their old order. */
  #leave(): void {
    if (!this.#isRegistered) return;
    this.#replies.say(plant.encodeFromWorker({ kind: "leave" }));
    for (const assignment of this.#waiting.splice(0).reverse()) this.#giveBack(assignment);
  }

  /** A request that has not begun goes back to the broker, which gives it to another worker. */
  #giveBack({ head, body }: Assignment): void {
    const { service } = this;
    this.#assignments.delete(head.id);
    this.#replies.say(plant.encodeFromWorker({ kind: "returned", service, head, body }));
  }

  /** Resolves when nothing is under way and the broker, having heard all of it, let us go. */
  #idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      this.#tellIdle();
    });
  }

  #tellIdle(): void {
    if (this.#running === 0 && !this.#isRegistered) this.#onIdle?.();
  }

  #openDealer(): SteadyDealer {
    const { endpoint, curve, messageBytesMax, answersBytesMax } = this.#settings;
    return openSteadyDealer(this.#deps, {
      endpoint,
      curve,
      messageBytesMax: messageBytesMax + headroomBytes,
      framesMax: replyFramesMax + headroomFrames,
      sendQueueMax,
      sendBytesMax: answersBytesMax,
      onMessage: (frames) => this.#hear(frames),
      onUp: () => this.#up(),
      onLost: (reason) => this.#lost(reason),
      onDrained: () => this.#drained(),
    });
  }

  #up(): void {
    const { service, concurrency } = this.#settings;
    this.#isSuspect = false;
    this.#replies.hasRoom = true;
    this.room.look();
    this.#heardMs = this.nowMs();
    if (this.#closed !== undefined) return;
    this.#isRegistered = true;
    this.#dealer.send(plant.encodeFromWorker({ kind: "ready", service, concurrency }));
  }

  #round(): void {
    if (!this.#dealer.isUp || !this.#isRegistered) return;
    const silentMs = this.nowMs() - this.#heardMs;
    const isSilent = silentMs >= this.#settings.livenessMs;
    if (isSilent && this.#isSuspect) {
      this.#dealer.lose("it is silent");
      return;
    }
    this.#isSuspect = isSilent;
    if (!this.#replies.hasRoom) this.#drained();
    this.#dealer.send(plant.encodeFromWorker({ kind: "heartbeat" }));
  }

  /** Stops what is under way, whose replies nobody awaits. */
  #lost(reason: string): void {
    this.#standing.lost(reason, reason === sentAway);
    this.#isRegistered = false;
    for (const assignment of this.#assignments.values()) assignment.abort("BROKER_LOST");
    this.#assignments.clear();
    this.#waiting = [];
    this.#replies.forget();
    this.#tellIdle();
  }

  #welcome(): void {
    this.#dealer.prove();
    this.#standing.welcome();
  }

  #hear(frames: Frames): void {
    const nowMs = this.nowMs();
    this.#heardMs = nowMs;
    this.#isSuspect = false;
    let message: plant.ToWorker;
    try {
      message = plant.decodeToWorker(frames);
    } catch (error) {
      if (!hasCode(error, "FRAME_MALFORMED")) throw error;
      this.#deps.log.warn("A message is not understood", { code: error.code, ...error.detail });
      return;
    }
    switch (message.kind) {
      case "request": {
        this.#welcome();
        const { head, body } = message;
        const { connection } = this.#dealer;
        this.#accept(new Assignment(this, { head, body, atMs: nowMs, connection }));
        return;
      }
      case "heartbeat":
        this.#welcome();
        return;
      case "refused":
        this.#standing.refused(PlantError.fromBytes(message.error));
        return;
      case "disconnect":
        this.#dismissed();
        return;
      case "cancel":
        this.#assignments.get(message.head.id)?.abort("CANCELLED");
        return;
      case "credit":
        this.#assignments.get(message.head.id)?.grant(message.credit);
    }
  }

  /** The broker's DISCONNECT: the end of our leave, or we come back later. */
  #dismissed(): void {
    if (this.#closed === undefined) {
      this.#dealer.lose(sentAway, this.#standing.isWelcome ? undefined : refusedMs);
      return;
    }
    this.#isRegistered = false;
    this.#tellIdle();
  }

  #accept(assignment: Assignment): void {
    const { concurrency, service } = this.#settings;
    if (this.#closed !== undefined) {
      this.#giveBack(assignment);
      return;
    }
    if (this.#assignments.size >= concurrency) {
      const detail = { limit: `requests served at once by ${service}`, max: concurrency };
      this.#replies.refuse(assignment, new PlantError("LIMIT_REACHED", detail));
      return;
    }
    if (this.#running >= concurrency || this.#waiting.length > 0) {
      this.#note(assignment);
      this.#waiting.push(assignment);
    } else this.#begin(assignment);
  }

  /** From here on it can be cancelled, granted credit, and ended by its deadline. */
  #note(assignment: Assignment): void {
    this.#assignments.set(assignment.head.id, assignment);
    if (assignment.dueMs !== Number.POSITIVE_INFINITY) this.#deadlines.watch(assignment.dueMs);
  }

  /** An operation that answers at once costs no promise, and is never noted. */
  #begin(assignment: Assignment): void {
    this.#running += 1;
    assignment.hasBegun = true;
    try {
      if (assignment.stopReason !== undefined) throw assignment.stopReason;
      const reply = this.#serve(assignment);
      if (isPromise(reply) || assignment.hasWaiting) {
        this.#note(assignment);
        void this.#finishLater(assignment, reply);
        return;
      }
      this.#replies.sendFinal(assignment, reply);
    } catch (thrown) {
      this.#replies.fail(assignment, thrown);
    }
    this.#end(assignment);
  }

  async #finishLater(assignment: Assignment, reply: Frames | Promise<Frames>): Promise<void> {
    try {
      const body = await reply;
      if (assignment.hasWaiting) await assignment.flushed();
      this.#replies.sendFinal(assignment, body);
    } catch (thrown) {
      this.#replies.fail(assignment, thrown);
    }
    this.#end(assignment);
    this.#beginWaiting();
  }

  #end(assignment: Assignment): void {
    this.#running -= 1;
    const { id } = assignment.head;
    if (this.#assignments.get(id) === assignment) this.#assignments.delete(id);
    if (this.#running === 0) this.#tellIdle();
  }

  /** Operations of a lost connection may have run till now: what came by a new one begins. */
  #beginWaiting(): void {
    while (this.#running < this.#settings.concurrency) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#begin(next);
    }
  }

  sendPart(assignment: Assignment, body: Frames): void {
    this.#replies.sendPart(assignment, body);
  }

  /** There is room again: first what was kept, then parts that wait. */
  #drained(): void {
    if (!this.#replies.sendHeld()) return;
    for (const assignment of this.#assignments.values()) {
      if (assignment.hasWaiting) assignment.goOn();
    }
    this.room.look();
    this.#tellIdle();
  }

  #expire(nowMs: number): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const assignment of this.#assignments.values()) {
      if (assignment.stopReason !== undefined) continue;
      if (assignment.dueMs <= nowMs) assignment.abort("TIME_RAN_OUT");
      else nextMs = Math.min(nextMs, assignment.dueMs);
    }
    return Math.max(nextMs, nowMs + this.#assignments.size / looksPerMs);
  }
}

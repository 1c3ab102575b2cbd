// The worker's place at the broker: ready, beats, requests in, replies out, loss and return.
// It must not know what operations do.
import { type Frames, plant, sizeOf } from "../mdp/mdp.ts";
import type { Clock } from "../util/clock.ts";
import { watchDeadlines } from "../util/deadlines.ts";
import { asPlantError, hasCode, PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import { type Running, startLoop, within } from "../util/running.ts";
import {
  type DealerOptions,
  openSteadyDealer,
  type SteadyDealer,
  type Transport,
} from "../wire/wire.ts";
import { Assignment, type WorkerRequest } from "./assignment.ts";

/** Serves one operation: what it returns is the reply's `data`; a PlantError is its `error`. */
export type Operation = (request: WorkerRequest) => unknown;

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
  readonly drainMs: number;
}

/** Frames and bytes a message may have beside its body. */
const framesMax = 1024;
const headroomBytes = 4096;
/** Messages waiting for the broker. */
const sendQueueMax = 16_384;

export class Registration implements Worker {
  readonly service: string;
  readonly #deps: RegistrationDeps;
  readonly #settings: RegistrationSettings;
  readonly #operations: ReadonlyMap<string, Operation>;
  readonly #assignments = new Map<number, Assignment>();
  readonly #serving = new Set<Promise<void>>();
  #waiting: Assignment[] = [];
  readonly #beat: Running;
  readonly #deadlines;
  readonly #closing = new AbortController();
  readonly #dealer: SteadyDealer;
  #heardMs = 0;
  /** Silent for too long at the last look; after a standstill of ours, beats are yet to be read. */
  #isSuspect = false;

  constructor(
    deps: RegistrationDeps,
    settings: RegistrationSettings,
    operations: ReadonlyMap<string, Operation>,
  ) {
    this.service = settings.service;
    this.#deps = deps;
    this.#settings = settings;
    this.#operations = operations;
    this.#deadlines = watchDeadlines(deps.clock, (nowMs) => this.#expire(nowMs));
    this.#dealer = this.#openDealer();
    const { clock } = deps;
    this.#beat = startLoop({ clock, round: () => this.#round(), pauseMs: settings.heartbeatMs });
  }

  get ended(): Promise<Error | undefined> {
    return this.#dealer.ended;
  }

  get busy(): number {
    return this.#serving.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    for (const assignment of this.#assignments.values()) assignment.abort("CANCELLED");
    await within(this.#deps.clock, this.#settings.drainMs, Promise.all([...this.#serving]));
    await this.#beat[Symbol.asyncDispose]();
    this.#deadlines.stop();
    if (this.#dealer.isUp) this.#dealer.send(plant.encodeFromWorker({ kind: "disconnect" }));
    await this.#dealer[Symbol.asyncDispose]();
  }

  #openDealer(): SteadyDealer {
    const { endpoint, curve, messageBytesMax } = this.#settings;
    return openSteadyDealer(this.#deps, {
      endpoint,
      curve,
      messageBytesMax: messageBytesMax + headroomBytes,
      framesMax,
      sendQueueMax,
      sendBytesMax: 4 * messageBytesMax,
      onMessage: (frames) => this.#hear(frames),
      onUp: (isAnew) => this.#up(isAnew),
      onLost: (reason) => this.#lost(reason),
    });
  }

  #up(isAnew: boolean): void {
    const { service, concurrency, endpoint } = this.#settings;
    this.#isSuspect = false;
    if (isAnew) this.#deps.log.info("The broker is back", { endpoint });
    this.#heardMs = this.#deps.clock.monotonicMs();
    this.#dealer.send(plant.encodeFromWorker({ kind: "ready", service, concurrency }));
  }

  #round(): void {
    if (!this.#dealer.isUp) return;
    const silentMs = this.#deps.clock.monotonicMs() - this.#heardMs;
    const isSilent = silentMs >= this.#settings.livenessMs;
    if (isSilent && this.#isSuspect) {
      this.#dealer.lose("it is silent");
      return;
    }
    this.#isSuspect = isSilent;
    this.#dealer.send(plant.encodeFromWorker({ kind: "heartbeat" }));
  }

  /** Stops what is under way, whose replies nobody awaits. */
  #lost(reason: string): void {
    const { endpoint, service } = this.#settings;
    this.#deps.log.warn("The broker is lost", { code: "BROKER_LOST", endpoint, service, reason });
    for (const assignment of this.#assignments.values()) assignment.abort("BROKER_LOST");
    this.#assignments.clear();
    this.#waiting = [];
  }

  #hear(frames: Frames): void {
    this.#heardMs = this.#deps.clock.monotonicMs();
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
      case "heartbeat":
        this.#dealer.prove();
        return;
      case "disconnect":
        this.#dealer.lose("it sent us away");
        return;
      case "cancel":
        this.#assignments.get(message.head.id)?.abort("CANCELLED");
        return;
      case "credit":
        this.#assignments.get(message.head.id)?.grant(message.credit);
        return;
      case "request":
        this.#dealer.prove();
        this.#accept(message.head, message.body);
    }
  }

  #accept(head: plant.Head, body: Frames): void {
    const { concurrency, service } = this.#settings;
    if (this.#closing.signal.aborted) {
      this.#refuse(head, new PlantError("NO_SERVICE", { service }));
      return;
    }
    if (this.#assignments.size >= concurrency) {
      const detail = { limit: `requests served at once by ${service}`, max: concurrency };
      this.#refuse(head, new PlantError("LIMIT_REACHED", detail));
      return;
    }
    const { connection } = this.#dealer;
    const assignment = new Assignment(this.#deps.clock, head, body, (kind, data) =>
      this.#reply(connection, assignment, { kind, data }),
    );
    this.#assignments.set(head.id, assignment);
    if (assignment.dueMs !== Number.POSITIVE_INFINITY) this.#deadlines.watch(assignment.dueMs);
    this.#waiting.push(assignment);
    this.#startNext();
  }

  /** Operations of a lost connection may still run: what comes by a new one waits for room. */
  #startNext(): void {
    while (this.#serving.size < this.#settings.concurrency) {
      const assignment = this.#waiting.shift();
      if (assignment === undefined) return;
      const served = this.#serve(assignment).finally(() => {
        this.#serving.delete(served);
        const { id } = assignment.head;
        if (this.#assignments.get(id) === assignment) this.#assignments.delete(id);
        this.#startNext();
      });
      this.#serving.add(served);
    }
  }

  async #serve(assignment: Assignment): Promise<void> {
    const { service } = this;
    try {
      const operation = this.#operations.get(assignment.operation);
      if (operation === undefined) {
        const detail = { service, operation: assignment.operation.slice(0, 100) };
        throw new PlantError("OPERATION_UNKNOWN", detail);
      }
      assignment.checkGoesOn();
      const data = await operation(assignment.request());
      assignment.send("final", { success: true, data });
    } catch (thrown) {
      const error = asPlantError(thrown);
      if (error.code === "INTERNAL") {
        const { operation, trace } = assignment;
        this.#deps.log.error("An operation failed", { service, operation, trace, error });
      }
      this.#sendError(assignment, error);
    }
  }

  /** An error whose detail does not travel is told without it. */
  #sendError(assignment: Assignment, error: PlantError): void {
    try {
      assignment.send("final", { success: false, error: error.toWire() });
    } catch (thrown) {
      const { code, message } = asPlantError(thrown);
      this.#deps.log.error("An error could not be told", { service: this.service, code, error });
      const plain = { ...new PlantError(error.code).toWire(), message: message.slice(0, 500) };
      assignment.send("final", { success: false, error: plain });
    }
  }

  /** Replies on the connection the request came by; a reply too large becomes an error. */
  #reply(
    connection: number,
    assignment: Assignment,
    reply: { kind: "partial" | "final"; data: unknown },
  ): void {
    if (!this.#dealer.isUp || connection !== this.#dealer.connection) return;
    const { head } = assignment;
    const body = [Buffer.from(JSON.stringify(reply.data))];
    const size = sizeOf(body);
    const max = this.#settings.messageBytesMax;
    if (size > max) throw new PlantError("MESSAGE_TOO_LARGE", { size, max });
    const { service } = this;
    const message = { kind: reply.kind, service, head, body } as const;
    if (!this.#dealer.send(plant.encodeFromWorker(message))) {
      this.#dealer.lose("it does not take our messages");
    }
  }

  #refuse(head: plant.Head, refusal: PlantError): void {
    const error = Buffer.from(JSON.stringify(refusal.toWire()));
    const { service } = this;
    this.#dealer.send(plant.encodeFromWorker({ kind: "error", service, head, error }));
  }

  #expire(nowMs: number): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const assignment of this.#assignments.values()) {
      if (assignment.isAborted) continue;
      if (assignment.dueMs <= nowMs) assignment.abort("TIME_RAN_OUT");
      else nextMs = Math.min(nextMs, assignment.dueMs);
    }
    return nextMs;
  }
}

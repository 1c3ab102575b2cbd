// What a worker says to its broker about requests: parts, last replies and errors, each in full or
// not at all, and in order where there is no room. It must not know what operations do.
import { type Frames, plant, sizeOf } from "../mdp/mdp.ts";
import { asPlantError, PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { SteadyDealer } from "../wire/wire.ts";
import type { Assignment } from "./assignment.ts";
import { encodeError } from "./operations.ts";

/** Frames of a reply. */
export const replyFramesMax = 1024;

/** Whose replies they are. */
interface Replier {
  readonly service: string;
  readonly replyBytesMax: number;
}

export class Replies {
  /** False while last words wait: no parts are sent meanwhile. */
  hasRoom = true;
  /** Last words that found the queue full; they go first once there is room. */
  #held: Frames[] = [];
  readonly #log: Log;
  readonly #dealer: SteadyDealer;
  readonly #replier: Replier;

  constructor(log: Log, dealer: SteadyDealer, replier: Replier) {
    this.#log = log;
    this.#dealer = dealer;
    this.#replier = replier;
  }

  /** @throws PlantError MESSAGE_TOO_LARGE, INTERNAL */
  sendPart(assignment: Assignment, body: Frames): void {
    this.#send("partial", assignment, body);
  }

  /** @throws PlantError MESSAGE_TOO_LARGE, INTERNAL */
  sendFinal(assignment: Assignment, body: Frames): void {
    this.#send("final", assignment, body);
  }

  /** Replies on the connection the request came by, or not at all. */
  #send(kind: "partial" | "final", assignment: Assignment, body: Frames): void {
    const { service, replyBytesMax } = this.#replier;
    const size = sizeOf(body);
    if (size > replyBytesMax) {
      throw new PlantError("MESSAGE_TOO_LARGE", { size, max: replyBytesMax });
    }
    if (body.length === 0 || body.length > replyFramesMax) {
      throw new PlantError("INTERNAL", { message: `a reply has 1 to ${replyFramesMax} frames` });
    }
    if (assignment.connection !== this.#dealer.connection) return;
    this.say(plant.encodeFromWorker({ kind, service, head: assignment.head, body }));
  }

  /** Tells an error of a raw operation; what is no PlantError is a defect, and logged. */
  fail(assignment: Assignment, thrown: unknown): void {
    const error = asPlantError(thrown);
    if (error.code === "INTERNAL") {
      const { service, trace } = assignment;
      this.#log.error("A request failed", { code: error.code, trace, service, error });
    }
    this.refuse(assignment, error);
  }

  /** Tells an error on the connection the request came by, or not at all. */
  refuse({ head, connection }: Pick<Assignment, "head" | "connection">, refusal: PlantError): void {
    if (connection !== this.#dealer.connection) return;
    const { service, replyBytesMax } = this.#replier;
    const trace = Buffer.from(head.trace).toString("hex");
    const error = encodeError(refusal, { log: this.#log, trace, service, replyBytesMax }, false);
    this.say(plant.encodeFromWorker({ kind: "error", service, head, error }));
  }

  /** Sends, or keeps what finds no room until there is some. */
  say(frames: Frames): void {
    if (!this.#dealer.isUp) return;
    if (this.hasRoom && this.#dealer.send(frames)) return;
    this.hasRoom = false;
    this.#held.push(frames);
  }

  /** Sends what was kept; true when nothing is kept any more, and parts may follow. */
  sendHeld(): boolean {
    let sent = 0;
    for (const frames of this.#held) {
      if (!this.#dealer.send(frames)) break;
      sent += 1;
    }
    this.#held.splice(0, sent);
    if (this.#held.length > 0) return false;
    this.hasRoom = true;
    return true;
  }

  /** The connection is lost, and nobody awaits what was kept. */
  forget(): void {
    this.#held = [];
  }
}

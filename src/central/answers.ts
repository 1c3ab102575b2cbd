// What the centre sends down: welcomes, acknowledgements, wants and refusals, signed.
// Pure. It must not know when they are due.
import {
  type Body,
  type Envelope,
  type EnvelopeFields,
  encodeBody,
  type Stream,
  seal,
  topicOf,
} from "../batch/batch.ts";
import type { Stamp } from "../util/clock.ts";
import type { SigningKey } from "../util/ed25519.ts";
import type { DeviceState } from "./device-state.ts";
import { positionOf } from "./lineage.ts";

/** Who answers. */
export interface Answers {
  /** Id of the centre. */
  readonly centre: string;
  readonly signer: { readonly key: SigningKey; readonly kid: string };
}

/** A message to send once everything before it is committed. */
export interface Send {
  readonly kind: "send";
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly slot: string;
}

/** What an answer is about: a stream of an epoch, under the greeting's nonce. */
export interface Place {
  readonly nonce: string;
  readonly epoch: string;
  readonly stream: Stream;
  readonly now: Stamp;
}

type Answer = "welcome" | "ack" | "want" | "refuse";

function compose<T extends Answer>(
  answers: Answers,
  message: { type: T; device: string; nonce: string; now: Stamp; slot: string },
  body: Body<T>,
): Send {
  const { type, device, nonce, now } = message;
  const fields: EnvelopeFields = { device, type, nonce, ...now };
  return {
    kind: "send",
    topic: topicOf({ device, type }),
    payload: seal(fields, encodeBody(type, body), answers.signer),
    slot: `${device} ${type} ${message.slot}`,
  };
}

/** Everything up to `sequence` is committed. */
export function composeAck(
  answers: Answers,
  device: DeviceState,
  at: Place & { readonly sequence: number },
): Send {
  return compose(answers, about("ack", device, at), position(answers, at));
}

/** The centre stands at `sequence` and asks for what follows. */
export function composeWant(
  answers: Answers,
  device: DeviceState,
  at: Place & { readonly sequence: number },
): Send {
  return compose(answers, about("want", device, at), position(answers, at));
}

/** A batch cannot be applied, and why. */
export function composeRefuse(
  answers: Answers,
  device: DeviceState,
  at: Place & { readonly first: number; readonly last: number; readonly code: string },
): Send {
  const { epoch, stream, first, last, code, now } = at;
  const message = about("refuse", device, at);
  return compose(
    answers,
    { ...message, slot: `${message.slot} ${first}` },
    { centre: answers.centre, epoch, stream, first, last, code, serverTime: now.wall },
  );
}

function about<T extends Answer>(type: T, device: DeviceState, at: Place) {
  const { nonce, epoch, stream, now } = at;
  return { type, device: device.id, nonce, now, slot: `${epoch} ${stream}` };
}

function position(answers: Answers, at: Place & { readonly sequence: number }) {
  const { epoch, stream, sequence, now } = at;
  return { centre: answers.centre, epoch, stream, sequence, serverTime: now.wall };
}

/** Answers a greeting: a generation and positions for each epoch it names. */
export function composeWelcome(
  answers: Answers,
  device: DeviceState,
  asked: { readonly envelope: Envelope; readonly greeting: Body<"hello">; readonly now: Stamp },
): Send {
  const generations: Record<string, number> = {};
  const positions: Body<"welcome">["positions"] = {};
  for (const { epoch: id } of asked.greeting.lineage) {
    const epoch = device.lineage.epochs.get(id);
    if (epoch === undefined) continue;
    generations[id] = epoch.generation;
    const named = Object.keys({ ...epoch.start, ...epoch.position }) as Stream[];
    positions[id] = Object.fromEntries(named.map((stream) => [stream, positionOf(epoch, stream)]));
  }
  const { nonce } = asked.envelope.header;
  return compose(
    answers,
    { type: "welcome", device: device.id, nonce, now: asked.now, slot: nonce },
    { centre: answers.centre, generations, positions, serverTime: asked.now.wall },
  );
}

// What comes down, checked: signature, topic, device, form. It must not know what follows from it.
import { checkTopic, decodeBody, open, parseTopic } from "../batch/batch.ts";
import { PlantError } from "../util/errors.ts";
import type { Identity } from "./identity.ts";
import type { DownMessage } from "./sync-state.ts";

/** Messages from the centre are short. */
const limits = { envelopeBytesMax: 1_048_576, bodyBytesMax: 4_194_304 };
/** What later versions of this gateway will listen to. */
const unheard = ["down/desired", "down/cmd", "down/keyset"];

/** Refusals are told this often at most: whoever sends nonsense must not fill the log. */
const tellEveryMs = 10_000;

/** Counts refusals between two that are told. */
export class RefusalTally {
  #count = 0;
  #toldMs = Number.NEGATIVE_INFINITY;

  /** Notes one; returns how many there were since the last that was told, if it is to be told. */
  note(nowMs: number): number | undefined {
    this.#count += 1;
    if (nowMs - this.#toldMs < tellEveryMs) return undefined;
    const count = this.#count;
    this.#count = 0;
    this.#toldMs = nowMs;
    return count;
  }
}

/**
 * A message from the centre to this gateway, or undefined for one it does not listen to.
 * @throws PlantError ENVELOPE_MALFORMED, ENVELOPE_FORGED, MESSAGE_MALFORMED, BATCH_TOO_LARGE.
 */
export function readMessage(
  topic: string,
  payload: Uint8Array,
  identity: Identity,
): DownMessage | undefined {
  const place = parseTopic(topic);
  const { device } = identity.facts;
  if (place === undefined || place.device !== device) {
    throw new PlantError("ENVELOPE_FORGED", { device, topic });
  }
  if (unheard.includes(place.tail)) return undefined;
  const envelope = open(payload, ({ kid }) => identity.keySet.keyOf(kid, "message"), limits);
  const { header } = envelope;
  checkTopic(topic, header);
  const { nonce } = header;
  switch (header.type) {
    case "welcome":
      return { type: "welcome", nonce, body: decodeBody("welcome", envelope) };
    case "ack":
      return { type: "ack", nonce, body: decodeBody("ack", envelope) };
    case "want":
      return { type: "want", nonce, body: decodeBody("want", envelope) };
    case "refuse":
      return { type: "refuse", nonce, body: decodeBody("refuse", envelope) };
    default:
      throw new PlantError("ENVELOPE_FORGED", { device, topic, type: header.type });
  }
}

// Admission at the door of libzmq, by its authentication protocol: who may come in, and with which
// key. Pure. It must not know sockets, nor what a listener is for.
import type { Frames, Listener } from "./socket.ts";

/** What a listener says to one that knocks. */
export type Verdict = "let in" | "no room" | "wrong key" | "not understood";

/** One question: which listener is knocked at, and how to answer. */
export interface Knock {
  /** Number of the listener: its domain. */
  readonly listener: number;
  readonly verdict: Verdict;
  readonly reply: Frames;
}

const version = "1.0";
/** Status codes. 300 lets a peer try again later; after 400 libzmq's peers give up. @see RFC 27 */
const answers: Readonly<Record<Verdict, readonly [string, string]>> = {
  "let in": ["200", "OK"],
  "no room": ["300", "No room for another connection"],
  "wrong key": ["400", "Not let in"],
  "not understood": ["500", "Not understood"],
};

/**
 * Decides about one request of libzmq, as a ROUTER receives it: reply address, empty frame,
 * version, request id, domain, address, identity, mechanism, credentials.
 * A listener with keys lets in CURVE with one of them and nothing else; one without lets in NULL.
 * @see RFC 27 (ZAP)
 */
export function answerKnock(
  frames: Frames,
  listeners: readonly Listener[],
  hasRoom: boolean,
): Knock {
  const [address, empty, said, id, domain, , , mechanism, credential] = frames;
  const number = Number(textOf(domain));
  const listener = listeners[number];
  const isOurs = textOf(said) === version && listener !== undefined;
  const verdict = isOurs
    ? judge(listener, textOf(mechanism), credential, hasRoom)
    : "not understood";
  const [status, words] = answers[verdict];
  const none = new Uint8Array();
  const reply = [address ?? none, empty ?? none, Buffer.from(version), id ?? none];
  for (const text of [status, words, "", ""]) reply.push(Buffer.from(text));
  return { listener: listener === undefined ? 0 : number, verdict, reply };
}

function judge(
  { keys }: Listener,
  mechanism: string,
  credential: Uint8Array | undefined,
  hasRoom: boolean,
): Verdict {
  if (keys !== undefined && keys.length > 0) {
    if (mechanism !== "CURVE" || credential?.length !== 32) return "wrong key";
    if (!keys.includes(encodeZ85(credential))) return "wrong key";
  } else if (mechanism !== "NULL") return "wrong key";
  return hasRoom ? "let in" : "no room";
}

function textOf(frame: Uint8Array | undefined): string {
  return frame === undefined ? "" : Buffer.from(frame).toString("latin1");
}

const digits =
  "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/** Bytes, a multiple of four of them, as text. @see RFC 32 (Z85) */
export function encodeZ85(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = "";
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const value = view.getUint32(at);
    for (let power = 85 ** 4; power >= 1; power /= 85) {
      text += digits[Math.floor(value / power) % 85] ?? "";
    }
  }
  return text;
}

/** Whether a text is a CURVE key: 40 characters of Z85 that stand for 32 bytes. */
export function isCurveKey(text: string): boolean {
  if (text.length !== 40) return false;
  for (let at = 0; at < 40; at += 5) {
    let value = 0;
    for (const digit of text.slice(at, at + 5)) {
      const worth = digits.indexOf(digit);
      if (worth < 0) return false;
      value = value * 85 + worth;
    }
    if (value > 0xffff_ffff) return false;
  }
  return true;
}

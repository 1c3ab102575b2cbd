// Admission at the door of libzmq, by its authentication protocol: who may come in, and with which
// key. Pure. It must not know sockets, nor what a listener is for.
import { encodeZ85 } from "./curve-keys.ts";
import type { Frames, Listener } from "./socket.ts";

/** What a listener says to one that knocks. */
export type Verdict = "let in" | "no room" | "crowded" | "wrong key" | "not understood";

/** What room there is: for one more, for none just now, or for not even one that waits. */
export type Room = "some" | "none" | "crowded";

/** One question: which listener is knocked at, and how to answer. */
export interface Knock {
  /** Number of the listener: its domain. */
  readonly listener: number;
  readonly verdict: Verdict;
  readonly reply: Frames;
}

const version = "1.0";
/**
 * Status codes. After 300 libzmq holds the connection for its handshake time, and the peer tries
 * again; after the others it closes at once, and peers on libzmq give up. @see RFC 27
 */
const answers: Readonly<Record<Verdict, readonly [string, string]>> = {
  "let in": ["200", "OK"],
  "no room": ["300", "No room for another connection"],
  crowded: ["500", "Far too many connections"],
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
  roomOf: (listener: Listener) => Room,
): Knock {
  const [address, empty, said, id, domain, , , mechanism, credential] = frames;
  const number = Number(textOf(domain) || Number.NaN);
  const listener = listeners[number];
  const isOurs = textOf(said) === version && listener !== undefined;
  const verdict = isOurs
    ? judge(listener, textOf(mechanism), credential, roomOf)
    : "not understood";
  const [status, words] = answers[verdict];
  const none = new Uint8Array();
  const reply = [address ?? none, empty ?? none, Buffer.from(version), id ?? none];
  for (const text of [status, words, "", ""]) reply.push(Buffer.from(text));
  return { listener: listener === undefined ? 0 : number, verdict, reply };
}

function judge(
  listener: Listener,
  mechanism: string,
  credential: Uint8Array | undefined,
  roomOf: (listener: Listener) => Room,
): Verdict {
  const { keys } = listener;
  if (keys !== undefined && keys.length > 0) {
    if (mechanism !== "CURVE" || credential?.length !== 32) return "wrong key";
    if (!keys.includes(encodeZ85(credential))) return "wrong key";
  } else if (mechanism !== "NULL") return "wrong key";
  const room = roomOf(listener);
  if (room === "some") return "let in";
  return room === "none" ? "no room" : "crowded";
}

function textOf(frame: Uint8Array | undefined): string {
  return frame === undefined ? "" : Buffer.from(frame).toString("latin1");
}

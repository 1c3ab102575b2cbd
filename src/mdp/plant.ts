// Codecs of our own dialect, PLNC01 and PLNW01, both sides; docs/reference/mdp.md has the bytes.
// It must not know sockets, clocks, or what bodies mean.
import {
  bodyOf,
  bytesOf,
  checkHeader,
  commandFrame,
  commandOf,
  endsAt,
  type Frames,
  malformed,
  serviceOf,
} from "./frame.ts";

/** First frame of messages between a client and the broker. */
export const clientHeader = "PLNC01";
/** First frame of messages between a worker and the broker. */
export const workerHeader = "PLNW01";

/** Length of the head frame. */
const headBytes = 29;
/** `remainingMs` of a request without a deadline. */
export const noDeadline = 0xffff_ffff;
/** Parts a client takes before it has granted credit. */
export const creditAtStart = 16;
/** Most requests a worker may announce to serve at once. */
const concurrencyMax = 65_535;

/** Bits of `flags`; unknown bits are carried and ignored. */
export const flag = { partials: 1, credit: 2 } as const;

/** What goes with every message about a request. */
export interface Head {
  /** Id of the request, unique per sender; below 2^53. */
  readonly id: number;
  /** Milliseconds left, or `noDeadline`. */
  readonly remainingMs: number;
  /** 16 bytes. */
  readonly trace: Uint8Array;
  readonly flags: number;
}

interface About<K extends string> {
  readonly kind: K;
  readonly service: string;
  readonly head: Head;
}
interface WithBody {
  readonly body: Frames;
}
interface WithCredit {
  /** Parts allowed beside those allowed before, 1 to 65,535. */
  readonly credit: number;
}
interface WithError {
  /** An error as JSON: `{code, message, detail, retryable}`. */
  readonly error: Uint8Array;
}

/** From a client to the broker. */
export type FromClient =
  | (About<"request"> & WithBody)
  | About<"cancel">
  | (About<"credit"> & WithCredit);

/** From the broker to a client. */
export type ToClient = (About<"partial" | "final"> & WithBody) | (About<"error"> & WithError);

/** From a worker to the broker. */
export type FromWorker =
  | { readonly kind: "ready"; readonly service: string; readonly concurrency: number }
  | (About<"partial" | "final"> & WithBody)
  | (About<"error"> & WithError)
  | { readonly kind: "heartbeat" }
  | { readonly kind: "disconnect" };

/** From the broker to a worker. */
export type ToWorker =
  | (About<"request"> & WithBody)
  | About<"cancel">
  | (About<"credit"> & WithCredit)
  | { readonly kind: "heartbeat" }
  | { readonly kind: "disconnect" };

/** The command bytes, by side. */
const clientCommands = {
  request: 1,
  partial: 2,
  final: 3,
  cancel: 4,
  credit: 5,
  error: 6,
} as const;
const workerCommands = {
  ready: 1,
  request: 2,
  partial: 3,
  final: 4,
  heartbeat: 5,
  disconnect: 6,
  cancel: 7,
  credit: 8,
  error: 9,
} as const;

const clientFrame = bytesOf(clientHeader);
const workerFrame = bytesOf(workerHeader);

/** Encodes what a client says. */
export function encodeFromClient(message: FromClient): Frames {
  return encodeAbout(clientFrame, clientCommands[message.kind], message);
}

/** @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong. */
export function decodeFromClient(frames: Frames): FromClient {
  checkHeader(frames, clientHeader);
  switch (commandOf(frames[1])) {
    case clientCommands.request:
      return { kind: "request", ...withBody(frames) };
    case clientCommands.cancel:
      endsAt(frames, 4);
      return { kind: "cancel", ...about(frames) };
    case clientCommands.credit:
      return { kind: "credit", ...withCredit(frames) };
    default:
      return malformed("command");
  }
}

/** Encodes what the broker says to a client. */
export function encodeToClient(message: ToClient): Frames {
  return encodeAbout(clientFrame, clientCommands[message.kind], message);
}

/** @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong. */
export function decodeToClient(frames: Frames): ToClient {
  checkHeader(frames, clientHeader);
  switch (commandOf(frames[1])) {
    case clientCommands.partial:
      return { kind: "partial", ...withBody(frames) };
    case clientCommands.final:
      return { kind: "final", ...withBody(frames) };
    case clientCommands.error:
      return { kind: "error", ...withError(frames) };
    default:
      return malformed("command");
  }
}

/** Encodes what a worker says. */
export function encodeFromWorker(message: FromWorker): Frames {
  const byte = workerCommands[message.kind];
  if (message.kind === "heartbeat" || message.kind === "disconnect") return bare(byte);
  if (message.kind !== "ready") return encodeAbout(workerFrame, byte, message);
  return [workerFrame, commandFrame(byte), bytesOf(message.service), number32(message.concurrency)];
}

/** @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong. */
export function decodeFromWorker(frames: Frames): FromWorker {
  checkHeader(frames, workerHeader);
  switch (commandOf(frames[1])) {
    case workerCommands.ready: {
      endsAt(frames, 4);
      const service = serviceOf(frames[2]);
      const concurrency = readNumber(frames[3], concurrencyMax, "concurrency");
      return { kind: "ready", service, concurrency };
    }
    case workerCommands.partial:
      return { kind: "partial", ...withBody(frames) };
    case workerCommands.final:
      return { kind: "final", ...withBody(frames) };
    case workerCommands.error:
      return { kind: "error", ...withError(frames) };
    case workerCommands.heartbeat:
      endsAt(frames, 2);
      return { kind: "heartbeat" };
    case workerCommands.disconnect:
      endsAt(frames, 2);
      return { kind: "disconnect" };
    default:
      return malformed("command");
  }
}

/** Encodes what the broker says to a worker. */
export function encodeToWorker(message: ToWorker): Frames {
  const byte = workerCommands[message.kind];
  if (message.kind === "heartbeat" || message.kind === "disconnect") return bare(byte);
  return encodeAbout(workerFrame, byte, message);
}

/** @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong. */
export function decodeToWorker(frames: Frames): ToWorker {
  checkHeader(frames, workerHeader);
  switch (commandOf(frames[1])) {
    case workerCommands.request:
      return { kind: "request", ...withBody(frames) };
    case workerCommands.cancel:
      endsAt(frames, 4);
      return { kind: "cancel", ...about(frames) };
    case workerCommands.credit:
      return { kind: "credit", ...withCredit(frames) };
    case workerCommands.heartbeat:
      endsAt(frames, 2);
      return { kind: "heartbeat" };
    case workerCommands.disconnect:
      endsAt(frames, 2);
      return { kind: "disconnect" };
    default:
      return malformed("command");
  }
}

function bare(byte: number): Frames {
  return [workerFrame, commandFrame(byte)];
}

function encodeAbout(
  first: Uint8Array,
  byte: number,
  message: About<string> & Partial<WithBody & WithCredit & WithError>,
): Frames {
  const start = [first, commandFrame(byte), bytesOf(message.service), encodeHead(message.head)];
  if (message.body !== undefined) return [...start, ...message.body];
  if (message.error !== undefined) start.push(message.error);
  if (message.credit !== undefined) start.push(number32(message.credit));
  return start;
}

function encodeHead(head: Head): Uint8Array {
  const frame = Buffer.allocUnsafe(headBytes);
  frame.writeUInt32BE(Math.floor(head.id / 2 ** 32), 0);
  frame.writeUInt32BE(head.id % 2 ** 32, 4);
  frame.writeUInt32BE(head.remainingMs, 8);
  frame.set(head.trace, 12);
  frame[28] = head.flags;
  return frame;
}

function decodeHead(frame: Uint8Array | undefined): Head {
  if (frame?.length !== headBytes) return malformed("head");
  const high = word(frame, 0);
  if (high >= 2 ** 21) return malformed("head");
  return {
    id: high * 2 ** 32 + word(frame, 4),
    remainingMs: word(frame, 8),
    trace: frame.subarray(12, 28),
    flags: frame[28] ?? 0,
  };
}

function word(frame: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = [frame[at], frame[at + 1], frame[at + 2], frame[at + 3]];
  return a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d;
}

function number32(value: number): Uint8Array {
  const frame = Buffer.allocUnsafe(4);
  frame.writeUInt32BE(value, 0);
  return frame;
}

function readNumber(frame: Uint8Array | undefined, max: number, part: string): number {
  if (frame?.length !== 4) return malformed(part);
  const value = word(frame, 0);
  return value >= 1 && value <= max ? value : malformed(part);
}

function about(frames: Frames): { service: string; head: Head } {
  return { service: serviceOf(frames[2]), head: decodeHead(frames[3]) };
}

function withBody(frames: Frames): { service: string; head: Head; body: Frames } {
  return { ...about(frames), body: bodyOf(frames, 4) };
}

function withCredit(frames: Frames): { service: string; head: Head; credit: number } {
  endsAt(frames, 5);
  return { ...about(frames), credit: readNumber(frames[4], 65_535, "credit") };
}

function withError(frames: Frames): { service: string; head: Head; error: Uint8Array } {
  endsAt(frames, 5);
  const error = frames[4];
  if (error === undefined || error.length === 0) return malformed("error");
  return { ...about(frames), error };
}

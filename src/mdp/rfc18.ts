// Codecs of MDP/0.2, both sides: what clients and workers say, and what the broker says to them.
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

/** First frame of client messages. @see RFC 18 */
export const clientHeader = "MDPC02";
/** First frame of worker messages. @see RFC 18 */
export const workerHeader = "MDPW02";

const clientFrame = bytesOf(clientHeader);
const workerFrame = bytesOf(workerHeader);
const empty = Buffer.alloc(0);

/** From a client to the broker. */
export interface FromClient {
  readonly kind: "request";
  readonly service: string;
  readonly body: Frames;
}

/** From the broker to a client. */
export interface ToClient {
  readonly kind: "partial" | "final";
  readonly service: string;
  readonly body: Frames;
}

/** From a worker to the broker; `client` is the address the request came with. */
export type FromWorker =
  | { readonly kind: "ready"; readonly service: string }
  | { readonly kind: "partial" | "final"; readonly client: Uint8Array; readonly body: Frames }
  | { readonly kind: "heartbeat" }
  | { readonly kind: "disconnect" };

/** From the broker to a worker. */
export type ToWorker =
  | { readonly kind: "request"; readonly client: Uint8Array; readonly body: Frames }
  | { readonly kind: "heartbeat" }
  | { readonly kind: "disconnect" };

/** @see RFC 18, REQUEST */
export function encodeFromClient(message: FromClient): Frames {
  return [clientFrame, commandFrame(1), bytesOf(message.service), ...message.body];
}

/** @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong. */
export function decodeFromClient(frames: Frames): FromClient {
  checkHeader(frames, clientHeader);
  if (commandOf(frames[1]) !== 1) return malformed("command");
  return { kind: "request", service: serviceOf(frames[2]), body: bodyOf(frames, 3) };
}

/** @see RFC 18, PARTIAL and FINAL */
export function encodeToClient(message: ToClient): Frames {
  const byte = message.kind === "partial" ? 2 : 3;
  return [clientFrame, commandFrame(byte), bytesOf(message.service), ...message.body];
}

/** @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong. */
export function decodeToClient(frames: Frames): ToClient {
  checkHeader(frames, clientHeader);
  const byte = commandOf(frames[1]);
  if (byte !== 2 && byte !== 3) return malformed("command");
  const kind = byte === 2 ? "partial" : "final";
  return { kind, service: serviceOf(frames[2]), body: bodyOf(frames, 3) };
}

/** @see RFC 18, READY, PARTIAL, FINAL, HEARTBEAT, DISCONNECT */
export function encodeFromWorker(message: FromWorker): Frames {
  switch (message.kind) {
    case "ready":
      return [workerFrame, commandFrame(1), bytesOf(message.service)];
    case "partial":
      return [workerFrame, commandFrame(3), message.client, empty, ...message.body];
    case "final":
      return [workerFrame, commandFrame(4), message.client, empty, ...message.body];
    case "heartbeat":
      return [workerFrame, commandFrame(5)];
    case "disconnect":
      return [workerFrame, commandFrame(6)];
  }
}

/** @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong. */
export function decodeFromWorker(frames: Frames): FromWorker {
  checkHeader(frames, workerHeader);
  switch (commandOf(frames[1])) {
    case 1:
      endsAt(frames, 3);
      return { kind: "ready", service: serviceOf(frames[2]) };
    case 3:
      return { kind: "partial", ...addressed(frames) };
    case 4:
      return { kind: "final", ...addressed(frames) };
    case 5:
      endsAt(frames, 2);
      return { kind: "heartbeat" };
    case 6:
      endsAt(frames, 2);
      return { kind: "disconnect" };
    default:
      return malformed("command");
  }
}

/** @see RFC 18, REQUEST, HEARTBEAT, DISCONNECT */
export function encodeToWorker(message: ToWorker): Frames {
  switch (message.kind) {
    case "request":
      return [workerFrame, commandFrame(2), message.client, empty, ...message.body];
    case "heartbeat":
      return [workerFrame, commandFrame(5)];
    case "disconnect":
      return [workerFrame, commandFrame(6)];
  }
}

/** @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong. */
export function decodeToWorker(frames: Frames): ToWorker {
  checkHeader(frames, workerHeader);
  switch (commandOf(frames[1])) {
    case 2:
      return { kind: "request", ...addressed(frames) };
    case 5:
      endsAt(frames, 2);
      return { kind: "heartbeat" };
    case 6:
      endsAt(frames, 2);
      return { kind: "disconnect" };
    default:
      return malformed("command");
  }
}

function addressed(frames: Frames): { client: Uint8Array; body: Frames } {
  const client = frames[2];
  if (client === undefined || client.length === 0) return malformed("client");
  if (frames[3]?.length !== 0) return malformed("delimiter");
  return { client, body: bodyOf(frames, 4) };
}

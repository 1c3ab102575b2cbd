// The Majordomo protocol as values: frames to messages and back, in each dialect a peer may speak.
// It must not know sockets, clocks, or what bodies mean.
import { type Frames, isSame, malformed } from "./frame.ts";
import type { Dialect, FromPeer, ToClient, ToWorker } from "./message.ts";
import * as plant from "./plant.ts";
import * as plantd from "./plantd.ts";
import * as rfc7 from "./rfc7.ts";
import * as rfc18 from "./rfc18.ts";

export { type Frames, serviceBytesMax, sizeOf } from "./frame.ts";
export {
  type Abilities,
  abilities,
  type Dialect,
  type FromClient,
  type FromPeer,
  type FromWorker,
  type Head,
  type ToClient,
  type ToWorker,
} from "./message.ts";
export * as plant from "./plant.ts";

/**
 * Reads a message of any peer; its shape tells the dialect.
 * @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong.
 */
export function decodeFromPeer(frames: Frames): FromPeer {
  const first = frames[0];
  if (isSame(first, plant.clientFrame)) {
    return { dialect: "plant", side: "client", message: plant.decodeFromClient(frames) };
  }
  if (isSame(first, plant.workerFrame)) {
    return { dialect: "plant", side: "worker", message: plant.decodeFromWorker(frames) };
  }
  if (isSame(first, rfc18.clientFrame)) {
    return { dialect: "rfc18", side: "client", message: rfc18.decodeFromClient(frames, 1) };
  }
  if (isSame(first, rfc18.workerFrame)) {
    return { dialect: "rfc18", side: "worker", message: rfc18.decodeFromWorker(frames, 1) };
  }
  return first?.length === 0 ? decodeEnveloped(frames) : malformed("header");
}

/** Reads what starts with an empty frame; with RFC 18's header, a command byte or a word decides. */
function decodeEnveloped(frames: Frames): FromPeer {
  const header = frames[1];
  const isByte = frames[2]?.length === 1;
  if (isSame(header, rfc7.clientFrame)) {
    return { dialect: "rfc7", side: "client", message: rfc7.decodeFromClient(frames) };
  }
  if (isSame(header, rfc7.workerFrame)) {
    return { dialect: "rfc7", side: "worker", message: rfc7.decodeFromWorker(frames) };
  }
  if (isSame(header, rfc18.clientFrame)) {
    return isByte
      ? { dialect: "rfc18-enveloped", side: "client", message: rfc18.decodeFromClient(frames, 2) }
      : { dialect: "plantd", side: "client", message: plantd.decodeFromClient(frames) };
  }
  if (isSame(header, rfc18.workerFrame)) {
    return isByte
      ? { dialect: "rfc18-enveloped", side: "worker", message: rfc18.decodeFromWorker(frames, 2) }
      : { dialect: "plantd", side: "worker", message: plantd.decodeFromWorker(frames) };
  }
  return malformed("header");
}

/** Encodes what the broker says to a client; nothing where the dialect has no words for it. */
export function encodeToClient(dialect: Dialect, message: ToClient): Frames | undefined {
  switch (dialect) {
    case "plant":
      return plant.encodeToClient(message);
    case "rfc18":
      return rfc18.encodeToClient(message, false);
    case "rfc18-enveloped":
      return rfc18.encodeToClient(message, true);
    case "rfc7":
      return rfc7.encodeToClient(message);
    case "plantd":
      return plantd.encodeToClient(message);
  }
}

/** Encodes what the broker says to a worker; nothing where the dialect has no words for it. */
export function encodeToWorker(dialect: Dialect, message: ToWorker): Frames | undefined {
  switch (dialect) {
    case "plant":
      return plant.encodeToWorker(message);
    case "rfc18":
      return rfc18.encodeToWorker(message, false);
    case "rfc18-enveloped":
      return rfc18.encodeToWorker(message, true);
    case "rfc7":
      return rfc7.encodeToWorker(message);
    case "plantd":
      return plantd.encodeToWorker(message);
  }
}

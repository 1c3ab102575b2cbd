// The Majordomo protocol as values: frames to messages and back, in each dialect a peer may speak.
// It must not know sockets, clocks, or what bodies mean.
import { type Frames, isSame, malformed } from "./frame.ts";
import type { Dialect, FromPeer, ToClient, ToWorker } from "./message.ts";
import * as plant from "./plant.ts";
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
    case "rfc7":
    case "plantd":
      return undefined;
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
    case "rfc7":
    case "plantd":
      return undefined;
  }
}

// The Majordomo protocol as values: frames to messages and back, in each dialect a peer may speak.
// It must not know sockets, clocks, or what bodies mean.
import { type Frames, header, headerOf, malformed } from "./frame.ts";
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
  switch (headerOf(frames[0])) {
    case header.plantClient:
      return { dialect: "plant", side: "client", message: plant.decodeFromClient(frames) };
    case header.plantWorker:
      return { dialect: "plant", side: "worker", message: plant.decodeFromWorker(frames) };
    case header.mdp2Client:
      return { dialect: "rfc18", side: "client", message: rfc18.decodeFromClient(frames, 1) };
    case header.mdp2Worker:
      return { dialect: "rfc18", side: "worker", message: rfc18.decodeFromWorker(frames, 1) };
    case header.empty:
      return decodeEnveloped(frames);
    default:
      return malformed("header");
  }
}

/** Reads what starts with an empty frame; with a header of 0.2, a command byte or word decides. */
function decodeEnveloped(frames: Frames): FromPeer {
  const isByte = frames[2]?.length === 1;
  switch (headerOf(frames[1])) {
    case header.mdp1Client:
      return { dialect: "rfc7", side: "client", message: rfc7.decodeFromClient(frames) };
    case header.mdp1Worker:
      return { dialect: "rfc7", side: "worker", message: rfc7.decodeFromWorker(frames) };
    case header.mdp2Client:
      return isByte
        ? { dialect: "rfc18-enveloped", side: "client", message: rfc18.decodeFromClient(frames, 2) }
        : { dialect: "plantd", side: "client", message: plantd.decodeFromClient(frames) };
    case header.mdp2Worker:
      return isByte
        ? { dialect: "rfc18-enveloped", side: "worker", message: rfc18.decodeFromWorker(frames, 2) }
        : { dialect: "plantd", side: "worker", message: plantd.decodeFromWorker(frames) };
    default:
      return malformed("header");
  }
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

// The Majordomo protocol as values: frames to messages and back, in each dialect a peer may speak.
// It must not know sockets, clocks, or what bodies mean.
import { type Frames, malformed, textOf } from "./frame.ts";
import * as plant from "./plant.ts";
import * as rfc18 from "./rfc18.ts";

export { type Frames, serviceBytesMax, sizeOf } from "./frame.ts";
export * as plant from "./plant.ts";
export * as rfc18 from "./rfc18.ts";

/** What a peer said to the broker, with who it is and which dialect it speaks. */
export type FromPeer =
  | { readonly dialect: "plant"; readonly side: "client"; readonly message: plant.FromClient }
  | { readonly dialect: "plant"; readonly side: "worker"; readonly message: plant.FromWorker }
  | { readonly dialect: "rfc18"; readonly side: "client"; readonly message: rfc18.FromClient }
  | { readonly dialect: "rfc18"; readonly side: "worker"; readonly message: rfc18.FromWorker };

/** The dialect of a peer; what follows from it is known from each message alone. */
export type Dialect = FromPeer["dialect"];

/**
 * Reads a message of any peer; the header tells the dialect.
 * @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong.
 */
export function decodeFromPeer(frames: Frames): FromPeer {
  const first = frames[0];
  switch (first?.length === 6 ? textOf(first) : "") {
    case plant.clientHeader:
      return { dialect: "plant", side: "client", message: plant.decodeFromClient(frames) };
    case plant.workerHeader:
      return { dialect: "plant", side: "worker", message: plant.decodeFromWorker(frames) };
    case rfc18.clientHeader:
      return { dialect: "rfc18", side: "client", message: rfc18.decodeFromClient(frames) };
    case rfc18.workerHeader:
      return { dialect: "rfc18", side: "worker", message: rfc18.decodeFromWorker(frames) };
    default:
      return malformed("header");
  }
}

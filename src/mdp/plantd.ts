// The broker's side of plantd's dialect: the headers of MDP/0.2, commands as words. What peers say
// starts with an empty frame, what they hear does not.
// It must not know sockets, clocks, or what bodies mean.
import {
  addressId,
  addressOf,
  bytesOf,
  empty,
  endsAt,
  type Frames,
  isSame,
  malformed,
  requestBodyOf,
  serviceFrame,
  serviceOf,
  withBody,
} from "./frame.ts";
import {
  type FromClient,
  type FromWorker,
  foreignHead,
  type ToClient,
  type ToWorker,
} from "./message.ts";

const clientFrame = bytesOf("MDPC02");
const workerFrame = bytesOf("MDPW02");
const word = {
  ready: bytesOf("READY"),
  request: bytesOf("REQUEST"),
  partial: bytesOf("PARTIAL"),
  final: bytesOf("FINAL"),
  heartbeat: bytesOf("HEARTBEAT"),
  disconnect: bytesOf("DISCONNECT"),
} as const;
const heartbeat: Frames = [workerFrame, word.heartbeat];
const disconnect: Frames = [workerFrame, word.disconnect];
const emptyBody: Frames = [empty];

/**
 * Reads what a client says; its header was read.
 * @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong.
 */
export function decodeFromClient(frames: Frames): FromClient {
  if (!isSame(frames[2], word.request)) return malformed("command");
  const service = serviceOf(frames[3]);
  const body = requestBodyOf(frames, 4, service);
  return { kind: "request", service, head: foreignHead, body };
}

/**
 * Reads what a worker says; its header was read.
 * @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong.
 */
export function decodeFromWorker(frames: Frames): FromWorker {
  const command = frames[2];
  if (isSame(command, word.final)) {
    return { kind: "final", id: addressId(frames[3]), body: replyOf(frames) };
  }
  if (isSame(command, word.partial)) {
    return { kind: "partial", id: addressId(frames[3]), body: replyOf(frames) };
  }
  if (isSame(command, word.heartbeat)) {
    endsAt(frames, 3);
    return { kind: "heartbeat" };
  }
  if (isSame(command, word.ready)) {
    endsAt(frames, 4);
    return { kind: "ready", service: serviceOf(frames[3]), concurrency: 1 };
  }
  if (isSame(command, word.disconnect)) {
    endsAt(frames, 3);
    return { kind: "disconnect" };
  }
  return malformed("command");
}

/**
 * What follows the address. plantd's own broker takes one empty frame there for a delimiter, and
 * its workers may end a stream with no frame at all, which counts as one empty frame.
 */
function replyOf(frames: Frames): Frames {
  const at = frames[4]?.length === 0 ? 5 : 4;
  return frames.length > at ? frames.slice(at) : emptyBody;
}

/** Encodes what the broker says to a client; nothing for an error. */
export function encodeToClient(message: ToClient): Frames | undefined {
  if (message.kind === "error") return undefined;
  return withBody([clientFrame, word[message.kind], serviceFrame(message.service)], message.body);
}

/** Encodes what the broker says to a worker; nothing for cancel, credit and refused. */
export function encodeToWorker(message: ToWorker): Frames | undefined {
  switch (message.kind) {
    case "request": {
      const client = addressOf(message.head.id);
      return withBody([workerFrame, word.request, client, empty], message.body);
    }
    case "heartbeat":
      return heartbeat;
    case "disconnect":
      return disconnect;
    case "cancel":
    case "credit":
    case "refused":
      return undefined;
  }
}

// The broker's side of MDP/0.1: every message starts with an empty frame, a reply is one message.
// It must not know sockets, clocks, or what bodies mean. @see RFC 7
import {
  addressId,
  addressOf,
  bodyOf,
  bytesOf,
  commandFrame,
  commandOf,
  empty,
  endsAt,
  type Frames,
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

const clientFrame = bytesOf("MDPC01");
const workerFrame = bytesOf("MDPW01");

/** The command bytes of workers; clients have none. */
const commands = { ready: 1, request: 2, reply: 3, heartbeat: 4, disconnect: 5 } as const;

const request = commandFrame(commands.request);
const heartbeat: Frames = [empty, workerFrame, commandFrame(commands.heartbeat)];
const disconnect: Frames = [empty, workerFrame, commandFrame(commands.disconnect)];

/**
 * Reads what a client says; its header was read. Clients have one command, and no frame for it.
 * @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong.
 */
export function decodeFromClient(frames: Frames): FromClient {
  const service = serviceOf(frames[2]);
  const body = requestBodyOf(frames, 3, service);
  return { kind: "request", service, head: foreignHead, body };
}

/**
 * Reads what a worker says; its header was read. A REPLY is the last one.
 * @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong.
 */
export function decodeFromWorker(frames: Frames): FromWorker {
  switch (commandOf(frames[2])) {
    case commands.ready:
      endsAt(frames, 4);
      return { kind: "ready", service: serviceOf(frames[3]), concurrency: 1 };
    case commands.reply: {
      const id = addressId(frames[3]);
      if (frames[4]?.length !== 0) return malformed("delimiter");
      return { kind: "final", id, body: bodyOf(frames, 5) };
    }
    case commands.heartbeat:
      endsAt(frames, 3);
      return { kind: "heartbeat" };
    case commands.disconnect:
      endsAt(frames, 3);
      return { kind: "disconnect" };
    default:
      return malformed("command");
  }
}

/** Encodes what the broker says to a client: nothing but a last reply. */
export function encodeToClient(message: ToClient): Frames | undefined {
  if (message.kind !== "final") return undefined;
  return withBody([empty, clientFrame, serviceFrame(message.service)], message.body);
}

/** Encodes what the broker says to a worker; nothing for cancel, credit and refused. */
export function encodeToWorker(message: ToWorker): Frames | undefined {
  switch (message.kind) {
    case "request": {
      const client = addressOf(message.head.id);
      return withBody([empty, workerFrame, request, client, empty], message.body);
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

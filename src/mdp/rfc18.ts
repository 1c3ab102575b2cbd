// The broker's side of MDP/0.2, plain and behind a leading empty frame.
// It must not know sockets, clocks, or what bodies mean. @see RFC 18
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

const clientFrame = bytesOf("MDPC02");
const workerFrame = bytesOf("MDPW02");

/** The command bytes, by side. */
const clientCommands = { request: 1, partial: 2, final: 3 } as const;
const workerCommands = {
  ready: 1,
  request: 2,
  partial: 3,
  final: 4,
  heartbeat: 5,
  disconnect: 6,
} as const;

const replies = {
  partial: commandFrame(clientCommands.partial),
  final: commandFrame(clientCommands.final),
} as const;
const request = commandFrame(workerCommands.request);
const plain = {
  heartbeat: [workerFrame, commandFrame(workerCommands.heartbeat)],
  disconnect: [workerFrame, commandFrame(workerCommands.disconnect)],
};
const enveloped = {
  heartbeat: [empty, ...plain.heartbeat],
  disconnect: [empty, ...plain.disconnect],
};

/**
 * Reads what a client says; its command is at `at`, its header was read.
 * @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong.
 */
export function decodeFromClient(frames: Frames, at: number): FromClient {
  if (commandOf(frames[at]) !== clientCommands.request) return malformed("command");
  const service = serviceOf(frames[at + 1]);
  const body = requestBodyOf(frames, at + 2, service);
  return { kind: "request", service, head: foreignHead, body };
}

/**
 * Reads what a worker says; its command is at `at`, its header was read.
 * @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong.
 */
export function decodeFromWorker(frames: Frames, at: number): FromWorker {
  const command = commandOf(frames[at]);
  switch (command) {
    case workerCommands.ready:
      endsAt(frames, at + 2);
      return { kind: "ready", service: serviceOf(frames[at + 1]), concurrency: 1 };
    case workerCommands.partial:
    case workerCommands.final: {
      const id = addressId(frames[at + 1]);
      if (frames[at + 2]?.length !== 0) return malformed("delimiter");
      const kind = command === workerCommands.partial ? "partial" : "final";
      return { kind, id, body: bodyOf(frames, at + 3) };
    }
    case workerCommands.heartbeat:
      endsAt(frames, at + 1);
      return { kind: "heartbeat" };
    case workerCommands.disconnect:
      endsAt(frames, at + 1);
      return { kind: "disconnect" };
    default:
      return malformed("command");
  }
}

/** Encodes what the broker says to a client; nothing for an error. */
export function encodeToClient(message: ToClient, isEnveloped: boolean): Frames | undefined {
  if (message.kind === "error") return undefined;
  const command = replies[message.kind];
  const service = serviceFrame(message.service);
  const start = isEnveloped
    ? [empty, clientFrame, command, service]
    : [clientFrame, command, service];
  return withBody(start, message.body);
}

/** Encodes what the broker says to a worker; nothing for cancel, credit and refused. */
export function encodeToWorker(message: ToWorker, isEnveloped: boolean): Frames | undefined {
  switch (message.kind) {
    case "request": {
      const client = addressOf(message.head.id);
      const start = isEnveloped
        ? [empty, workerFrame, request, client, empty]
        : [workerFrame, request, client, empty];
      return withBody(start, message.body);
    }
    case "heartbeat":
    case "disconnect":
      return (isEnveloped ? enveloped : plain)[message.kind];
    case "cancel":
    case "credit":
    case "refused":
      return undefined;
  }
}

// Codecs of our own dialect, PLNC01 and PLNW01, both sides; docs/reference/mdp.md has the bytes.
// It must not know sockets, clocks, or what bodies mean.
import {
  bodyOf,
  bytesOf,
  commandFrame,
  commandOf,
  empty,
  endsAt,
  type Frames,
  header,
  headerOf,
  idAt,
  malformed,
  putId,
  putWord,
  requestBodyOf,
  serviceFrame,
  serviceOf,
  wordAt,
} from "./frame.ts";
import type { FromClient, FromWorker, Head, OwnFromWorker, ToClient, ToWorker } from "./message.ts";

export type { FromClient, Head, ToClient, ToWorker } from "./message.ts";
export { creditAtStart, creditBytes, flag, noDeadline } from "./message.ts";
export type { OwnFromWorker as FromWorker };

/** First frame of messages between a client and the broker. */
export const clientHeader = "PLNC01";
/** First frame of messages between a worker and the broker. */
const workerHeader = "PLNW01";
const clientFrame = bytesOf(clientHeader);
const workerFrame = bytesOf(workerHeader);

/** Length of the head frame, and where the trace lies in it. */
const headBytes = 29;
const traceAt = 12;
const traceBytes = 16;
/** Most requests a worker may announce to serve at once, and most credit at a time. */
const countMax = 65_535;

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
  leave: 10,
  returned: 11,
  refused: 12,
} as const;

const heartbeat: Frames = [workerFrame, commandFrame(workerCommands.heartbeat)];
const leave: Frames = [workerFrame, commandFrame(workerCommands.leave)];
const disconnect: Frames = [workerFrame, commandFrame(workerCommands.disconnect)];

/** Encodes what a client says. */
export function encodeFromClient(message: FromClient): Frames {
  const command = clientCommands[message.kind];
  switch (message.kind) {
    case "request":
      return wholeOf(clientFrame, command, message);
    case "cancel":
      return startOf(clientFrame, command, message);
    case "credit": {
      const start = startOf(clientFrame, command, message);
      start.push(countFrame(message.credit));
      return start;
    }
  }
}

/**
 * Reads what a client says; its header is known.
 * @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong.
 */
export function decodeFromClient(frames: Frames): FromClient {
  switch (commandOf(frames[1])) {
    case clientCommands.request: {
      const service = serviceOf(frames[2]);
      const head = headAsItCame(frames[3]);
      return { kind: "request", service, head, body: requestBodyOf(frames, 4, service) };
    }
    case clientCommands.cancel:
      endsAt(frames, 4);
      return { kind: "cancel", service: serviceOf(frames[2]), head: headAsItCame(frames[3]) };
    case clientCommands.credit: {
      endsAt(frames, 5);
      const service = serviceOf(frames[2]);
      const head = headAsItCame(frames[3]);
      return { kind: "credit", service, head, credit: countOf(frames[4], "credit") };
    }
    default:
      return malformed("command");
  }
}

/** Encodes what the broker says to a client. */
export function encodeToClient(message: ToClient): Frames {
  const command = clientCommands[message.kind];
  if (message.kind !== "error") return wholeOf(clientFrame, command, message);
  const start = startOf(clientFrame, command, message);
  start.push(message.error);
  return start;
}

/** @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong. */
export function decodeToClient(frames: Frames): ToClient {
  if (headerOf(frames[0]) !== header.plantClient) return malformed("header");
  const command = commandOf(frames[1]);
  switch (command) {
    case clientCommands.partial:
    case clientCommands.final: {
      const kind = command === clientCommands.partial ? "partial" : "final";
      const service = serviceOf(frames[2]);
      return { kind, service, head: headAsItCame(frames[3]), body: bodyOf(frames, 4) };
    }
    case clientCommands.error: {
      endsAt(frames, 5);
      const service = serviceOf(frames[2]);
      return { kind: "error", service, head: headAsItCame(frames[3]), error: errorOf(frames[4]) };
    }
    default:
      return malformed("command");
  }
}

/** Encodes what a worker says. */
export function encodeFromWorker(message: OwnFromWorker): Frames {
  switch (message.kind) {
    case "ready": {
      const start = [workerFrame, commandFrame(workerCommands.ready)];
      start.push(serviceFrame(message.service), countFrame(message.concurrency));
      return start;
    }
    case "partial":
    case "final":
    case "returned":
      return wholeOf(workerFrame, workerCommands[message.kind], message);
    case "error": {
      const start = startOf(workerFrame, workerCommands.error, message);
      start.push(message.error);
      return start;
    }
    case "heartbeat":
      return heartbeat;
    case "leave":
      return leave;
    case "disconnect":
      return disconnect;
  }
}

/**
 * Reads what a worker says; its header is known.
 * @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong.
 */
export function decodeFromWorker(frames: Frames): FromWorker {
  const command = commandOf(frames[1]);
  switch (command) {
    case workerCommands.ready: {
      endsAt(frames, 4);
      const service = serviceOf(frames[2]);
      return { kind: "ready", service, concurrency: countOf(frames[3], "concurrency") };
    }
    case workerCommands.partial:
    case workerCommands.final: {
      const kind = command === workerCommands.partial ? "partial" : "final";
      serviceOf(frames[2]);
      return { kind, id: headId(frames[3]), body: bodyOf(frames, 4) };
    }
    case workerCommands.error:
      endsAt(frames, 5);
      serviceOf(frames[2]);
      return { kind: "error", id: headId(frames[3]), error: errorOf(frames[4]) };
    case workerCommands.returned:
      serviceOf(frames[2]);
      return { kind: "returned", id: headId(frames[3]), body: bodyOf(frames, 4) };
    case workerCommands.heartbeat:
      endsAt(frames, 2);
      return { kind: "heartbeat" };
    case workerCommands.leave:
      endsAt(frames, 2);
      return { kind: "leave" };
    case workerCommands.disconnect:
      endsAt(frames, 2);
      return { kind: "disconnect" };
    default:
      return malformed("command");
  }
}

/** Encodes what the broker says to a worker. */
export function encodeToWorker(message: ToWorker): Frames {
  switch (message.kind) {
    case "request":
      return wholeOf(workerFrame, workerCommands.request, message);
    case "cancel":
      return startOf(workerFrame, workerCommands.cancel, message);
    case "credit": {
      const start = startOf(workerFrame, workerCommands.credit, message);
      start.push(countFrame(message.credit));
      return start;
    }
    case "heartbeat":
      return heartbeat;
    case "refused":
      return [workerFrame, commandFrame(workerCommands.refused), message.error];
    case "disconnect":
      return disconnect;
  }
}

/** @throws PlantError FRAME_MALFORMED; `detail.part` is the first frame that is wrong. */
export function decodeToWorker(frames: Frames): ToWorker {
  if (headerOf(frames[0]) !== header.plantWorker) return malformed("header");
  switch (commandOf(frames[1])) {
    case workerCommands.request: {
      const service = serviceOf(frames[2]);
      return { kind: "request", service, head: headAsItCame(frames[3]), body: bodyOf(frames, 4) };
    }
    case workerCommands.cancel:
      endsAt(frames, 4);
      return { kind: "cancel", service: serviceOf(frames[2]), head: headAsItCame(frames[3]) };
    case workerCommands.credit: {
      endsAt(frames, 5);
      const service = serviceOf(frames[2]);
      const head = headAsItCame(frames[3]);
      return { kind: "credit", service, head, credit: countOf(frames[4], "credit") };
    }
    case workerCommands.heartbeat:
      endsAt(frames, 2);
      return { kind: "heartbeat" };
    case workerCommands.refused:
      endsAt(frames, 3);
      return { kind: "refused", error: errorOf(frames[2]) };
    case workerCommands.disconnect:
      endsAt(frames, 2);
      return { kind: "disconnect" };
    default:
      return malformed("command");
  }
}

function startOf(
  header: Uint8Array,
  command: number,
  about: { readonly service: string; readonly head: Head },
): Uint8Array[] {
  return [header, commandFrame(command), serviceFrame(about.service), encodeHead(about.head)];
}

/** A message with a body, as one list that need not grow. */
function wholeOf(
  header: Uint8Array,
  command: number,
  about: { readonly service: string; readonly head: Head; readonly body: Frames },
): Frames {
  const { body } = about;
  const frames: Uint8Array[] = new Array(4 + body.length);
  frames[0] = header;
  frames[1] = commandFrame(command);
  frames[2] = serviceFrame(about.service);
  frames[3] = encodeHead(about.head);
  for (let at = 0; at < body.length; at += 1) frames[4 + at] = body[at] ?? empty;
  return frames;
}

function encodeHead(head: Head): Uint8Array {
  if (head instanceof HeadAsItCame) return head.frame;
  const frame = Buffer.allocUnsafe(headBytes);
  putId(frame, head.id);
  putWord(frame, 8, head.remainingMs);
  const { trace } = head;
  const from = trace.length === headBytes ? traceAt : 0;
  for (let at = 0; at < traceBytes; at += 1) frame[traceAt + at] = trace[from + at] ?? 0;
  frame[28] = head.flags;
  return frame;
}

function headId(frame: Uint8Array | undefined): number {
  if (frame?.length !== headBytes) return malformed("head");
  const id = idAt(frame);
  return id < 0 ? malformed("head") : id;
}

/** A head on its receiver's side: its trace is seldom looked at, and replies carry it back whole. */
class HeadAsItCame implements Head {
  readonly id: number;
  readonly remainingMs: number;
  readonly flags: number;
  readonly frame: Uint8Array;

  constructor(frame: Uint8Array) {
    this.id = headId(frame);
    this.remainingMs = wordAt(frame, 8);
    this.flags = frame[28] ?? 0;
    this.frame = frame;
  }

  get trace(): Uint8Array {
    return this.frame.subarray(traceAt, traceAt + traceBytes);
  }
}

/** What to keep of a head to write its trace again, without a view of the trace alone. */
export function traceOf(head: Head): Uint8Array {
  return head instanceof HeadAsItCame ? head.frame : head.trace;
}

function headAsItCame(frame: Uint8Array | undefined): Head {
  return frame === undefined ? malformed("head") : new HeadAsItCame(frame);
}

function errorOf(frame: Uint8Array | undefined): Uint8Array {
  return frame === undefined || frame.length === 0 ? malformed("error") : frame;
}

function countFrame(value: number): Uint8Array {
  const frame = Buffer.allocUnsafe(4);
  putWord(frame, 0, value);
  return frame;
}

function countOf(frame: Uint8Array | undefined, part: string): number {
  if (frame?.length !== 4) return malformed(part);
  const value = wordAt(frame, 0);
  return value >= 1 && value <= countMax ? value : malformed(part);
}

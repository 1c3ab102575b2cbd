// Clients and workers of the other dialects, as their makers read RFC 18, RFC 7 and plantd's code.
// It must not know our codecs: what both agree on is what the documents say.
type Frames = readonly Uint8Array[];

/** What a foreign client asks. */
interface Asked {
  readonly kind: "request";
  readonly service: string;
  readonly body: Frames;
}
/** What a foreign client hears. */
export interface Answered {
  readonly kind: "partial" | "final";
  readonly service: string;
  readonly body: Frames;
}
/** What a foreign worker says; `client` is the address the request came with. */
export type WorkerSaid =
  | { readonly kind: "ready"; readonly service: string }
  | { readonly kind: "partial" | "final"; readonly client: Uint8Array; readonly body: Frames }
  | { readonly kind: "heartbeat" }
  | { readonly kind: "disconnect" };
/** What a foreign worker hears. */
export type WorkerHeard =
  | { readonly kind: "request"; readonly client: Uint8Array; readonly body: Frames }
  | { readonly kind: "heartbeat" | "disconnect" };

/** The four sides of a dialect that are not the broker's. */
export interface ForeignPeer {
  encodeFromClient(message: Asked): Frames;
  decodeToClient(frames: Frames): Answered;
  encodeFromWorker(message: WorkerSaid): Frames;
  decodeToWorker(frames: Frames): WorkerHeard;
}

type Command = "ready" | "request" | "partial" | "final" | "heartbeat" | "disconnect";

/** How a dialect puts things. */
interface Shape {
  readonly client: string;
  readonly worker: string;
  /** Frames before the header, from the peer and to it. */
  readonly said: Frames;
  readonly heard: Frames;
  /** Commands of client messages; none where they have no command frame. */
  readonly clientCommands: Readonly<Partial<Record<Command, string>>>;
  readonly workerCommands: Readonly<Partial<Record<Command, string>>>;
  /** Frames between address and body of a worker's reply. */
  readonly afterAddress: Frames;
}

/** The frames are not of this dialect. */
class Misread extends Error {}

const text = (value: string) => Buffer.from(value, "latin1");
const empty = Buffer.alloc(0);
const latin = (frame: Uint8Array | undefined) =>
  frame === undefined ? "(none)" : Buffer.from(frame).toString("latin1");

/** Takes frames from the front that must be as expected. */
function take(frames: Frames, expected: Frames): Frames {
  expected.forEach((frame, at) => {
    if (latin(frames[at]) !== latin(frame)) {
      throw new Misread(`frame ${at} is ${latin(frames[at])}, not ${latin(frame)}`);
    }
  });
  return frames.slice(expected.length);
}

function commandIn(commands: Shape["clientCommands"], frame: Uint8Array | undefined): Command {
  const found = Object.entries(commands).find(([, word]) => word === latin(frame));
  if (found === undefined) throw new Misread(`no command: ${latin(frame)}`);
  return found[0] as Command;
}

function peerOf(shape: Shape): ForeignPeer {
  const { said, heard, clientCommands, workerCommands, afterAddress } = shape;
  const commandFrames = (commands: Shape["clientCommands"], command: Command) => {
    const word = commands[command];
    return word === undefined ? [] : [text(word)];
  };
  return {
    encodeFromClient({ service, body }) {
      const command = commandFrames(clientCommands, "request");
      return [...said, text(shape.client), ...command, text(service), ...body];
    },
    decodeToClient(frames) {
      const rest = take(frames, [...heard, text(shape.client)]);
      if (Object.keys(clientCommands).length === 0) {
        return { kind: "final", service: latin(rest[0]), body: rest.slice(1) };
      }
      const kind = commandIn(clientCommands, rest[0]);
      if (kind !== "partial" && kind !== "final") throw new Misread(`not for a client: ${kind}`);
      return { kind, service: latin(rest[1]), body: rest.slice(2) };
    },
    encodeFromWorker(message) {
      const command = commandFrames(workerCommands, message.kind);
      const start = [...said, text(shape.worker), ...command];
      if (message.kind === "ready") return [...start, text(message.service)];
      if (message.kind === "heartbeat" || message.kind === "disconnect") return start;
      return [...start, message.client, ...afterAddress, ...message.body];
    },
    decodeToWorker(frames) {
      const rest = take(frames, [...heard, text(shape.worker)]);
      const kind = commandIn(workerCommands, rest[0]);
      if (kind === "heartbeat" || kind === "disconnect") {
        if (rest.length > 1) throw new Misread(`frames after ${kind}`);
        return { kind };
      }
      if (kind !== "request") throw new Misread(`not for a worker: ${kind}`);
      return { kind, client: rest[1] ?? empty, body: take(rest.slice(2), [empty]) };
    },
  };
}

const rfc18Shape: Shape = {
  client: "MDPC02",
  worker: "MDPW02",
  said: [],
  heard: [],
  clientCommands: { request: "\x01", partial: "\x02", final: "\x03" },
  workerCommands: {
    ready: "\x01",
    request: "\x02",
    partial: "\x03",
    final: "\x04",
    heartbeat: "\x05",
    disconnect: "\x06",
  },
  afterAddress: [empty],
};

/** @see RFC 18 */
export const rfc18 = peerOf(rfc18Shape);

/** RFC 18 behind an empty frame, both ways: a REQ socket, or a DEALER that writes as one. */
export const enveloped = peerOf({ ...rfc18Shape, said: [empty], heard: [empty] });

/** @see RFC 7 */
export const rfc7 = peerOf({
  client: "MDPC01",
  worker: "MDPW01",
  said: [empty],
  heard: [empty],
  clientCommands: {},
  workerCommands: {
    ready: "\x01",
    request: "\x02",
    final: "\x03",
    heartbeat: "\x04",
    disconnect: "\x05",
  },
  afterAddress: [empty],
});

/** The words of plantd: an empty frame before what its peers say, none before what they hear. */
export const plantd = peerOf({
  client: "MDPC02",
  worker: "MDPW02",
  said: [empty],
  heard: [],
  clientCommands: { request: "REQUEST", partial: "PARTIAL", final: "FINAL" },
  workerCommands: {
    ready: "READY",
    request: "REQUEST",
    partial: "PARTIAL",
    final: "FINAL",
    heartbeat: "HEARTBEAT",
    disconnect: "DISCONNECT",
  },
  afterAddress: [],
});

/** Reads what the broker says to a foreign peer, whichever it is. */
export function decodeFromBroker(frames: Frames): Answered | WorkerHeard {
  for (const peer of [rfc18, enveloped, rfc7, plantd]) {
    for (const decode of [peer.decodeToClient, peer.decodeToWorker]) {
      try {
        return decode(frames);
      } catch (error) {
        if (!(error instanceof Misread)) throw error;
      }
    }
  }
  throw new Misread(`nobody's: ${frames.map(latin).join(" ")}`);
}

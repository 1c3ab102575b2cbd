// One end of a connection to a broker, frame by frame: a DEALER of zeromq.js and the messages of the
// protocols as their texts have them. It must not know our codec.
import assert from "node:assert/strict";
import { Dealer } from "zeromq";
import { systemClock as clock } from "../../src/util/clock.ts";
import { within } from "../../src/util/running.ts";

/** Frames as text, one character per byte. */
export type Message = readonly string[];

/** Bytes of commands, as text. */
export const [one, two, three, four, five, six] = ["\x01", "\x02", "\x03", "\x04", "\x05", "\x06"];

/** What a worker says and hears in one dialect; requests and replies are made of these. */
export interface Words {
  readonly ready: (service: string) => Message;
  readonly heartbeat: Message;
  readonly disconnect: Message;
  /** What the broker sends to say so. */
  readonly heardHeartbeat: Message;
  readonly heardDisconnect: Message;
  /** Undefined where the dialect has no such thing. */
  readonly partial: ((client: string, ...body: string[]) => Message) | undefined;
  readonly final: (client: string, ...body: string[]) => Message;
  /** Frames of a request in front of the client's address. */
  readonly request: Message;
}

const rfc18: Words = {
  ready: (service) => ["MDPW02", one, service],
  heartbeat: ["MDPW02", five],
  disconnect: ["MDPW02", six],
  heardHeartbeat: ["MDPW02", five],
  heardDisconnect: ["MDPW02", six],
  partial: (client, ...body) => ["MDPW02", three, client, "", ...body],
  final: (client, ...body) => ["MDPW02", four, client, "", ...body],
  request: ["MDPW02", two],
};

/** The foreign dialects of a worker. */
export const dialects = {
  rfc18,
  "rfc18-enveloped": {
    ready: (service) => ["", ...rfc18.ready(service)],
    heartbeat: ["", ...rfc18.heartbeat],
    disconnect: ["", ...rfc18.disconnect],
    heardHeartbeat: ["", ...rfc18.heartbeat],
    heardDisconnect: ["", ...rfc18.disconnect],
    partial: (client, ...body) => ["", "MDPW02", three, client, "", ...body],
    final: (client, ...body) => ["", "MDPW02", four, client, "", ...body],
    request: ["", "MDPW02", two],
  },
  rfc7: {
    ready: (service) => ["", "MDPW01", one, service],
    heartbeat: ["", "MDPW01", four],
    disconnect: ["", "MDPW01", five],
    heardHeartbeat: ["", "MDPW01", four],
    heardDisconnect: ["", "MDPW01", five],
    partial: undefined,
    final: (client, ...body) => ["", "MDPW01", three, client, "", ...body],
    request: ["", "MDPW01", two],
  },
  plantd: {
    ready: (service) => ["", "MDPW02", "READY", service],
    heartbeat: ["", "MDPW02", "HEARTBEAT"],
    disconnect: ["", "MDPW02", "DISCONNECT"],
    heardHeartbeat: ["MDPW02", "HEARTBEAT"],
    heardDisconnect: ["MDPW02", "DISCONNECT"],
    partial: (client, ...body) => ["", "MDPW02", "PARTIAL", client, ...body],
    final: (client, ...body) => ["", "MDPW02", "FINAL", client, ...body],
    request: ["MDPW02", "REQUEST"],
  },
} as const satisfies Record<string, Words>;

export type ForeignDialect = keyof typeof dialects;

/** The head of a request of our own dialect; no deadline unless given. */
export function head(id: number, remainingMs = 0xff_ff_ff_ff): string {
  const bytes = Buffer.alloc(29);
  bytes.writeBigUInt64BE(BigInt(id));
  bytes.writeUInt32BE(remainingMs, 8);
  bytes[28] = 1;
  return bytes.toString("latin1");
}

/** The request id in a head. */
export function idIn(frame: string | undefined): number {
  return Number(Buffer.from(frame ?? "", "latin1").readBigUInt64BE());
}

const limitMs = 15_000;

function isSame(a: Message, b: Message): boolean {
  return a.length === b.length && a.every((frame, at) => frame === b[at]);
}

export interface RawPeer extends Disposable {
  send(...frames: string[]): Promise<void>;
  /** The next message that is no heartbeat. */
  next(): Promise<Message>;
  /** Messages heard and not yet taken, heartbeats left out. */
  readonly untaken: readonly Message[];
  readonly beatsHeard: number;
  /** Resolves when so many more heartbeats have come. */
  beats(count: number): Promise<void>;
}

/** Connects; `words` says which messages are heartbeats. */
export function openRaw(endpoint: string, words: Words = rfc18): RawPeer & { answering: boolean } {
  const socket = new Dealer({ linger: 0, sendTimeout: 10_000 });
  socket.connect(endpoint);
  const untaken: Message[] = [];
  let beats = 0;
  let wake = () => {};
  const peer = {
    untaken,
    get beatsHeard() {
      return beats;
    },
    /** Whether each heartbeat heard is answered with one. */
    answering: false,
    async send(...frames: string[]) {
      await socket.send(frames.map((frame) => Buffer.from(frame, "latin1")));
    },
    async next() {
      return waitFor("a message", () => untaken.shift());
    },
    async beats(count: number) {
      const wanted = beats + count;
      await waitFor(`${count} heartbeats`, () => beats >= wanted || undefined);
    },
    [Symbol.dispose]: () => socket.close(),
  };
  async function waitFor<T>(what: string, look: () => T | undefined): Promise<T> {
    const found = await within(
      clock,
      limitMs,
      (async () => {
        for (;;) {
          const now = look();
          if (now !== undefined) return now;
          await new Promise<void>((resolve) => {
            const others = wake;
            wake = () => {
              others();
              resolve();
            };
          });
        }
      })(),
    );
    assert.ok(found !== undefined, `${what}: not within ${limitMs} ms`);
    return found;
  }
  void (async () => {
    for await (const frames of socket) {
      const message = frames.map((frame) => frame.toString("latin1"));
      if (isSame(message, words.heardHeartbeat)) {
        beats += 1;
        if (peer.answering) await peer.send(...words.heartbeat);
      } else untaken.push(message);
      const all = wake;
      wake = () => {};
      all();
    }
  })().catch(() => {}); // closed while it was being read
  return peer;
}

export interface RawWorker extends RawPeer {
  readonly words: Words;
  /** Whether each heartbeat heard is answered with one; a worker that does not is silent. */
  answering: boolean;
  /** The next message, which must be a request: the client's address and the body. */
  request(): Promise<{ readonly client: string; readonly body: readonly string[] }>;
  partial(client: string, ...body: string[]): Promise<void>;
  final(client: string, ...body: string[]): Promise<void>;
}

/** A worker that has said READY and answers heartbeats. */
export async function openWorker(
  endpoint: string,
  service: string,
  dialect: ForeignDialect = "rfc18",
): Promise<RawWorker> {
  const words: Words = dialects[dialect];
  const peer = openRaw(endpoint, words);
  peer.answering = true;
  await peer.send(...words.ready(service));
  return Object.assign(peer, {
    words,
    async request() {
      const message = await peer.next();
      const start = words.request.length;
      assert.deepEqual(message.slice(0, start), words.request);
      assert.equal(message[start + 1], "");
      return { client: message[start] ?? "", body: message.slice(start + 2) };
    },
    async partial(client: string, ...body: string[]) {
      assert.ok(words.partial !== undefined);
      await peer.send(...words.partial(client, ...body));
    },
    final: (client: string, ...body: string[]) => peer.send(...words.final(client, ...body)),
  });
}

export interface RawClient extends RawPeer {
  /** Sends a request of our own dialect, in which refusals arrive as errors. */
  ask(service: string, id: number, body: string, remainingMs?: number): Promise<void>;
  /** The next message: `final` or `partial` with a body, or `error` with its code. */
  hear(): Promise<{ readonly id: number; readonly kind: string; readonly text: string }>;
}

/** A client of our own dialect. */
export function openClient(endpoint: string): RawClient {
  const peer = openRaw(endpoint);
  return Object.assign(peer, {
    ask: (service: string, id: number, body: string, remainingMs?: number) =>
      peer.send("PLNC01", one, service, head(id, remainingMs), body),
    async hear() {
      const [header, command = "", , about, ...body] = await peer.next();
      assert.equal(header, "PLNC01");
      const kinds: Readonly<Record<string, string>> = { [two]: "partial", [three]: "final" };
      const kind = kinds[command] ?? "error";
      const text = kind === "error" ? JSON.parse(body[0] ?? "{}").code : body.join("|");
      return { id: idIn(about), kind, text };
    },
  });
}
